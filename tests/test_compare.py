"""`hidden-structure compare`: from checkpoints and images to the report, without a study, DVC or the repository."""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from hidden_structure.cli import pipeline
from hidden_structure.cli.main import main
from hidden_structure.datasets import digits
from hidden_structure.frame import artifacts, params, paths, tables
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.locking import alone
from hidden_structure.seeding import torch_generator

NETS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, image_shape=(8, 8, 1), classes=10, width=24):
        super().__init__()
        height, wide, channels = image_shape
        self.first = nn.Linear(height * wide * channels, width)
        self.second = nn.Linear(width, width)
        self.head = nn.Linear(width, classes)
    def forward(self, images):
        hidden = self.first(images.flatten(1)).relu()
        return self.head(self.second(hidden).relu())

class Softmax(nn.Module):
    def __init__(self, image_shape=(8, 8, 1), classes=10):
        super().__init__()
        self.head = nn.Linear(64, classes)
    def forward(self, images):
        return self.head(images.flatten(1))

class Sorted(Net):
    def forward(self, images):
        hidden = self.first(images.flatten(1)).sort(1)[0]
        return self.head(self.second(hidden).relu())

class Named(Softmax):
    def __init__(self, num_classes, in_chans):
        super().__init__((8, 8, in_chans), num_classes)
"""
COLOUR = """
from torch import nn

def Softmax(image_shape, classes):
    height, width, channels = image_shape
    assert channels == 3
    return nn.Sequential(nn.Flatten(), nn.Linear(height * width * channels, classes))
"""
ASKED = ("--network", "nets_of_a_user:Net", "--data", "digits", "--device", "cpu", "--samples", "200")
MEAN, STD = 0.25, 0.5  # by which the networks normalise, other than the images' own


def fitted(nets, seed: int):
    """A user's own loop of training, on digits."""
    data = digits.load(0.2, 0)
    images = (torch.from_numpy(data.train_images).permute(0, 3, 1, 2) / 255 - MEAN) / STD
    labels, order = torch.from_numpy(data.train_labels), torch_generator("user", seed)
    torch.manual_seed(seed)
    network = nets.Net()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(8):
        for batch in torch.randperm(len(images), generator=order).split(64):
            optimizer.zero_grad()
            cross_entropy(network(images[batch]), labels[batch]).backward()
            optimizer.step()
    return network


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a module of networks, and two of these trained: one as it is, one as DataParallel nests it."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "nets_of_a_user.py").write_text(NETS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        import nets_of_a_user as nets

        a, b = (fitted(nets, seed).state_dict() for seed in (0, 1))
        sys.modules.pop("nets_of_a_user")
    save_file(a, folder / "a.safetensors")
    torch.save({"epoch": 8, "state_dict": {f"module.{name}": tensor for name, tensor in b.items()}}, folder / "b.pt")
    turned = {name: tensor.roll(1, 0) if name.startswith("head") else tensor for name, tensor in a.items()}
    save_file(turned, folder / "turned.safetensors")
    return folder


@pytest.fixture
def folder(trained, monkeypatch):
    monkeypatch.chdir(trained)
    yield trained
    sys.modules.pop("nets_of_a_user", None)


def compare(*arguments: str) -> None:
    main(["compare", *arguments])


@pytest.fixture(scope="module")
def report(trained):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(trained)
        own = ("--mean", str(MEAN), "--std", str(STD), "--methods", "weights", "--plane", "3", "--out", "report")
        compare("a.safetensors", "b.pt", *ASKED, *own)
    sys.modules.pop("nets_of_a_user", None)
    return trained / "report"


