"""Short studies and complete ones: what is said, what is inherited, what is left out."""

import ast
import copy
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import ROOT

from hidden_structure.distillation.methods import METHODS
from hidden_structure.frame import params, studies, yaml_files
from hidden_structure.frame.errors import InputError
from hidden_structure.frame.values import HARD_PIECES, SOFT_PIECES

FILES = sorted((ROOT / "studies").glob("*.yaml"))
SMALL = {"study": "small", "data": {"source": "digits"}, "merge": {"classes": 5}}


def test_softnesses_are_as_many_as_betas_where_both_kinds_of_pieces_are_compared():
    own = {"betas": [0.5], "softnesses": [0.1, 0.3]}
    for methods in (["alone", "kd", "lelp"], ["kd", "kmeans"]):
        valid(SMALL | {"distill": own | {"methods": methods}})
    with pytest.raises(ValueError, match="softnesses: 2 for hard pieces, and 1 betas for soft ones"):
        valid(SMALL | {"distill": own | {"methods": ["kd", "kmeans", "lelp"]}})


def test_kinds_of_pieces_are_those_of_the_methods():
    for kind, name in ((HARD_PIECES, "softness"), (SOFT_PIECES, "beta")):
        assert kind == {method for method, own in METHODS.items() if name in own.hyperparameters}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mlpp",
            r"there is no network mlpp: did you mean mlp\? or write my_nets:build for build of your own my_nets\.py$",
        ),
        ("alexnet", "there is no network alexnet: take mlp, resnet, vgg, speedrun, torchvision:NAME or timm:NAME, or"),
    ],
)
def test_a_network_that_there_is_not_is_told_with_those_that_there_are(name, message, tmp_path):
    with pytest.raises(InputError, match=rf"own\.yaml: network\.name: {message}"):
        studies.check(studies.complete(SMALL | {"network": {"name": name}}), tmp_path / "own.yaml")


@pytest.mark.parametrize("preset", ["[cifar10-fast]", "{}", "1", "cifar10-fats", "2020-01-01"])
def test_a_preset_that_there_is_not_is_told_whatever_it_is(preset, tmp_path):
    (tmp_path / "own.yaml").write_text(f"study: own\npreset: {preset}\n")
    with pytest.raises(
        InputError, match=r"own\.yaml: preset: there is no .*: choose cifar10-fast, .*, or leave it out"
    ):
        studies.read(tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: own\nmerge: [1]\nmerge: [2]\n", r'line 3, column 1: found duplicate key "merge": keep one$'),
        (f"study: own\nseeds: [0]\ntrain:\n  epochs: {'1' * 5000}", r"line 4 has an integer of thousands of digits"),
        ("study: own\n  seeds: [0]\n", "line 2, column 8: mapping values are not allowed here"),
        ("study: own\nstudy: other\n", "line 2, column 1: found duplicate key"),
    ],
)
def test_what_is_no_yaml_is_told_by_line_without_the_reader_s_own_words(text, message, tmp_path):
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(InputError, match=rf"own\.yaml(: | is not valid YAML: ){message}") as told:
        yaml_files.read(tmp_path / "own.yaml")
    assert "unicode string" not in str(told.value)
    assert "^" not in str(told.value)


def test_the_study_in_the_page_on_distillation_can_be_copied():
    (code,) = re.findall(r"^short = (\{.*?^\})$", (ROOT / "docs/distil.md").read_text(), re.MULTILINE | re.DOTALL)
    study = valid(ast.literal_eval(code))
    assert study.distill.teacher == "own"


def valid(short: dict) -> params.Study:
    return params.Study.model_validate(studies.complete(short))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_study_says_little_and_completes_to_a_valid_one(file):
    whole = studies.read(file)
    params.Study.model_validate(whole)
    assert whole["study"] == file.stem
    assert len(file.read_text().splitlines()) < len(studies.text(whole).splitlines()) / 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_says_nothing_that_goes_without_saying(file):
    short = yaml_files.read(file)
    assert short == studies.shorten(studies.read(file), short.get("preset"))


def test_a_study_of_three_lines_has_every_key_and_the_networks_of_train_alone():
    study = valid(SMALL)
    assert study.train
    assert not any(getattr(study, part) for part in studies.PARTS if part != "train")


@pytest.mark.parametrize("part", sorted({*studies.PARTS} - {"merges", "inspect", "average", *studies.OF_SPAWN}))
def test_an_empty_section_takes_every_default_and_null_leaves_it_out(part):
    assert getattr(valid(SMALL | {part: {}}), part)
    assert getattr(valid(SMALL | {part: None}), part) is None


