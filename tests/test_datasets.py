import gzip
import io
import os
import shutil
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from hidden_structure.datasets import cifar, digits, download, idx
from hidden_structure.datasets.dataset import Dataset, channel_statistics, stratified_split
from hidden_structure.datasets.load import load
from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError


def data(source: str, folder: Path | None = None, **other) -> params.Data:
    settings = {"size": None, "test_fraction": 0.2, "superclasses": None, "normalise": None, "seed": 0} | other
    return params.Data(source=source, folder=None if folder is None else str(folder), **settings)


def small(**other) -> Dataset:
    images, labels = np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3, 1), np.array([0, 1, 1, 0])
    return Dataset(
        **{"train_images": images, "train_labels": labels, "test_images": images, "test_labels": labels}
        | {"class_names": ("a", "b")}
        | other
    )


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]))))
def test_channel_statistics_are_those_of_the_pixels_whatever_the_order_of_the_images(images):
    mean, std = channel_statistics(images)
    expected = (images / 255).std(axis=(0, 1, 2))
    assert mean == pytest.approx((images / 255).mean(axis=(0, 1, 2)), abs=1e-12)
    assert std == pytest.approx(np.where(images.min((0, 1, 2)) == images.max((0, 1, 2)), 1, expected), abs=1e-12)
    again = channel_statistics(images[::-1])
    assert np.array_equal(mean, again[0])
    assert np.array_equal(std, again[1])


@settings(deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=6), st.floats(0.01, 0.99), st.integers(0, 99))
def test_a_stratified_split_holds_out_the_same_share_of_every_class(sizes, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, test = stratified_split(labels, fraction, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        held_out = (labels[test] == label).sum()
        assert 1 <= held_out < size
        assert abs(held_out - fraction * size) <= 1
    assert np.array_equal(test, stratified_split(labels, fraction, seed)[1])


def test_the_split_changes_with_the_seed():
    labels = np.repeat([0, 1], 50)
    assert not np.array_equal(stratified_split(labels, 0.5, 0)[1], stratified_split(labels, 0.5, 1)[1])


IMAGES = np.zeros((4, 3, 3, 1), dtype=np.uint8)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"test_images": IMAGES[:, :2]}, "one shape"),
        ({"train_images": IMAGES[:3]}, "training labels"),
        ({"train_images": IMAGES.astype(float)}, "uint8"),
        ({"train_images": np.repeat(IMAGES, 2, axis=3)}, "1 or 3"),
        ({"test_labels": np.array([0, 1, 2, 1])}, "test labels"),
        ({"test_labels": np.array([0, -1, 1, 1])}, "test labels"),
        ({"train_labels": np.array([0, 0, 0, 0])}, "'b' has no training image"),
        ({"test_labels": np.array([1, 1, 1, 1])}, "'a' has no test image"),
        ({"class_names": ("a",)}, "one class"),
        ({"class_names": ("a", "a")}, "share a name"),
    ],
)
def test_a_data_set_that_breaks_the_contract_is_refused(wrong, named):
    with pytest.raises(InputError, match=named):
        small(**wrong)


def test_arrays_hold_only_numbers_and_fixed_strings_and_tables_only_where_there_are():
    stored = small().arrays()
    assert set(stored) == {
        *(f"{s}_{k}" for s in ("train", "test") for k in ("images", "labels")),
        "class_names",
        "mean",
        "std",
    }
    with_table = replace(small(), semantic=digits.from_groups({"x": ["a"], "y": ["b"]}, ("a", "b"), "")).arrays()
    assert set(with_table) - set(stored) == {"semantic_of", "semantic_names"}
    assert not any(array.dtype.hasobject for array in with_table.values())


def test_digits_use_the_whole_range_of_grey_and_hold_out_a_share_of_every_digit():
    dataset = load(data("digits"))
    assert dataset.train_images.shape[1:] == (8, 8, 1)
    assert (dataset.train_images.min(), dataset.train_images.max()) == (0, 255)
    assert len(np.unique(dataset.train_images)) == 17
    assert len(dataset.train_images) + len(dataset.test_images) == 1797
    share = np.bincount(dataset.test_labels) / (np.bincount(dataset.test_labels) + np.bincount(dataset.train_labels))
    assert share == pytest.approx(0.2, abs=0.01)
    assert np.array_equal(dataset.test_images, load(data("digits")).test_images)
    assert not np.array_equal(dataset.test_images, load(data("digits", seed=1)).test_images)