def test_two_checkpoints_end_in_the_report_of_a_study(report):
    figures = "figures/lines.png", "figures/plane.png"
    for name in ("report.html", "README.md", "metrics.json", "claims.csv", "params.yaml", *figures):
        assert (report / name).stat().st_size > 0, name
    assert params.load(report / "params.yaml").study == "report"
    text = (report / "README.md").read_text()
    assert "aligned by weight matching" in text
    assert "these are put back: weight matching 100 %" in text
    assert "Check this first" not in text
    assert "parted after" not in text  # how the networks were made is not known
    assert "nan" not in re.sub(r"\w+nan\w*|\w*nan\w+", "", text.lower())


def test_its_numbers_are_those_of_the_networks(report, trained):
    lines, given = tables.read(report / "tables/lines.csv"), tables.read(report / "tables/given.csv")
    assert [row["file"] for row in given] == ["a.safetensors", "b.pt"]
    assert [row["notes"] for row in given] == ["", "taken from state_dict; prefix module. taken off"]
    assert all(row["test_accuracy"] > 0.85 for row in given)
    found = {(row["method"], row["repaired"]): row for row in lines}
    assert found.keys() == {(method, on) for method in ("none", "weights") for on in (False, True)}
    for row in lines:
        assert row["ends"] == pytest.approx([one["test_accuracy"] for one in given], abs=0.03)
        assert 0.05 < row["midpoint"] <= max(row["ends"]) + 0.03
    heights = {key: row["barrier"]["test_loss"] for key, row in found.items()}
    assert heights["weights", False] < heights["none", False]
    assert {row["seeds"][0] for row in tables.read(report / "tables/features.csv")} == {1}
    assert len(tables.read(report / "tables/stitching.csv")) == 2


def test_the_accuracy_is_what_the_user_measured(report, trained):
    """By the mean and deviation that the network was trained with, computed here without the library."""
    state, data = torch.load(trained / "b.pt", weights_only=True)["state_dict"], digits.load(0.2, 0)
    hidden = (torch.from_numpy(data.test_images).permute(0, 3, 1, 2) / 255 - MEAN).div(STD).flatten(1)
    for layer in ("first", "second"):
        hidden = (hidden @ state[f"module.{layer}.weight"].T + state[f"module.{layer}.bias"]).relu()
    logits = hidden @ state["module.head.weight"].T + state["module.head.bias"]
    accuracy = (logits.argmax(1) == torch.from_numpy(data.test_labels)).double().mean().item()
    assert tables.read(report / "tables/given.csv")[1]["test_accuracy"] == pytest.approx(accuracy, abs=1e-5)


def test_every_two_of_three_are_compared_all_are_merged_and_a_wrong_order_of_classes_is_told(folder, capsys):
    files = "a.safetensors", "turned.safetensors", "b.pt"
    wrong = ("--mean", "0.25", "--std", "0.5", "--methods", "weights", "--points", "3", "--out", "three")
    compare(*files, *ASKED, *wrong)
    assert re.search(
        r"^this may take .+: [\d,]+ images through a network, by \d+ at once$", capsys.readouterr().err, re.M
    )
    lines = tables.read(folder / "three/tables/lines.csv")
    bare = [row for row in lines if not row["repaired"] and row["method"] == "none"]
    assert [row["seeds"] for row in bare] == [[1, 2], [1, 3], [2, 3]]
    assert all(row["alphas"] == [0, 0.5, 1] for row in lines)
    assert not (folder / "three/figures/plane.png").exists()
    means = tables.read(folder / "three/tables/averages.csv")
    assert {tuple(row["seeds"]) for row in means} == {(1, 2, 3)}
    assert {row["matching"] for row in means} == {"none", "pairwise", "together"}
    assert (folder / "three/figures/averages.png").is_file()
    (told,) = set(re.findall(r"Check this first: (.*)", (folder / "three/README.md").read_text()))
    assert told.startswith("turned.safetensors classifies")
    assert "in another order: rename the folders of the classes" in told
    claim = tables.read(folder / "three/claims.csv")[0]
    assert (claim["id"], claim["verdict"]) == ("connectivity.learnt", "contradicted")


