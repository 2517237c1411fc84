"""All that only the data can tell of params.yaml is told at once, with full paths of keys."""

import copy

import numpy as np
import pytest
import tiny

from hidden_structure.checks import problems
from hidden_structure.frame import artifacts, params, paths


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("data")
    tiny.write_data(folder)
    return artifacts.read_arrays(folder / paths.DATA)


SEMANTIC = {"method": "semantic", "classes": None, "groups": None, "seed": 0}
AVERAGED = {"averaging": "exponential", "averaging_every": 500}
GROUPS = {"method": "groups", "classes": None, "groups": {"a": ["class 0"], "b": ["class 11"]}, "seed": 0}


def told(data, *keys: str, value: object = None) -> list[str]:
    """Of a tiny study in which keys, dotted, have that value."""
    content = copy.deepcopy(tiny.study(sweep={"train": None, "lrs": [0.1], "weight_decays": [0.0]}))
    for key in keys:
        *above, name = key.split(".")
        section = content
        for step in above:
            section = section[int(step)] if step.isdigit() else section[step]
        place = int(name) if name.isdigit() else name
        section[place] = section[place] | value if name == "train" else value
    return problems(params.Study.model_validate(content), data)


def test_a_possible_study_has_no_problem(data):
    assert told(data) == []


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("merge.classes", 11, "merge.classes is 11, but the data has 10 classes"),
        ("merge", GROUPS, "merge.groups: 'b' holds the unknown class 'class 11': did you mean 'class 1'?"),
        ("merges.kinds.0.classes", 11, "merges.kinds.0.classes is 11, but the data has 10 classes"),
        ("merges.kinds.1", SEMANTIC, "merges.kinds.1.method semantic needs a semantic table"),
        ("distill.merge.classes", 12, "distill.merge.classes is 12, but the data has 10 classes"),
        ("train.batch_size", 400, "train.batch_size: 400 is more than the 320 training samples"),
        ("merges.train.batch_size", 400, "merges.train.batch_size: 400 is more than the 320"),
        ("merges.train.batch_size", 200, "merges.train.batch_size: 200 is more than the 100 images of a part"),
        ("memorised.train.batch_size", 400, "memorised.train.batch_size: 400 is more than the 320"),
        ("split.train.crop", 9, "split.train.crop: 9 pixels are more than an image of 8 x 8 has"),
        ("sweep.train.batch_size", 400, "sweep.train.batch_size: 400"),
        ("spawn.train.batch_size", 400, "spawn.train.batch_size: 400"),
        ("spawn.recipes", [{"batch_size": 400}], "spawn.recipes.0.batch_size: 400 is more than the 320"),
        ("spawn.children", [{}, {"crop": 9}], "spawn.children.1.crop: 9 pixels are more than an image of 8 x 8 has"),
        ("spawn.steps", [20], "spawn.steps: 20 are k = 2 of spawn.epochs"),
        ("spawn.steps", [120], "spawn.steps: 120 are not before the last of 120 steps"),
        ("distill.train.batch_size", 300, "distill.train.batch_size: 300 is more than the 256 training samples"),
        ("spawn.children", [{}, AVERAGED], "spawn.children.1.averaging_every: 500 is more than the 120 steps"),
        ("merges.train", AVERAGED, "merges.train.averaging_every: 500 is more than the 120"),
        ("split.classes", 11, "split.classes is 11, but the data has 10 classes"),
        ("split.parts", 33, "split.parts is 33, but class 0 has 32 training samples"),
        ("network.norm", "group", "network.norm: units of mlp form no groups"),
        ("network", {"name": "resnet", "depth": 9, "width": 4, "norm": "none"}, "network.depth: resnet has 8, 14"),
        (
            "network",
            {"name": "nowhere:build", "depth": None, "width": None, "norm": None},
            "there is no module nowhere",
        ),
        ("spawn.network.norm", "group", "spawn.network.norm: units of mlp form no groups"),
        ("distill.network.depth", None, "distill.network.depth: mlp needs it"),
        ("spawn.widths", [0.3], "spawn.widths: 0.3 times a width of 32 is not a whole number"),
        ("features.layers", ["hidden.relu9"], "features.layers: the network has no layer 'hidden.relu9'"),
        ("distill.subclasses", [40], "distill.subclasses"),
        ("permute.ste.batch_size", 300, "permute.ste.batch_size: 300 is more than the 200 images"),
        ("interpolate.repair_samples", 1, "interpolate.repair_samples: a single image has no variance"),
        ("linearity.repair_samples", 1, "linearity.repair_samples: a single image has no variance"),
        ("unconstrained.feature_decay", 100.0, "unconstrained.weight_decay: 3 classes of 3 samples end at zero"),
    ],
)
def test_what_is_impossible_is_told_with_the_path_of_its_key(data, key, value, said):
    found = told(data, key, value=value)
    assert any(said in problem for problem in found), found
    assert all("\n" not in problem for problem in found)