@pytest.mark.parametrize("wrong", [{"folder": Path("somewhere")}, {"size": 8}, {"superclasses": "table.yaml"}])
def test_a_setting_without_effect_is_refused(wrong):
    with pytest.raises(InputError, match=f"data.{next(iter(wrong))} has no meaning"):
        load(data("digits", **wrong))


@pytest.mark.parametrize("source", ["mnist", "cifar10", "folder"])
def test_a_missing_folder_is_named(source, tmp_path):
    with pytest.raises(InputError, match=r"data\.folder .*nowhere is not a folder"):
        load(data(source, tmp_path / "nowhere"))


def test_source_folder_needs_a_folder():
    with pytest.raises(InputError, match=r"data\.folder is null"):
        load(data("folder"))


# IDX


def idx_bytes(array: np.ndarray) -> bytes:
    header = [0x0800 + array.ndim, *array.shape]
    return b"".join(number.to_bytes(4, "big") for number in header) + array.tobytes()


def write_mnist(folder: Path, zipped: bool = False) -> tuple[np.ndarray, np.ndarray]:
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 5), dtype=np.uint8)
    labels = np.tile(np.arange(10, dtype=np.uint8), 2)
    for split in ("train", "t10k"):
        for name, array in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
            content = idx_bytes(array)
            (folder / (f"{name}.gz" if zipped else name)).write_bytes(gzip.compress(content) if zipped else content)
    return images, labels


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("source", ["mnist", "fashion-mnist"])
def test_idx_files_are_read_as_they_were_written(source, zipped, tmp_path):
    images, labels = write_mnist(tmp_path, zipped)
    dataset = load(data(source, tmp_path))
    assert np.array_equal(dataset.train_images[..., 0], images)
    assert np.array_equal(dataset.test_labels, labels)
    assert len(dataset.class_names) == 10
    assert np.bincount(dataset.semantic.coarse_of).tolist() == [2] * 5