def test_networks_at_chance_are_compared_with_a_warning(folder):
    """As those are whose images are normalised otherwise."""
    compare("a.safetensors", "b.pt", *ASKED, "--mean", "0", "--std", "1e6", "--methods", "none", "--out", "chance")
    text = (folder / "chance/README.md").read_text()
    assert "no more than a guess" in text
    assert "are likely normalised otherwise" in text


def images(folder, *mode: str) -> None:
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cats", "dogs"):
            (folder / split / name).mkdir(parents=True)
            for index in range(6):
                pixels = draw.integers(0, 255, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).convert(*mode).save(folder / split / name / f"{index}.png")


REFUSED = [
    (("a.safetensors",), "one checkpoint, a.safetensors, makes no pair: give two or more"),
    (("a.safetensors", "none.pt"), "none.pt is missing: give the file of a checkpoint"),
    (("a.safetensors", "a.safetensors"), "is given twice: give each checkpoint once"),
    (("--options", "{"), "--options { is no JSON"),
    (
        ("--options", '{"width": 25}'),
        "checkpoints: .*does not fit the network .built for 8 x 8 grey",
    ),
    (("--options", '{"width": NaN}'), "--options: may hold texts, finite numbers, .*, got {'width': nan}"),
    (("--options", json.dumps({"width": "x" * 10_000})), "--options: must be shorter than 10,000 characters, got"),
    (("--options", '{"depth": 25}'), "--network: nets_of_a_user:Net fails when called with"),
    (
        ("--network", "nets_of_a_user:Sorted"),
        r"^error: --methods: the units of --network cannot be matched, so --methods none: ",
    ),
    (("--network", "nets_of_a_user:Named"), r"Named fails when called with .*give all of them by --options$"),
    (("--points", "10"), "^error: --points: must be odd"),
    (("--network", "nets_of_a_user:Nest"), "--network: .* has no such name"),
    (("--network", "nets_of_a_user"), "--network nets_of_a_user: write nets_of_a_user:Net for Net of"),
    (("--network", "none_such:Net"), "no module none_such: put it into the folder that you are in"),
    (("--network", "mlp"), "--options, depth: mlp needs it"),
    (("--classes", "100"), "--classes 100: digits has 10 classes"),
    (("--data", "digit"), "--data digit is not a folder, nor any of digits, mnist"),
    (("--data", ""), "^error: --data is empty: name a folder, or one of digits, mnist"),
    (("--normalise", "imagenet"), "--normalise imagenet: 3 numbers, but images are grey"),
    (("--mean", "1"), "--mean and --std go together: give both"),
    (("--mean", "0", "0.5", "1", "--std", "1"), "--mean: 3 numbers, but images are grey: give 1"),
    (("--mean", "0", "--std", "0"), "--std: input should be greater"),
    (("--samples", "0"), "--samples"),
    (("--feature-samples", "0"), "--feature-samples"),
    (("--repair-samples", "1"), "--repair-samples: a single image has no variance"),
    (("--points", "2"), "--points"),
    (("--plane", "1"), "--plane"),
    (("--size", "16"), "--size 16: images of digits stay as they are: leave it out, or give a folder as --data"),
    (("--normalise", "imagenet", "--mean", "0", "--std", "1"), "--normalise imagenet: --mean and --std stand instead"),
    (("--normalise", "data", "--mean", "0", "--std", "1"), "--normalise data: --mean and --std stand instead"),
    (("~none/a.pt", "b.pt"), "~none/a.pt is missing: give the file of a checkpoint"),
    (("--data", "~none/photos"), "--data ~none/photos is not a folder"),
    (
        ("--methods", "none", "weights"),
        "^error: --methods none weights: none stands alone: leave it out, or all others",
    ),
    (("--plane", "3", "--methods", "none"), "--plane 3: .* matched: leave it out, or --methods none"),
]


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_what_cannot_be_is_told_in_one_line_before_anything_is_measured(changed, message, folder, tmp_path):
    files, options = (("a.safetensors", "b.pt"), changed) if changed[0].startswith("-") else (changed, ())
    with pytest.raises(SystemExit) as ended:
        compare(*files, *ASKED, "--out", str(tmp_path / "out"), *options)
    assert re.search(message, str(ended.value.code)), ended.value.code
    told = str(ended.value.code).split("\n")
    assert all(line.startswith("error: ") for line in told)
    assert len(told) == len(set(told)), "network and spawn.network are one option"
    assert "network.name" not in str(ended.value.code)
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_is_told_by_its_option(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"^error: --device: cuda is not available .*: use auto or cpu$"):
        compare("a.safetensors", "b.pt", *ASKED, "--device", "cuda", "--out", str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["tables/own.csv", "README.md", "notes.txt"])