def test_what_is_measured_on_spawned_networks_comes_and_goes_with_them():
    present, absent = valid(SMALL | {"spawn": {}}), valid(SMALL)
    for part in studies.OF_SPAWN:
        assert getattr(present, part)
        assert getattr(absent, part) is None
        with pytest.raises(ValueError, match=f"{part}: has no meaning without spawn"):
            valid(SMALL | {part: {}})


@pytest.mark.parametrize("part", ["memorised", "split", "sweep", "imbalance", "finetune", "distill", "spawn"])
def test_a_part_changes_the_recipe_of_the_study_where_it_says_so_and_nowhere_else(part):
    study = valid(SMALL | {"train": {"lr": 0.03, "crop": 2}, part: {"train": {"epochs": 20}}})
    own = getattr(study, part).train
    own_keys = 0.02 if part == "finetune" else 0.03, 0 if part == "memorised" else 2  # which defaults.yaml gives these
    assert (own.lr, own.crop, own.epochs) == (*own_keys, 20)
    assert study.train.epochs == 200


def test_a_network_of_another_name_or_a_merge_by_another_method_inherits_nothing():
    mlp = {"name": "mlp", "depth": 3, "width": 512, "norm": "none"}
    narrow = valid(SMALL | {"network": mlp, "distill": {"network": {"width": 8}}}).distill.network
    assert (narrow.name, narrow.depth, narrow.width, narrow.norm) == ("mlp", 3, 8, "none")
    other = valid(SMALL | {"network": mlp, "distill": {"network": {"name": "resnet", "depth": 8}}}).distill.network
    assert (other.width, other.norm) == (16, "batch")
    distill = {"teacher": "own", "merge": {"method": "superclass"}}
    assert valid(SMALL | {"distill": distill}).distill.merge.classes is None


def test_kinds_of_merges_have_the_defaults_of_a_merge():
    kinds = valid(SMALL | {"merges": {"kinds": [{"method": "random", "classes": 3}]}}).merges.kinds
    assert [(kind.groups, kind.seed) for kind in kinds] == [(None, 0)]


def test_without_train_a_part_begins_from_the_default_recipe():
    study = valid(SMALL | {"train": None, "spawn": {"train": {"epochs": 20}}})
    assert study.train is None
    assert (study.spawn.train.epochs, study.spawn.train.lr) == (20, 0.2)
    assert valid(SMALL | {"train": None, "imbalance": {}}).imbalance.train.lr == 0.2
    for part in ("memorised", "split", "sweep", "finetune", "distill"):
        with pytest.raises(ValueError, match=f"{part}: is compared with the networks of train"):
            valid(SMALL | {"train": None, part: {}})


def test_ratios_of_images_begin_with_balanced_classes():
    assert valid(SMALL | {"imbalance": {"ratios": [1, 7]}}).imbalance.ratios == [1, 7]
    with pytest.raises(ValueError, match="the first must be 1, balanced classes"):
        valid(SMALL | {"imbalance": {"ratios": [2, 7]}})


def test_completing_changes_nothing_that_is_given_and_shares_nothing():
    short = SMALL | {"spawn": {"train": {"epochs": 20}}}
    before = copy.deepcopy(short)
    first, second = studies.complete(short), studies.complete(short)
    assert short == before
    first["spawn"]["train"]["milestones"].append(0.9)
    first["distill"] = {"network": first["network"]}
    assert second == studies.complete(short)
    assert len(studies.defaults()["train"]["milestones"]) == 2


OWN = st.fixed_dictionaries(
    {},
    optional={
        "seeds": st.lists(st.integers(0, 9), min_size=1, unique=True),
        "network": st.sampled_from([{}, {"name": "mlp"}, {"depth": 8}, {"name": "vgg", "depth": 11, "norm": "none"}]),
        "train": st.sampled_from([None, {}, {"lr": 0.1}, {"epochs": 30, "milestones": [0.5]}]),
        "merge": st.sampled_from([{"classes": 2}, {"method": "groups", "groups": {"a": ["b"], "c": ["d"]}}]),
        "merges": st.sampled_from([None, {"kinds": [{"method": "semantic"}]}, {"kinds": [], "seeds": [4]}]),
        "memorised": st.sampled_from([None, {}, {"train": {"epochs": 300}}]),
        "split": st.sampled_from([None, {}, {"train": {"epochs": 20}}]),
        "distill": st.sampled_from([{}, {"network": {"name": "mlp", "width": 7}}, {"merge": {"method": "random"}}]),
        "spawn": st.sampled_from([None, {}, {"network": {"width": 32}, "children": [{}, {"lr": 0.01}]}]),
        "permute": st.sampled_from([{}, {"ste": {"lr": 0.1}}, None]),
    },
)