def _replace(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def _folder(root: Path) -> None:
    (root / TRAIN_IMAGES).unlink()
    (root / TRAIN_IMAGES).mkdir()


def _pipe(root: Path) -> None:
    (root / TRAIN_IMAGES).unlink()
    os.mkfifo(root / TRAIN_IMAGES)


TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
DAMAGES = {
    "missing": (TRAIN_IMAGES, lambda folder: (folder / TRAIN_IMAGES).unlink()),
    "truncated": (TRAIN_IMAGES, lambda folder: os.truncate(folder / TRAIN_IMAGES, 100)),
    "header cut": (TRAIN_IMAGES, lambda folder: os.truncate(folder / TRAIN_IMAGES, 7)),
    "too long": (TRAIN_IMAGES, _replace(TRAIN_IMAGES, idx_bytes(np.zeros((20, 4, 5), np.uint8)) + b"x")),
    "labels for images": (TRAIN_IMAGES, lambda folder: shutil.copy(folder / TRAIN_LABELS, folder / TRAIN_IMAGES)),
    "empty": (TRAIN_LABELS, _replace(TRAIN_LABELS, b"")),
    "no samples": (TRAIN_LABELS, _replace(TRAIN_LABELS, idx_bytes(np.zeros(0, np.uint8)))),
    "impossible size": (TRAIN_IMAGES, _replace(TRAIN_IMAGES, b"\0\0\x08\x03" + b"\xff" * 12)),
    "counts differ": (TRAIN_LABELS, _replace(TRAIN_LABELS, idx_bytes(np.zeros(19, np.uint8)))),
    "class without image": (TRAIN_LABELS, _replace(TRAIN_LABELS, idx_bytes(np.arange(20, dtype=np.uint8) % 9))),
    "another shape": (TRAIN_IMAGES, _replace(TRAIN_IMAGES, idx_bytes(np.zeros((20, 5, 4), np.uint8)))),
    "a folder": (TRAIN_IMAGES, _folder),
    "a pipe": (TRAIN_IMAGES, _pipe),
    "label out of range": (TRAIN_LABELS, _replace(TRAIN_LABELS, idx_bytes(np.full(20, 10, np.uint8)))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_idx_file_is_named(damage, tmp_path):
    write_mnist(tmp_path)
    name, do = DAMAGES[damage]
    do(tmp_path)
    whole = {"class without image", "another shape"}  # these two only the four files together show
    with pytest.raises(InputError, match=f"four files in {tmp_path}" if damage in whole else name) as caught:
        load(data("mnist", tmp_path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spoil", [lambda whole: whole[:-9], lambda whole: b"\x1f\x8b" + whole[9:], lambda whole: b"plain"]
)
def test_a_damaged_gzip_is_named(spoil, tmp_path):
    write_mnist(tmp_path, zipped=True)
    file = tmp_path / "t10k-images-idx3-ubyte.gz"
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(InputError, match=file.name):
        load(data("mnist", tmp_path))


# Downloads


@pytest.mark.parametrize("source", ["mnist", "fashion-mnist", "cifar10", "cifar100"])
def test_without_a_network_the_error_says_to_set_the_folder(source, tmp_path, monkeypatch):
    def refuse(*_args, **_more):
        raise URLError("no route to host")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torchvision.datasets.utils.download_url", refuse)
    with pytest.raises(InputError, match=rf"data\.source {source}: cannot download .*no route.*set data\.folder"):
        load(data(source))


def test_a_second_address_is_tried_when_the_first_fails(tmp_path, monkeypatch):
    def second_only(address, root, filename, md5):
        if "first" in address:
            raise RuntimeError("corrupted")
        (root / filename).write_bytes(b"content")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", second_only)
    file = download.fetch(["https://first.test/file", "https://second.test/file"], tmp_path, "0" * 32, "mnist")
    assert file.read_bytes() == b"content"


def test_a_download_that_breaks_leaves_nothing_behind_and_a_users_file_as_it_was(tmp_path, monkeypatch):
    def breaks(address, root, filename, md5):
        (root / filename).write_bytes(b"half")
        raise RuntimeError("File not found or corrupted.")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", breaks)
    (tmp_path / "file").write_bytes(b"the user's own")
    for folder in (tmp_path, tmp_path / "new"):
        with pytest.raises(InputError, match=r"cannot download file .*corrupted.*or put that file into"):
            download.fetch(["https://one.test/file"], folder, "0" * 32, "mnist")
    assert [path.name for path in sorted(tmp_path.rglob("*")) if path.is_file()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"the user's own"


def test_a_file_already_downloaded_is_taken_without_a_network(tmp_path):
    from hashlib import md5

    (tmp_path / "file").write_bytes(b"content")
    checksum = md5(b"content", usedforsecurity=False).hexdigest()
    assert download.fetch(["http://localhost:9/file"], tmp_path, checksum, "mnist") == tmp_path / "file"


# CIFAR


def test_the_classes_of_cifar_are_alphabetical_and_grouped_evenly():
    for source, groups in (("cifar10", 5), ("cifar100", 20)):
        names = cifar.class_names(source)
        assert list(names) == sorted(set(names))
        assert len(names) == {"cifar10": 10, "cifar100": 100}[source]
        assert len(cifar.TABLES[source]) == groups
        assert {len(members) for members in cifar.TABLES[source].values()} == {len(names) // groups}
    assert list(cifar.CIFAR100_SUPERCLASSES) == sorted(cifar.CIFAR100_SUPERCLASSES)


def write_cifar(root: Path, source: str = "cifar10", size: int = 32) -> None:
    """One training and one test image a class, whose red channel is the class's number."""
    for split in ("train", "test"):
        for label, name in enumerate(cifar.class_names(source)):
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (size, size), (label, 1, 2)).save(root / split / name / "0.png")


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_a_tree_of_cifar_is_labelled_alphabetically(source, tmp_path):
    write_cifar(tmp_path, source)
    dataset = load(data(source, tmp_path))
    assert (
        dataset.train_labels.tolist()
        == dataset.train_images[:, 0, 0, 0].tolist()
        == list(range(len(dataset.class_names)))
    )
    assert len(dataset.semantic.coarse_names) == len(dataset.class_names) // {"cifar10": 2, "cifar100": 5}[source]
    assert (dataset.superclass is not None) == (source == "cifar100")


def test_a_tree_with_other_classes_than_cifars_is_refused(tmp_path):
    write_cifar(tmp_path)
    for split in ("train", "test"):
        (tmp_path / split / "truck").rename(tmp_path / split / "lorry")
    with pytest.raises(InputError, match="unknown class 'lorry'"):
        load(data("cifar10", tmp_path))
    for split in ("train", "test"):
        shutil.rmtree(tmp_path / split / "lorry")
    with pytest.raises(InputError, match="lacks the class 'truck'"):
        load(data("cifar10", tmp_path))
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(InputError, match="neither test/ nor val/"):
        load(data("cifar10", tmp_path))
    with pytest.raises(InputError, match="needs train/ and test/"):
        load(data("cifar10", tmp_path / "train"))


def test_a_tree_of_other_sizes_than_cifars_is_refused(tmp_path):
    write_cifar(tmp_path, size=16)
    with pytest.raises(InputError, match="16 x 16 x 3"):
        load(data("cifar10", tmp_path))


def members_of(source: str) -> dict[str, bytes]:
    """Every published file's name and small content: one record a class, of random pixels."""
    rng, contents = np.random.default_rng(0), {}
    fine = np.arange(len(cifar.class_names(source)), dtype=np.uint8)
    labels = np.stack([fine // 5, fine], axis=1)[:, -cifar.LABEL_BYTES[source] :]
    for member in [name for split in cifar.MEMBERS[source] for name in split]:
        pixels = rng.integers(0, 256, (len(fine), 3072), dtype=np.uint8)
        contents[member] = np.concatenate([labels, pixels], axis=1).tobytes()
    return contents


def entry(name: str, content: bytes = b"", **header) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in ({"size": len(content)} | header).items():
        setattr(info, key, value)
    return info, content


def write_archive(file: Path, entries: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> Path:
    with tarfile.open(file, mode, format=tarfile.PAX_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return file


@pytest.mark.parametrize("source", ["cifar10", "cifar100"])
def test_the_binary_archive_is_parsed_into_rows_columns_and_channels(source, tmp_path, monkeypatch):
    contents, classes, skipped = members_of(source), len(cifar.class_names(source)), cifar.LABEL_BYTES[source]
    others = [entry("batches.meta.txt", b"names"), entry("a/link", type=tarfile.SYMTYPE, linkname="/etc/passwd")]
    archive = write_archive(tmp_path / "archive.tar.gz", [*others, *(entry(*each) for each in contents.items())])
    monkeypatch.setattr(download, "fetch", lambda *_args: archive)
    dataset = load(data(source))
    for split, images in zip(cifar.MEMBERS[source], (dataset.train_images, dataset.test_images), strict=True):
        for part, name in zip(np.split(images, len(split)), split, strict=True):
            records = np.frombuffer(contents[name], np.uint8).reshape(classes, -1)[:, skipped:]
            assert np.array_equal(part.transpose(0, 3, 1, 2).reshape(classes, -1), records)
    assert np.array_equal(dataset.test_labels, np.arange(classes))


TEST = "cifar-10-batches-bin/test_batch.bin"
WHOLE = members_of("cifar10")[TEST]
LINK = "cifar-10-batches-bin/data_batch_1.bin"
ODD_ENTRIES = {  # in place of the file of test images
    "directory": ([entry(TEST, type=tarfile.DIRTYPE)], "test_batch.bin in it is not a plain file"),
    "symbolic link": ([entry(TEST, type=tarfile.SYMTYPE, linkname="data_batch_1.bin")], "not a plain file"),
    "symbolic link out": ([entry(TEST, type=tarfile.SYMTYPE, linkname="../../../etc/passwd")], "not a plain file"),
    "hard link": ([entry(TEST, type=tarfile.LNKTYPE, linkname=LINK)], "not a plain file"),
    "hard link to itself": ([entry(TEST, type=tarfile.LNKTYPE, linkname=TEST)], "not a plain file"),
    "FIFO": ([entry(TEST, type=tarfile.FIFOTYPE)], "not a plain file"),
    "character device": ([entry(TEST, type=tarfile.CHRTYPE, devmajor=1, devminor=5)], "not a plain file"),
    "block device": ([entry(TEST, type=tarfile.BLKTYPE)], "not a plain file"),
    "sparse": (
        [entry(TEST, b"0\n".ljust(512), pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})],
        "not a plain file",
    ),
    "missing": ([], "lacks .*test_batch.bin"),
    "another folder": ([entry("/" + TEST, WHOLE), entry("../" + TEST, WHOLE)], "lacks .*test_batch.bin"),
    "twice": ([entry(TEST, WHOLE), entry(TEST, WHOLE)], "holds .*test_batch.bin twice"),
    "empty": ([entry(TEST)], "test_batch.bin in it has 0 bytes"),
    "a byte short": ([entry(TEST, WHOLE[:-1])], r"has 30729 bytes, no multiple of a record's 3073"),
    "16-bit pixels": ([entry(TEST, np.frombuffer(WHOLE, np.uint8).astype(np.uint16)[:-1].tobytes())], "no multiple"),
    "a pickle": ([entry(TEST, b"\x80\x04cposix\nsystem\n")], "no multiple"),
    "unknown label": ([entry(TEST, b"\x0a" + WHOLE[1:])], "holds the label 10, but cifar10 has classes 0 to 9"),
    "class without image": ([entry(TEST, WHOLE[3073:])], "'airplane' has no test image"),
}


def refused_archive(archive: Path, named: str, monkeypatch) -> None:
    before = sorted(archive.parent.rglob("*"))
    monkeypatch.chdir(archive.parent)
    monkeypatch.setattr(download, "fetch", lambda *_args: archive)
    with pytest.raises(InputError, match=rf"archive\.tar\.gz is not the archive.*{named}.*delete it") as caught:
        load(data("cifar10"))
    assert "\n" not in str(caught.value)
    assert sorted(archive.parent.rglob("*")) == before, "something was extracted"


@pytest.mark.parametrize("kind", ODD_ENTRIES)
def test_an_odd_member_of_the_archive_is_named_and_nothing_is_extracted(kind, tmp_path, monkeypatch):
    odd, named = ODD_ENTRIES[kind]
    sound = [entry(*each) for each in members_of("cifar10").items() if each[0] != TEST]
    refused_archive(write_archive(tmp_path / "archive.tar.gz", [*sound, *odd]), named, monkeypatch)


def test_a_member_that_unfolds_into_more_than_was_published_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "LARGEST", len(WHOLE) - 1)
    entries = [entry(*each) for each in members_of("cifar10").items()]
    refused_archive(write_archive(tmp_path / "archive.tar.gz", entries), "more than any published file", monkeypatch)


SPOILT = {
    "truncated": lambda whole: whole[: len(whole) // 2],
    "without its checksum": lambda whole: whole[:-4],
    "empty": lambda whole: b"",
    "no gzip": lambda whole: gzip.decompress(whole),
    "gzip of text": lambda whole: gzip.compress(b"plain" * 1000),
    "gzip of nothing": lambda whole: gzip.compress(b""),
    "damaged within": lambda whole: whole[:2000] + bytes(64) + whole[2064:],
    "header overwritten": lambda whole: gzip.compress(b"\xff" * 512 + gzip.decompress(whole)[512:]),
    "a folder": None,
}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_archive_is_named(kind, tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "archive.tar.gz", [entry(*each) for each in members_of("cifar10").items()])
    spoil, whole = SPOILT[kind], archive.read_bytes()
    archive.unlink()
    if spoil is None:
        archive.mkdir()
    else:
        archive.write_bytes(spoil(whole))
    refused_archive(archive, "", monkeypatch)


def test_real_cifar_images_have_the_published_statistics(tmp_path):
    if "HIDDEN_STRUCTURE_IMAGES" not in os.environ:
        pytest.skip("set HIDDEN_STRUCTURE_IMAGES to a folder with cifar10/train/airplane/*.png ...")
    real = Path(os.environ["HIDDEN_STRUCTURE_IMAGES"]) / "cifar10"
    for split, count in (("train", 100), ("test", 2)):
        for name in cifar.class_names("cifar10"):
            (tmp_path / split / name).mkdir(parents=True)
            for file in sorted((real / split / name).iterdir())[:count]:
                shutil.copy(file, tmp_path / split / name)
    dataset = load(data("cifar10", tmp_path))
    mean, std = channel_statistics(dataset.train_images)
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.02)
    assert std == pytest.approx([0.2470, 0.2435, 0.2616], abs=0.02)
    assert set(Counter(dataset.train_labels.tolist()).values()) == {100}


def test_the_header_of_an_idx_file_may_not_ask_for_more_memory_than_any_file_holds(tmp_path):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(b"\0\0\x08\x03" + b"\0\1\0\0" * 3)
    with pytest.raises(InputError, match="cannot be"):
        idx.read(file, dimensions=3)