def test_a_folder_of_other_things_is_left_as_it_is(name, folder, tmp_path):
    """Files that are named like a report's would be replaced, and tables/ emptied."""
    own = tmp_path / "out" / name
    own.parent.mkdir(parents=True)
    own.write_text("precious")
    with pytest.raises(SystemExit, match=r"--out .*out holds other things"):
        compare("a.safetensors", "b.pt", *ASKED, "--out", str(tmp_path / "out"))
    assert own.read_text() == "precious"
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_a_file_is_no_folder_for_the_report_and_an_earlier_attempt_is(folder, tmp_path):
    with pytest.raises(SystemExit, match=r"--out a\.safetensors is a file"):
        compare("a.safetensors", "b.pt", *ASKED, "--out", "a.safetensors")
    for _ in range(2):  # the second finds what the first left
        with pytest.raises(SystemExit, match="--classes 100: digits has 10 classes"):
            compare("a.safetensors", "b.pt", *ASKED, "--classes", "100", "--out", str(tmp_path / "out"))


def contents(folder) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def finished(_) -> None:
    Path("report.html").write_text("finished")


def test_a_folder_says_how_its_report_was_made_whatever_fails_in_it(folder, tmp_path, monkeypatch):
    """What fails before anything is computed changes nothing, and where something is the earlier report is gone."""
    out, files = tmp_path / "keepme", ("a.safetensors", "b.pt")
    monkeypatch.setattr(pipeline, "warnings", lambda: [])
    monkeypatch.setattr(pipeline, "finish", finished)
    compare(*files, *ASKED, "--out", str(out))
    before = contents(out)
    torch.save({"head.weight": torch.ones(3, 4)}, tmp_path / "wide.pt")
    with pytest.raises(SystemExit, match="does not fit"):
        compare("a.safetensors", str(tmp_path / "wide.pt"), *ASKED, "--normalise", "half", "--out", str(out))
    assert contents(out) == before

    def stopped(_):
        raise InputError("stopped")

    monkeypatch.setattr(pipeline, "finish", stopped)
    for options, kept in (((), True), (("--points", "3"), False)):
        with pytest.raises(SystemExit, match="stopped"):
            compare(*files, *ASKED, *options, "--out", str(out))
        assert (out / "report.html").exists() == kept
    assert params.load(out / "params.yaml").interpolate.permuted_points == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--network", "none_such:Net"), "no module none_such"),
        (("--device", "cuda"), "--device: cuda is not available"),
        ((), r"damaged\.pt is damaged"),
        (("--classes", "3"), "--classes 3: .* has 2 classes"),
        (("--mean", "0", "0", "--std", "1"), "--mean: 2 numbers, but images are in colour"),
    ],
)
def test_what_a_folder_of_images_need_not_be_read_for_is_told_before(options, message, folder, tmp_path, monkeypatch):
    images(tmp_path / "own", "RGB")
    (tmp_path / "damaged.pt").write_bytes(b"damaged")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(pipeline, "load", lambda _: pytest.fail("images are read"))
    own = ("--network", "nets_of_a_user:Net", "--data", str(tmp_path / "own"), "--out", str(tmp_path / "in/out"))
    with pytest.raises(SystemExit, match=message):
        compare("a.safetensors", str(tmp_path / "damaged.pt"), *own, *options)
    assert not (tmp_path / "in").exists()