def test_one_network_or_recipe_that_is_impossible_is_told_once_where_parts_inherit_it(data):
    keys = [f"{part}train.batch_size" for part in ("", "memorised.", "merges.", "split.", "sweep.", "spawn.")]
    assert told(data, *keys, value=400) == ["train.batch_size: 400 is more than the 320 training samples: lower it"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"ratios": [1, 40]}, "imbalance.ratios: 40 leaves class 5 1 of its 32 training images"),
        ({"least": 9}, "imbalance.ratios: 4 leaves class 5 8 of its 32 training images, and imbalance.least is 9"),
        ({"classes": 9}, "imbalance.classes: 9 of 10 classes"),
        ({"batch": 201}, "imbalance.train.batch_size: 201 is more than the 200 training samples"),
        ({"batch": 400}, "imbalance.train.batch_size: 400 is more than the 320 training samples"),
    ],
)
def test_too_few_images_or_classes_are_told_before_anything_is_trained(data, settings, said):
    own = {name: value for name, value in settings.items() if name != "batch"}
    content = tiny.study(imbalance={"train": None} | own)
    content["imbalance"]["train"]["batch_size"] = settings.get("batch", 32)
    found = problems(params.Study.model_validate(content), data)
    assert found == [] if said is None else len(found) == 1 and said in found[0], found


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, None),
        ({"epoch": 7}, "finetune.epoch: train.snapshots keeps no weights after 7 epochs: give one of [3, 12]"),
        ({"parts": 6}, "finetune.parts: 6 parts of 10 classes have fewer than two each"),
        ({"tasks": [["class 0", "class 1"], ["class 2", "dog"]]}, "finetune.tasks: there is no class dog"),
        ({"tasks": [["class 0", "class 1"], ["class 2", "class 1"]]}, "finetune.tasks: class 1 is in both tasks"),
        ({"batch": 161}, "finetune.train.batch_size: 161 is more than the 160 training samples"),
        ({"scratch": 161}, "finetune.from_scratch.batch_size: 161 is more than the 160"),
    ],
)
def test_tasks_and_their_recipes_are_looked_at_before_anything_is_trained(data, settings, said):
    own = {name: value for name, value in settings.items() if name not in ("batch", "scratch")}
    content = tiny.study(finetune={"train": None} | own)
    content["finetune"]["train"]["batch_size"] = settings.get("batch", 32)
    content["finetune"]["from_scratch"]["batch_size"] = settings.get("scratch", 32)
    found = problems(params.Study.model_validate(content), data)
    assert found == [] if said is None else len(found) == 1 and said in found[0], found


@pytest.mark.parametrize("key", ["train", "sweep.train", "spawn.train", "distill.train"])
def test_batches_of_one_image_are_refused_where_the_network_has_norms_over_the_batch(data, key):
    normed = {"name": "mlp", "depth": 1, "width": 8, "norm": "batch"}
    content = copy.deepcopy(tiny.study(sweep={"train": None, "lrs": [0.1], "weight_decays": [0.0]}))
    content["distill"]["network"] = content["network"]
    *above, name = key.split(".")
    (content[above[0]] if above else content)[name]["batch_size"] = 1
    said = f"{key}.batch_size: one image has no variance"
    assert problems(params.Study.model_validate(content), data) == []
    content["network"] = content["distill"]["network"] = content["spawn"]["network"] = content["network"] | normed
    assert [problem[: len(said)] for problem in problems(params.Study.model_validate(content), data)] == [said]


def test_all_is_told_at_once(data):
    found = told(data, "merge.classes", "merges.kinds.0.classes", "split.classes", "distill.merge.classes", value=11)
    assert [problem.split()[0] for problem in found] == [
        "merge.classes",
        "merges.kinds.0.classes",
        "split.classes",
        "distill.merge.classes",
    ]


def test_too_few_samples_of_a_super_class_are_told(data):
    kept = np.flatnonzero((data["train_labels"] % 5 != 0) | (np.arange(320) < 5))  # three of classes 0 and 5
    few = data | {name: data[name][kept] for name in ("train_images", "train_labels")}
    kept = [label for label in few["train_labels"] if label % 5 == 0]
    assert len(kept) == 1
    assert any("merges 2 classes of 1 training samples" in problem for problem in told(few))


def test_the_stage_tells_ten_problems_a_line_each_and_writes_nothing(tmp_path):
    tiny.write_data(tmp_path)
    kinds = [{"method": "random", "classes": 11, "groups": None, "seed": seed} for seed in range(12)]
    tiny.write_params(tmp_path, merges={"train": None, "kinds": kinds})
    done = tiny.in_process(tmp_path, "check.py")
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert len(lines) == 10
    assert all(line.startswith(f"error: params.yaml: merges.kinds.{index}.classes") for index, line in enumerate(lines))
    assert last == "and 2 more"
    assert not (tmp_path / paths.CHECKED).exists()


def test_what_the_stage_writes_is_the_same_whatever_it_has_checked(tmp_path):
    tiny.write_data(tmp_path)
    written = []
    for classes in (5, 2):
        tiny.write_params(tmp_path, merge={"method": "modulo", "classes": classes, "groups": None, "seed": 0})
        assert tiny.in_process(tmp_path, "check.py").returncode == 0
        written.append((tmp_path / paths.CHECKED).read_bytes())
    assert written[0] == written[1]