@given(OWN)
def test_shortening_loses_nothing(own):
    whole = studies.complete(SMALL | own)
    assert studies.complete(studies.shorten(whole)) == whole


def test_every_key_has_a_default_and_a_word_of_what_it_means():
    """Of the study's own sections; a part's train, network and merge are explained there."""
    whole = studies.complete(SMALL | {part: {} for part in studies.PARTS})

    def keys(section: dict, above: str = "") -> set[str]:
        found = set()
        for name, value in section.items():
            found.add(above + name)
            if isinstance(value, dict) and name != "options" and not (above and name in studies.INHERITED):
                found |= keys(value, f"{above}{name}.")
        return found

    said = studies.comments()
    assert not {key for key in keys(whole) if not said.get(key)}
    assert params.Study.model_fields.keys() == studies.defaults().keys()
    assert all(name in studies.text(whole) for name in map(said.get, params.Study.model_fields))


def test_what_is_wrong_with_a_study_is_one_line_that_names_file_and_key(tmp_path):
    def said(text: str) -> str:
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(InputError) as caught:
            studies.read(tmp_path / "mine.yaml")
        assert str(tmp_path / "mine.yaml") in str(caught.value)
        return str(caught.value)

    assert "unknown key spawn.trian: did you mean train?" in said(
        "study: mine\ndata: {source: digits}\nspawn: {trian: 1}"
    )
    assert "unknown key sdeeds" in said("study: mine\ndata: {source: digits}\nsdeeds: [0]")
    assert "data.source" in said("study: mine")
    assert "spawn.train: input should be" in said("study: mine\ndata: {source: digits}\nspawn: {train: 3}")
    assert "spawn: input should be" in said("study: mine\ndata: {source: digits}\nspawn: [3]")
    assert "give it the name of its file, mine" in said("study: other\ndata: {source: digits}")
    assert "must map section names" in said("- 1")


def test_params_yaml_is_the_completion_of_digits():
    assert (ROOT / "params.yaml").read_text() == studies.text(studies.read(ROOT / "studies/digits.yaml"))


def test_the_text_reads_as_what_was_written():
    whole = studies.complete(
        SMALL | {"spawn": {"children": [{}, {"lr": 5e-5}]}, "merge": {"groups": {"x: y": ["#", ""]}}}
    )
    assert yaml_files.YAML(typ="safe", pure=True).load(studies.text(whole)) == whole
    short = studies.shorten(whole)
    assert yaml_files.YAML(typ="safe", pure=True).load(studies.dump(short, brief=True)) == short


def test_a_preset_stands_between_the_defaults_and_what_is_the_studys_own():
    for name, preset in studies.presets().items():
        study = valid(SMALL | {"preset": name, "train": {"epochs": 77}, "spawn": {"train": {"lr": 0.01}}})
        recipe = preset["train"] | {"epochs": 77}
        assert {key: getattr(study.train, key) for key in recipe} == recipe
        assert study.network.name == preset["network"]["name"] == study.spawn.network.name
        assert study.spawn.train == study.train.model_copy(update={"lr": 0.01, "snapshots": 2})
        whole = studies.complete(SMALL | {"preset": name, "train": {"epochs": 77}})
        assert studies.shorten(whole, name) == SMALL | {"preset": name, "train": {"epochs": 77}}


def test_another_network_than_the_presets_keeps_its_recipe_alone():
    (name, *_), mlp = studies.presets(), {"name": "mlp", "depth": 2}
    study = valid(SMALL | {"preset": name, "network": mlp})
    assert (study.network.name, study.network.options) == ("mlp", {})
    assert study.train.lr == studies.presets()[name]["train"]["lr"]


def test_an_unknown_preset_is_named_with_those_there_are(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text("study: small\npreset: cifar10-slow\ndata: {source: digits}\n")
    with pytest.raises(InputError, match="there is no cifar10-slow: choose cifar10-fast"):
        studies.read(file)


def test_no_more_epochs_are_clean_than_there_are():
    assert valid(SMALL | {"train": {"epochs": 5, "snapshots": 2, "clean": 5}}).train.clean == 5
    with pytest.raises(ValueError, match="clean: there are only 5 epochs"):
        valid(SMALL | {"train": {"epochs": 5, "snapshots": 2, "clean": 6}})