def test_a_class_of_one_image_has_none_to_test_on(folder, tmp_path):
    for name in ("cats", "dogs"):
        (tmp_path / "own" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "own" / name / "0.png")
    own = ("--network", "nets_of_a_user:Net", "--data", str(tmp_path / "own"), "--out", str(tmp_path / "out"))
    with pytest.raises(SystemExit, match=r"^error: class 'cats' has no test image, for it has one in all: add some"):
        compare("a.safetensors", "b.pt", *own)


def test_a_grey_image_before_those_in_colour_refuses_no_network_for_colour(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "warnings", lambda: [])
    monkeypatch.setattr(pipeline, "finish", finished)
    images(tmp_path / "own", "RGB")
    Image.new("L", (8, 8)).save(tmp_path / "own/train/cats/0.png")
    for name in ("c.pt", "d.pt"):
        torch.save({"1.weight": torch.randn(2, 192), "1.bias": torch.zeros(2)}, tmp_path / name)
    (folder / "nets_for_colour.py").write_text(COLOUR)
    own = ("--network", "nets_for_colour:Softmax", "--data", str(tmp_path / "own"), "--device", "cpu")
    few = (
        "--samples",
        "8",
        "--feature-samples",
        "4",
        "--repair-samples",
        "4",
        "--methods",
        "none",
        "--out",
        str(tmp_path / "out"),
    )
    compare(str(tmp_path / "c.pt"), str(tmp_path / "d.pt"), *own, *few)
    assert (tmp_path / "out/report.html").is_file()


def test_a_folder_in_which_reading_was_killed_is_taken_up(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "warnings", lambda: [])
    monkeypatch.setattr(pipeline, "finish", finished)
    (tmp_path / "out/artifacts/downloads").mkdir(parents=True)
    (tmp_path / "out/artifacts/given-networks.lock").write_text("process 1")
    compare("a.safetensors", "b.pt", *ASKED, "--out", str(tmp_path / "out"))
    assert (tmp_path / "out/report.html").is_file()


@pytest.mark.parametrize("option", ["--points", "--samples"])
def test_what_the_options_alone_tell_is_refused_before_anything_is_made(option, folder, tmp_path):
    for _ in range(2):  # the second would find what the first left
        with pytest.raises(SystemExit, match=f"^error: {option}: "):
            compare("a.safetensors", "b.pt", *ASKED, option, "0", "--out", str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["own", "own/out", "own/train/cats/out", "link/out"])
def test_the_report_may_not_lie_among_the_images(out, folder, tmp_path):
    """There it would be a class, or a file among images, from then on."""
    images(tmp_path / "own", "L")
    (tmp_path / "link").symlink_to(tmp_path / "own")
    before = sorted(tmp_path.rglob("*"))
    own = ("--network", "nets_of_a_user:Net", "--data", str(tmp_path / "own"), "--out", str(tmp_path / out))
    with pytest.raises(SystemExit, match=r"--out .* lies in the folder of --data: name one elsewhere"):
        compare("a.safetensors", "b.pt", *own)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_network_for_colour_cannot_read_grey_images_nor_one_of_other_classes(folder, tmp_path):
    images(tmp_path / "grey", "L")
    images(tmp_path / "colour", "RGB")
    own = ("a.safetensors", "b.pt", "--network", "nets_of_a_user:Net", "--out", str(tmp_path / "out"))
    for name, kind in (("grey", "8 x 8 grey images and 2 classes"), ("colour", "8 x 8 colour images and 2 classes")):
        with pytest.raises(SystemExit, match=f"does not fit the network .built for {kind}"):
            compare(*own, "--data", str(tmp_path / name))