NETWORKS = """
import torch
from torch import nn


class Plain(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.first, self.second = nn.Linear(shape[0] * shape[1] * shape[2], 16), nn.Linear(16, 16)
        self.relu, self.head = nn.ReLU(), nn.Linear(16, classes)

    def forward(self, images):
        return self.head(self.relu(self.second(self.relu(self.first(images.flatten(1))))))


class Untraceable(Plain):
    def forward(self, images):
        return super().forward(images if images.sum() > 0 else images * 2)


class Masked(Plain):
    kept = True

    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.register_buffer("mask", torch.rand(16) < 0.5, persistent=self.kept)

    def forward(self, images):
        return self.head(self.relu(self.second(self.relu(self.first(images.flatten(1))) * self.mask)))


class Forgetful(Masked):
    kept = False


class Dropping(Plain):
    def forward(self, images):  # at test time as well
        return self.head(nn.functional.dropout(self.relu(self.first(images.flatten(1)))))


class Noisy(Plain):
    def forward(self, images):
        return super().forward(images + torch.randn_like(images))


class Twice(Plain):
    def forward(self, images):
        return self.head(self.relu(self.second(self.relu(self.second(self.relu(self.first(images.flatten(1))))))))


class Linear(Plain):
    def __init__(self, shape, classes):
        nn.Module.__init__(self)
        self.head = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def forward(self, images):
        return self.head(images.flatten(1))


class Tokens(Plain):
    def __init__(self, shape, classes):
        super().__init__(shape[1:] + (1,), classes)

    def forward(self, images):  # the images along the second axis
        return self.head(self.relu(self.second(self.relu(self.first(images.flatten(1, 2).transpose(0, 1))))).mean(0))
"""


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Plain", None),
        ("Tokens", None),
        ("Untraceable", "spawn.network: features cannot be followed along lines: Untraceable cannot be traced"),
        ("Masked", "spawn.network: features cannot be followed along lines: mask differs between the networks"),
        ("Twice", "spawn.network: features cannot be followed along lines: second is called several times in a pass"),
        ("Linear", "permute.methods: leave activations out: activations cannot be matched"),
    ],
)
def test_what_no_pair_of_networks_could_go_through_is_told_before_any_is_trained(
    data, name, said, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"my_{name.lower()}.py").write_text(NETWORKS)
    own = {"name": f"my_{name.lower()}:{name}", "depth": None, "width": None, "norm": None, "options": {}}
    content = tiny.study(finetune=None, average=None)
    content["spawn"] |= {"network": own, "widths": []}
    content["permute"]["methods"] = ["weights", "activations"]
    found = problems(params.Study.model_validate(content), data)
    assert found == [] if said is None else len(found) == 1 and said in found[0], found
    content["finetune"] = tiny.study()["finetune"] | {"from_scratch": content["train"], "train": content["train"]}
    content["network"] = own
    found = problems(params.Study.model_validate(content), data)
    assert any(problem.startswith("finetune, network") for problem in found) == (
        name in ("Untraceable", "Masked")
    )  # without norms not repaired


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("font", "Comic Serif", "report.style.font: there is no font Comic Serif: "),
        ("mplstyle", "nowhere.mplstyle", "report.style.mplstyle: nowhere.mplstyle is no style file of matplotlib's: "),
        ("formats", ["pdf", "pgf"], "report.style.formats: pgf is written with xelatex, which is not installed: "),
    ],
)
def test_a_style_that_cannot_be_had_is_told_before_anything_is_trained(data, key, value, said, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # on which is no LaTeX
    (found,) = told(data, f"report.style.{key}", value=value)
    assert found.startswith(said)


@pytest.mark.parametrize("name", ["Dropping", "Noisy"])
def test_what_is_drawn_at_every_pass_is_told_as_such(data, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_random.py").write_text(NETWORKS)
    own = {"name": f"my_random:{name}", "depth": None, "width": None, "norm": None, "options": {}}
    content = tiny.study(finetune=None, average=None) | {"network": own}
    (found,) = problems(params.Study.model_validate(content), data)
    said = "draws something at random at every pass, when it is measured, too: use nn.Dropout, or pass "
    assert found == f"network.name: my_random:{name} {said}training=self.training"


def test_what_is_drawn_but_not_kept_among_the_weights_is_told_before_any_is_trained(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_forgetful.py").write_text(NETWORKS)
    own = {"name": "my_forgetful:Forgetful", "depth": None, "width": None, "norm": None, "options": {}}
    content = tiny.study(finetune=None, average=None)
    content["network"] = own
    said = "network.name: my_forgetful:Forgetful draws something at random that is not among its weights"
    (found,) = problems(params.Study.model_validate(content), data)
    assert found.startswith(said)
    content["network"] = own | {"name": "my_forgetful:Masked"}  # nothing is drawn anew, and no two are interpolated
    assert problems(params.Study.model_validate(content), data) == []
