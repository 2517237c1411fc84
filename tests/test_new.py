"""`hidden-structure new`: a study of a folder of images that can be run as it is."""

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from hidden_structure.checks import problems
from hidden_structure.cli import new
from hidden_structure.cli.main import main
from hidden_structure.datasets import load
from hidden_structure.frame import params, studies


def images(folder, classes: int, each: int, sizes=((8, 8),)) -> None:
    draw = np.random.default_rng(0)
    for label in range(classes):
        (folder / f"class {label}").mkdir(parents=True)
        for index in range(each):
            width, height = sizes[index % len(sizes)]
            pixels = draw.integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"class {label}" / f"{index}.png")


@pytest.fixture(autouse=True)
def repository(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def begun(*options: str, data: str = "data") -> params.Study:
    main(["new", "birds", "--data", data, *options])
    return params.Study.model_validate(studies.read(studies.STUDIES / "birds.yaml"))


@pytest.mark.parametrize(
    ("classes", "each", "sizes"),
    [
        (2, 2, [(8, 8)]),
        (3, 4, [(8, 8)]),
        (2, 5, [(8, 8)]),
        (4, 30, [(8, 8)]),
        (3, 8, [(40, 30), (20, 64)]),
        (21, 3, [(16, 16)]),
        (4, 6, [(28, 20)]),
    ],
)
def test_what_is_written_is_possible_with_the_images(repository, classes, each, sizes):
    images(repository / "data", classes, each, sizes)
    study = begun()
    data = load.load(study.data).arrays()
    assert problems(study, data) == []
    assert 2 <= study.merge.classes <= classes
    assert study.merge.classes < classes or classes == 2
    assert data["train_images"].shape[1:3] == ((32, 32) if max(sizes[0]) > 32 else sizes[0][::-1])
    assert study.network.name == ("mlp" if min(sizes[0]) < 16 else "resnet")


@pytest.mark.parametrize(
    ("classes", "each", "lacking"),
    [
        (4, 30, set()),
        (2, 2, {"split", "imbalance", "finetune", "distill"}),  # of one training image a class
        (21, 3, {"split"}),
        (4, 250, set()),
    ],
)
def test_further_parts_that_are_proposed_are_possible_too(repository, classes, each, lacking):
    images(repository / "data", classes, each)
    data = load.load(begun().data).arrays()
    head, _, tail = (studies.STUDIES / "birds.yaml").read_text().partition("# Further parts")
    proposed = [line.removeprefix("# ") for line in tail.splitlines()[1:]]
    parts = YAML(typ="safe", pure=True).load("\n".join(line for line in proposed if not line.startswith("(no ")))
    every = {"merges", "memorised", "split", "imbalance", "finetune", "distill", "spawn", "unconstrained"}
    assert parts.keys() - {"permute"} == every - lacking
    short = YAML(typ="safe", pure=True).load(head)
    assert problems(params.Study.model_validate(studies.complete(short | parts)), data) == []
    assert {line.split()[1] for line in proposed if line.startswith("(no ")} == lacking


def test_it_says_where_the_report_will_be(repository, capsys):
    """`make reproduce` leaves the report of a study that git does not keep yet where it was made."""
    images(repository / "data", 2, 4)
    begun()
    told = capsys.readouterr().out
    assert "the report is artifacts/report/report.html, until `make publish` keeps it in reports/birds" in told


def test_an_image_that_is_turned_when_it_is_read_counts_as_turned(repository):
    images(repository / "data", 2, 4, [(24, 16)])
    tags = Image.Exif()
    tags[0x0112] = 6  # to be turned a quarter clockwise
    for suffix in ("jpg", "png"):
        Image.new("RGB", (24, 16)).save(repository / f"data/class 0/turned.{suffix}", exif=tags)
        study = begun()
        assert load.load(study.data).train_images.shape[1:3] == (study.data.size, study.data.size)
        (studies.STUDIES / "birds.yaml").unlink()
        (repository / f"data/class 0/turned.{suffix}").unlink()


def test_super_classes_of_too_few_images_for_tsne_are_clustered_without_it(repository):
    images(repository / "data", 3, 4)
    (repository / "data/class 1/3.png").unlink()  # two are left for training, of a super-class of its own
    study = begun()
    assert problems(study, load.load(study.data).arrays()) == []
    assert study.cluster.reducers == ["pca"]


def test_a_folder_with_a_test_set_keeps_it_and_its_name_may_be_any(repository):
    odd = 'a "b": #c'
    for split in ("train", "test"):
        images(repository / odd / split, 3, 4)
    study = begun(data=odd)
    assert study.data.folder == odd
    assert len(load.load(study.data).test_labels) == 12


@pytest.mark.parametrize("data", ["./~", "~/photos", "./~/photos", "~"])
def test_a_folder_that_is_named_by_a_tilde_is_the_one_that_is_looked_at(repository, monkeypatch, data):
    home = repository / "home"
    monkeypatch.setenv("HOME", str(home))
    for number, folder in enumerate((home, repository / "~")):
        images(folder / ("photos" if "photos" in data else ""), 2 + number, 4)
    study = begun(data=data)
    classes = 3 if data.startswith("./") else 2
    assert len(load.load(study.data).class_names) == classes
    assert f"\n# {classes} classes (" in (studies.STUDIES / "birds.yaml").read_text()


def test_outside_of_the_repository_nothing_is_made(repository, monkeypatch):
    images(repository / "elsewhere/data", 2, 4)
    monkeypatch.chdir(repository / "elsewhere")
    with pytest.raises(SystemExit, match="there is no folder studies here: go to the repository's root"):
        begun()
    assert {path.name for path in (repository / "elsewhere").iterdir()} == {"data"}


def test_keys_that_decide_how_it_comes_out_have_a_word_beside_them(repository):
    images(repository / "data", 4, 5)
    begun()
    lines = (studies.STUDIES / "birds.yaml").read_text().splitlines()
    said = {line.partition(":")[0].strip() for line in lines if ": " in line and "#" in line}
    assert {"classes", "epochs", "batch_size", "lr", "crop", "flip", "snapshots", "reducers", "size"} <= said


def test_what_is_asked_for_is_written(repository):
    images(repository / "data", 6, 5, [(20, 20)])
    study = begun("--classes", "4", "--size", "24")
    assert (study.merge.classes, study.data.size) == (4, 24)


def test_more_images_are_seen_as_often_in_all(repository, monkeypatch):
    """So that the time of a first report does not grow with the data, as long as epochs are left."""
    monkeypatch.setattr(new, "RESNET_SEEN", 600)
    images(repository / "data", 2, 40, [(16, 16)])
    few = begun()
    images(repository / "more", 2, 60, [(16, 16)])
    (studies.STUDIES / "birds.yaml").unlink()
    more = begun(data="more")
    assert more.train.epochs * 3 == pytest.approx(few.train.epochs * 2, rel=0.05)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("../up", ["--data", "data"], "cannot name a study"),
        ("birds", ["--data", "nowhere"], "--data nowhere is not a folder"),
        ("birds", ["--data", "data", "--classes", "5"], "data has 3 classes: ask for 2 to 3"),
        ("birds", ["--data", "data", "--classes", "0"], "data has 3 classes: ask for 2 to 3"),
        ("birds", ["--data", "data", "--size", "0"], r"^error: --size: input should be greater .*, got 0$"),
        ("birds", ["--data", ""], r"^error: --data is empty: name a folder$"),
        ("birds", ["--data", "~none/data"], "--data ~none/data is not a folder"),
        ("birds", ["--data", "data/class 0"], "class 0 has no folders of classes: .*, as .*class 0/<class>/.*0.png"),
        ("taken", ["--data", "data"], "taken.yaml exists"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(repository, name, options, said):
    images(repository / "data", 3, 4)
    (repository / "studies/taken.yaml").write_text("mine")
    with pytest.raises(SystemExit, match=said) as ended:
        main(["new", name, *options])
    assert "\n" not in str(ended.value.code)
    assert [path.name for path in repository.rglob("*.yaml")] == ["taken.yaml"]


def test_an_image_that_is_none_is_named(repository):
    images(repository / "data", 3, 4)
    (repository / "data/class 1/1.png").write_bytes(b"no image")
    with pytest.raises(SystemExit, match=r"class 1/1\.png is not an image in BMP"):
        begun()
    Image.new("RGB", (8, 8)).save(repository / "data/class 1/1.png", "EPS")  # a program
    with pytest.raises(SystemExit, match=r"class 1/1\.png is not an image in BMP"):
        begun()


@pytest.mark.parametrize("classes", ["*", "class 1"])
def test_a_class_of_one_image_leaves_none_to_test(repository, classes):
    images(repository / "data", 3, 2)
    for file in (repository / "data").glob(f"{classes}/1.png"):
        file.unlink()
    with pytest.raises(SystemExit, match=r"class 'class \d' has no test image, for it has one in all: add some"):
        begun()