def test_help_shows_how_it_is_called(capsys):
    with pytest.raises(SystemExit):
        compare("--help")
    told = capsys.readouterr().out
    assert "hidden-structure compare a.safetensors b.pt --network" in told
    assert re.search(r"--points POINTS\s+an odd number", told)


def test_headline_numbers_are_of_the_pair(report):
    found = json.loads((report / "metrics.json").read_text())
    assert found["connectivity"]["barrier_unaligned"] >= found["connectivity"]["barrier_aligned_least"]


def test_a_checkpoint_and_its_copy_differ_in_nothing_and_have_a_report(folder):
    """The first thing that one would try."""
    shutil.copy(folder / "a.safetensors", folder / "copy.safetensors")
    few = ("--samples", "100", "--feature-samples", "50", "--repair-samples", "50", "--points", "3")
    compare("a.safetensors", "copy.safetensors", *ASKED, *few, "--methods", "none", "--out", "alike")
    assert all(row["barrier"]["test_error"] == 0 for row in tables.read(folder / "alike/tables/lines.csv"))
    assert (folder / "alike/report.html").is_file()


def test_networks_without_an_activation_have_no_cut_and_a_report(folder):
    """Logistic regression: nothing can be stitched, and all else is told."""
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_file({"head.weight": torch.randn(10, 64), "head.bias": torch.zeros(10)}, folder / f"softmax{seed}.pt")
    own = ("--network", "nets_of_a_user:Softmax", "--data", "digits", "--device", "cpu", "--normalise", "half")
    few = ("--samples", "100", "--feature-samples", "50", "--repair-samples", "50", "--points", "3")
    compare("softmax0.pt", "softmax1.pt", *own, *few, "--methods", "weights", "--out", "softmax")
    assert tables.read(folder / "softmax/tables/stitching.csv") == []
    assert not (folder / "softmax/figures/stitching.png").exists()
    text = (folder / "softmax/README.md").read_text()
    assert "at the worst layer the merged features lie" in text
    assert "stitching costs" not in text


def test_the_file_that_is_damaged_is_still_named_behind_how_to_mend_it():
    told = "a value is nan, not a number: the tables are damaged: delete them and run `dvc repro` (in tables/a.csv)"
    mended = r"damaged: run the command again .* \(in tables/a\.csv\)$"
    with pytest.raises(InputError, match=mended), pipeline.as_asked({"permute.methods": "--methods"}):
        raise InputError(told)


@pytest.mark.parametrize("named", [("stitch",), ("linearity", "stitch")])
def test_what_a_stage_leaves_damaged_is_not_mended_by_dvc_which_does_not_run(named, folder, tmp_path, monkeypatch):
    def damaged(_):
        raise artifacts.unfit("nothing", *(paths.results(name) for name in named))

    monkeypatch.setattr(pipeline, "finish", damaged)
    with pytest.raises(SystemExit) as ended:
        compare("a.safetensors", "b.pt", *ASKED, "--out", str(tmp_path / "out"))
    told = str(ended.value.code)
    assert "results/stitch.json" in told
    assert "it holds nothing: run the command again with a new --out" in told
    assert "dvc" not in told


def test_one_process_at_a_time_writes_a_report_and_another_leaves_its_study_alone(folder, monkeypatch):
    (folder / "busy").mkdir()
    (folder / "busy/params.yaml").write_text("of another")
    with monkeypatch.context() as patch:
        patch.chdir(folder / "busy")
        with alone("given-networks"):
            patch.chdir(folder)
            with pytest.raises(SystemExit, match="given-networks is already run by process"):
                compare("a.safetensors", "b.pt", *ASKED, "--out", "busy")
            patch.chdir(folder / "busy")
    assert (folder / "busy/params.yaml").read_text() == "of another"
