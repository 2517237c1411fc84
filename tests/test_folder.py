import errno
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from hidden_structure.datasets import folder
from hidden_structure.datasets.images import LARGEST, decode, read_images
from hidden_structure.frame.errors import InputError

SIDE = 6


def write(file: Path, mode: str = "RGB", colour: tuple[int, int, int] = (200, 100, 50), side: int = SIDE) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).convert(mode).save(file)
    return file


def write_tree(root: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 5, mode: str = "RGB") -> Path:
    for label, name in enumerate(classes):
        for i in range(count):
            write(root / name / f"{i}.png", mode, (40 * label, i, 100))
    return root


def load(root: Path, size: int | None = None, superclasses: Path | None = None, fraction: float = 0.2, seed: int = 0):
    return folder.load(root, size, fraction, seed, superclasses)


def refused(root: Path, named: str, **other) -> None:
    with pytest.raises(InputError, match=named) as caught:
        load(root, **other)
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value), "no remedy"


# The tree


def test_one_level_of_classes_is_split_by_class_and_repeatably(tmp_path):
    dataset = load(write_tree(tmp_path, count=10), fraction=0.3)
    assert dataset.class_names == ("cat", "dog")
    assert np.bincount(dataset.test_labels).tolist() == [3, 3]
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        assert np.array_equal(images[:, 0, 0, 0], 40 * labels)
    seen = {tuple(image[0, 0]) for image in np.concatenate([dataset.train_images, dataset.test_images])}
    assert len(seen) == 20, "an image is in both splits"
    assert np.array_equal(dataset.test_images, load(tmp_path, fraction=0.3).test_images)
    assert not np.array_equal(dataset.test_images, load(tmp_path, fraction=0.3, seed=1).test_images)


@pytest.mark.parametrize("held_out", ["test", "Test", "testing", "val", "VALID", "Validation"])
@pytest.mark.parametrize("trained", ["train", "Train", "training"])
def test_a_tree_with_its_own_splits_keeps_them_in_every_common_spelling(trained, held_out, tmp_path):
    write_tree(tmp_path / trained, count=3)
    write_tree(tmp_path / held_out, count=2)
    (tmp_path / "README.roboflow.txt").write_text("exported")
    dataset = load(tmp_path)
    assert dataset.class_names == ("cat", "dog")
    assert np.bincount(dataset.train_labels).tolist() == [3, 3]
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_validation_images_are_left_out_with_a_line_where_there_is_a_test_set(validation, tmp_path, capsys):
    write_tree(tmp_path / "train", count=3)
    write_tree(tmp_path / "Test", count=2)
    write_tree(tmp_path / validation, count=4)
    dataset = load(tmp_path)
    assert np.bincount(dataset.test_labels).tolist() == [2, 2]
    assert len(dataset.train_labels) == 6
    assert f"{validation} is left out: Test/ is the test set" in capsys.readouterr().out


AMBIGUOUS = {
    "training set among classes": (("train", "cat", "dog"), "train/, which is a split, beside cat/, which is not"),
    "test set among classes": (("Test", "bus", "car"), "Test/, which is a split, beside bus/, which is not"),
    "class beside both": (("train", "test", "cat"), "beside cat/, which is not: move the classes into train/"),
    "two spellings of training": (("train", "Training", "test"), "two folders of training images"),
    "two spellings of test": (("train", "test", "testing"), "two folders of test images"),
    "two spellings of validation": (("train", "val", "valid"), "two folders of validation images, val/ and valid/"),
    "no training set": (("test", "valid"), "has test/ but no train/"),
    "no test set": (("Training",), "has Training/ but neither test/ nor val/"),
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_folders_that_may_be_splits_or_classes_are_refused(kind, tmp_path):
    names, named = AMBIGUOUS[kind]
    for name in names:
        write_tree(tmp_path / name)
        write(tmp_path / name / "0.png")
    refused(tmp_path, named)


def test_inside_a_split_a_class_may_be_called_as_a_split(tmp_path):
    for split in ("train", "test"):
        write_tree(tmp_path / split, classes=("bus", "test", "train"))
    assert load(tmp_path).class_names == ("bus", "test", "train")


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"  # one text, as Linux and as macOS mostly spell it


def test_two_spellings_of_one_name_in_unicode_are_one_class(tmp_path):
    write_tree(tmp_path / "train", classes=(DECOMPOSED, "bar", "cafeteria"))
    write_tree(tmp_path / "test", classes=("bar", "cafeteria", COMPOSED))
    table = tmp_path / "table.yaml"
    table.write_text(f"small: [{DECOMPOSED}, bar]\nlarge: [cafeteria]\n", encoding="utf-8")
    dataset = load(tmp_path, superclasses=table)
    assert dataset.class_names == ("bar", "cafeteria", COMPOSED)
    assert np.bincount(dataset.test_labels).tolist() == [5, 5, 5]
    assert dataset.superclass.coarse_of.tolist() == [0, 1, 0]


def test_classes_are_numbered_as_torchvision_does_however_their_folders_are_spelt(tmp_path):
    """A network that was trained by its loader has its outputs in that order."""
    spelt = {DECOMPOSED: COMPOSED, "bar": "bar", "caff": "caff"}  # the decomposed one comes before caff, else after it
    for label, (name, other) in enumerate(spelt.items()):
        write(tmp_path / "train" / name / "0.png", colour=(label, 0, 0))
        write(tmp_path / "test" / other / "0.png", colour=(label, 0, 1))
    loader = ImageFolder(tmp_path / "train")
    dataset = load(tmp_path)
    assert dataset.class_names == tuple(spelt[name] for name in loader.classes)
    wanted = [list(spelt).index(name) for name in loader.classes]
    assert dataset.train_images[:, 0, 0, 0].tolist() == dataset.test_images[:, 0, 0, 0].tolist() == wanted


def test_two_folders_of_one_class_are_refused_by_their_code_points(tmp_path):
    write_tree(tmp_path, classes=(COMPOSED, DECOMPOSED, "bar"))
    refused(tmp_path, r"\('caf\\xe9'\).*\('cafe\\u0301'\).*move the images of one into the other|u0301.*xe9")


def test_classes_that_only_look_the_same_are_told_apart_in_the_message(tmp_path):
    write_tree(tmp_path / "train", classes=("cat", "dog"))
    write_tree(tmp_path / "test", classes=("c\u0430t", "dog"))  # a Cyrillic a
    refused(tmp_path, r"class 'cat' is in .*train but not in .*test, which has .* \('c\\u0430t'\)")


def test_hidden_files_and_those_of_file_managers_are_passed_over(tmp_path):
    write_tree(tmp_path)
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    assert len(load(tmp_path).train_images) == 8


def test_links_are_followed_inside_the_folder_only(tmp_path):
    root = write_tree(tmp_path / "root")
    (root / "cat" / "again.png").symlink_to(root / "cat" / "0.png")
    assert len(load(root).train_images) + len(load(root).test_images) == 11
    (tmp_path / "entry").symlink_to(root)
    assert len(load(tmp_path / "entry").train_labels) == len(load(root).train_labels)
    outside = write(tmp_path / "outside.png")
    (root / "dog" / "out.png").symlink_to(outside)
    refused(root, r"dog/out\.png is a link that leads out")


@pytest.mark.parametrize("target", ["outside", "nowhere", "loop"])
def test_a_class_that_is_a_link_out_broken_or_in_a_loop_is_refused(target, tmp_path):
    root = write_tree(tmp_path / "root")
    write_tree(tmp_path / "outside")
    (root / "loop").symlink_to({"outside": tmp_path / "outside" / "cat"}.get(target, root / target))
    refused(root, "root/loop is a (broken )?link")


def test_a_class_without_images_is_named(tmp_path):
    write_tree(tmp_path)
    (tmp_path / "eel").mkdir()
    (tmp_path / "eel" / ".keep").touch()
    refused(tmp_path, "eel holds no image")


def test_a_class_with_one_image_cannot_be_split(tmp_path):
    write_tree(tmp_path)
    write(tmp_path / "eel" / "0.png")
    refused(tmp_path, "'eel' has no test image")


def test_one_class_or_none_is_refused(tmp_path):
    refused(tmp_path, "for 0 classes, it needs two")
    write_tree(tmp_path, classes=("cat",))
    refused(tmp_path, "for 1 classes, it needs two")


def test_splits_with_different_classes_are_refused(tmp_path):
    write_tree(tmp_path / "train", classes=("cat", "dog", "eel"))
    write_tree(tmp_path / "test", classes=("cat", "dog"))
    refused(tmp_path, "class 'eel' is in .*train but not in .*test")
    write_tree(tmp_path / "test", classes=("eel", "fox"))
    refused(tmp_path, "class 'fox' is in .*test but not in .*train")


def test_a_training_set_without_a_test_set_is_refused(tmp_path):
    write_tree(tmp_path / "train")
    refused(tmp_path, "neither test/ nor val/")


def test_images_without_folders_of_classes_are_told_so(tmp_path):
    write(tmp_path / "0.png")
    write(tmp_path / "1.png")
    refused(tmp_path, r"has no folders of classes: put every image into one, as .*/<class>/0\.png")


def test_what_is_not_in_its_place_is_named(tmp_path):
    write_tree(tmp_path)
    stray = write(tmp_path / "stray.png")
    refused(tmp_path, r"stray\.png lies beside")
    stray.unlink()
    (tmp_path / "cat" / "inner").mkdir()
    refused(tmp_path, "inner is not a file")
    (tmp_path / "cat" / "inner").rmdir()
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    refused(tmp_path, r"pipe\.png is not a file")


def test_a_class_whose_name_cannot_be_printed_is_refused(tmp_path):
    write_tree(tmp_path, classes=("cat", "dog", "e\nel"))
    refused(tmp_path, "cannot name a class")


# Images


def test_images_of_mixed_modes_become_rgb(tmp_path):
    modes = {
        "L": "png",
        "RGB": "png",
        "RGBA": "png",
        "P": "png",
        "LA": "png",
        "1": "png",
        "CMYK": "jpg",
        "YCbCr": "jpg",
    }
    for name in ("cat", "dog"):
        for mode, suffix in modes.items():
            write(tmp_path / name / f"{mode}.{suffix}", mode, (255, 255, 255))
    dataset = load(tmp_path)
    assert dataset.train_images.shape[1:] == (SIDE, SIDE, 3)
    assert dataset.train_images.min() >= 254, "white is white in every mode"


def test_a_folder_of_grey_images_has_one_channel_and_one_coloured_image_gives_three(tmp_path):
    write_tree(tmp_path, mode="L")
    write(tmp_path / "cat" / "9.png", "1")
    grey = load(tmp_path)
    assert grey.train_images.shape[3] == 1
    write(tmp_path / "cat" / "0.png", "RGB")
    assert load(tmp_path).train_images.shape[3] == 3


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_class_that_its_colours_alone_tell_apart_is_told(mode, tmp_path, capsys):
    write_tree(tmp_path)
    load(tmp_path)
    assert "grey" not in capsys.readouterr().out
    for number in range(5):
        write(tmp_path / "bird" / f"{number}.png", mode, (number, number, number))
    load(tmp_path)
    assert capsys.readouterr().out.count("all images of bird are grey, those of other classes in colour") == 1
    write(tmp_path / "bird" / "3.png")
    load(tmp_path)
    assert "grey" not in capsys.readouterr().out


def test_images_that_are_in_both_splits_or_in_two_classes_are_told_and_read_as_ever(tmp_path, capsys):
    for split in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            for number in range(3):
                write(tmp_path / split / name / f"{number}.png", colour=(40 * label, number, len(split)))
    load(tmp_path)
    assert capsys.readouterr().out == ""
    for number in range(2):
        write(tmp_path / "test/cat" / f"{number}.bmp", colour=(0, number, 5))  # the same pixels in another format
    dataset = load(tmp_path)
    (line,) = capsys.readouterr().out.splitlines()
    twins = f"{tmp_path}/test/cat/0.bmp and {tmp_path}/train/cat/0.png"
    assert line == f"test images that are training images, too: 2 of 8, such as {twins}; accuracies count them"
    assert len(dataset.test_images) == 8
    write(tmp_path / "train/dog/9.png", colour=(0, 2, 5))
    load(tmp_path)
    told = f"images that are in several classes: 1, such as {tmp_path}/train/cat/2.png and {tmp_path}/train/dog/9.png"
    assert capsys.readouterr().out.splitlines() == [line, told]


def test_images_count_as_one_where_they_are_read_alike(tmp_path, capsys):
    """As they are, they differ; resized to a pixel, they do not."""
    for name, colour in (("cat", 100), ("dog", 200)):
        for place in range(4):
            image = Image.new("L", (SIDE, SIDE), colour)
            image.putpixel((place, 0), colour + 1)
            image.save(write(tmp_path / name / f"{place}.png"))
    load(tmp_path)
    assert capsys.readouterr().out == ""
    load(tmp_path, size=1)
    assert "training images, too: 2 of 2" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["grey with alpha", "grey palette", "palette with transparency", "gif"])
def test_files_without_a_colour_have_one_channel(kind, tmp_path):
    grey = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 16 * 16)
    file, options = tmp_path / ("image.gif" if kind == "gif" else "image.png"), {}
    if kind == "grey with alpha":
        stored = grey.convert("LA")
    else:
        stored = Image.fromarray(np.asarray(grey) // 16, "P") if kind != "gif" else grey
        if kind != "gif":
            stored.putpalette([16 * level for level in range(16) for _ in range(3)])
        options = {"transparency": bytes([255] * 15 + [0])} if "transparency" in kind else {}
    stored.save(file, **options)
    images = read_images([file], None)
    assert images.shape == (1, SIDE, SIDE, 1)
    np.testing.assert_array_equal(images[0, ..., 0], np.asarray(grey))


def test_colours_of_a_palette_and_of_transparent_pixels_are_kept(tmp_path):
    palette = Image.new("P", (SIDE, SIDE), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=bytes([255, 0]))
    Image.new("RGBA", (SIDE, SIDE), (10, 20, 30, 0)).save(tmp_path / "alpha.png")
    images = read_images([tmp_path / "palette.png", tmp_path / "alpha.png"], None)
    assert (images == [10, 20, 30]).all()


def test_16_bit_greys_are_scaled_not_clipped(tmp_path):
    levels = np.array([[0, 128, 129], [32767, 65406, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    images = read_images([tmp_path / "deep.png"], None)
    assert images[0, ..., 0].tolist() == [[0, 0, 1], [127, 254, 255]]
    assert images.shape[3] == 1


def write_deep(file: Path, values: np.ndarray) -> Path:
    """A PNG of 16 bits, as no Pillow writes it of colours: values (H, W), (H, W, 2) with alpha, or (H, W, 3)."""
    values = np.atleast_3d(values)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {1: 0, 2: 4, 3: 2}[values.shape[2]]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(png(struct.pack(">IIBBBBB", *values.shape[1::-1], 16, colour, 0, 0, 0), rows))
    return file


@pytest.mark.parametrize("bits", [8, 10, 12, 15, 16])
def test_greys_of_16_bits_keep_their_levels_however_many_bits_the_data_set_uses(bits, tmp_path, capsys):
    most = 2**bits - 1
    dark, bright = np.linspace(0, most // 3, 16).reshape(4, 4).round(), np.linspace(0, most, 16).reshape(4, 4).round()
    files = [write_deep(tmp_path / f"{i}.png", values) for i, values in enumerate((dark, bright))]
    Image.fromarray(np.full((4, 4), 77, np.uint8)).save(tmp_path / "plain.png")
    images = read_images([*files, tmp_path / "plain.png"], None)[..., 0]
    assert np.abs(images[0] - 255 * dark / most).max() <= 0.5, "not on the scale of the data set"
    assert np.abs(images[1] - 255 * bright / most).max() <= 0.5
    assert (images[2] == 77).all(), "an image of 8 bits has its own range"
    assert f"use {bits} of them: 0 to {most} become 0 to 255" in capsys.readouterr().out


@pytest.mark.parametrize("becomes", [None, (5, 5)])
def test_a_file_that_changes_while_images_are_read_is_named(becomes, tmp_path, monkeypatch):
    """Greys of 16 bits are read twice: once to see how many of them are used."""
    files = [write_deep(tmp_path / f"{i}.png", np.full((4, 4), 4095)) for i in range(3)]

    def changing(file: Path, size: int | None, bits: int = 16) -> tuple[np.ndarray, int, bool]:
        if bits < 16 and file == files[1]:
            file.unlink()
            if becomes:
                write_deep(file, np.full(becomes, 4095))
        return decode(file, size, bits)

    monkeypatch.setattr("hidden_structure.datasets.images.decode", changing)
    with pytest.raises(InputError, match=r"1\.png (cannot be read|is 5 x 5 pixels, but .*0\.png is 4 x 4)"):
        read_images(files, None)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_an_image_that_may_not_be_read_is_not_called_damaged(number, tmp_path, monkeypatch):
    write_tree(tmp_path)

    def denied(file, **options):
        raise OSError(number, os.strerror(number), str(file))

    monkeypatch.setattr(Image, "open", denied)  # not by its mode, which does not stop root
    with pytest.raises(InputError, match=rf"cat/0\.png cannot be read \({os.strerror(number)}\): correct the file or"):
        read_images([tmp_path / "cat/0.png"], None)


def test_a_deep_grey_map_of_netpbm_is_read_too(tmp_path):
    values = np.array([[0, 2047], [4095, 1]], dtype=">u2")
    (tmp_path / "deep.pgm").write_bytes(b"P5 2 2 65535\n" + values.tobytes())
    assert read_images([tmp_path / "deep.pgm"], None)[0, ..., 0].tolist() == [[0, 127], [255, 0]]


@pytest.mark.parametrize("suffix", ["png", "ppm"])
def test_colours_of_16_bits_that_would_be_crushed_to_a_few_levels_are_refused(suffix, tmp_path):
    file, values = tmp_path / f"deep.{suffix}", np.full((2, 2, 3), 3840)

    def save(values: np.ndarray) -> None:
        if suffix == "png":
            write_deep(file, values)
        else:
            file.write_bytes(b"P6 2 2 65535\n" + values.astype(">u2").tobytes())

    save(values)
    with pytest.raises(InputError, match=rf"16 bits, such as .*deep\.{suffix}, use 12 of them, of which 16 levels"):
        read_images([file], None)
    save(16 * values)
    assert read_images([file], None).min() >= 239


def test_greys_of_16_bits_with_alpha_have_one_channel_and_are_refused_where_levels_would_be_lost(tmp_path):
    levels = np.linspace(0, 65535, 16).reshape(4, 4).round()
    file, alpha = tmp_path / "deep.png", np.full((4, 4), 65535)
    images = read_images([write_deep(file, np.dstack([levels, alpha]))], None)
    assert images.shape == (1, 4, 4, 1)
    assert np.abs(images[0, ..., 0] - levels / 257).max() <= 1
    write_deep(file, np.dstack([levels // 16, alpha]))
    with pytest.raises(InputError, match=r"alpha of 16 bits, such as .*deep\.png, use 12 of them, of which 16 levels"):
        read_images([file], None)


def test_the_orientation_of_a_camera_is_applied(tmp_path):
    upright = Image.new("RGB", (8, 4), "white")
    upright.paste("black", (0, 0, 4, 4))
    tags = Image.Exif()
    tags[0x0112] = 6  # to be turned a quarter clockwise
    upright.save(tmp_path / "turned.png", exif=tags)
    image = read_images([tmp_path / "turned.png"], None)[0]
    assert image.shape == (8, 4, 3)
    assert image[:4].max() == 0
    assert image[4:].min() == 255


def test_images_are_resized_to_the_same_mean_colour(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    write(tmp_path / "flat.png", side=3)
    images = read_images([tmp_path / "noise.png", tmp_path / "flat.png"], 8)
    assert images.shape == (2, 8, 8, 3)
    assert images[0].mean() == pytest.approx(pixels.mean(), abs=3)
    assert images[0].std() < pixels.std() / 4, "no antialiasing: noise is not averaged"
    assert (images[1] == [200, 100, 50]).all()


def test_images_of_two_sizes_need_a_size(tmp_path):
    write_tree(tmp_path)
    write(tmp_path / "dog" / "2.png", side=7)
    with pytest.raises(InputError, match=r"7 x 7 pixels.*data\.size"):
        load(tmp_path)
    assert load(tmp_path, size=5).train_images.shape[1:] == (5, 5, 3)


def test_images_keep_the_order_of_their_files(tmp_path):
    files = [write(tmp_path / f"{i}.png", colour=(i, 0, 1)) for i in range(100)]
    assert read_images(files, None)[:, 0, 0, 0].tolist() == list(range(100))


PROFILE = b"Raw profile type exif\0"
DAMAGED_EXIF = {
    "chunk": (b"eXIf", b"garbage"),
    "cut": (b"eXIf", b"MM\0*\0\0\0\x08\0\x09"),
    "text": (b"tEXt", PROFILE + b"\nexif\n  4\nno hexadecimal\n"),
    "odd text": (b"tEXt", PROFILE + b"4"),
}


@pytest.mark.parametrize("kind", DAMAGED_EXIF)
def test_malformed_metadata_are_of_no_consequence(kind, tmp_path):
    row = bytes(range(3 * SIDE))
    content = png(struct.pack(">IIBBBBB", SIDE, 2, 8, 2, 0, 0, 0), 2 * (b"\0" + row), DAMAGED_EXIF[kind])
    (tmp_path / "odd.png").write_bytes(content)
    assert read_images([tmp_path / "odd.png"], None).tobytes() == 2 * row
    (tmp_path / "odd.png").write_bytes(content[:-30])
    with pytest.raises(InputError, match=r"odd\.png is not a readable image"):
        read_images([tmp_path / "odd.png"], None)


def png(header: bytes, rows: bytes, *further: tuple[bytes, bytes]) -> bytes:
    chunks = b""
    for kind, content in ((b"IHDR", header), *further, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        chunks += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return b"\x89PNG\r\n\x1a\n" + chunks


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size in its header and holds hardly any pixels."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"\0" * 100)


@pytest.mark.parametrize("width", [LARGEST // 5000 + 1, 20_000, 2_000_000])
def test_an_image_that_claims_too_many_pixels_is_refused_before_it_is_decoded(width, tmp_path):
    write_tree(tmp_path)
    (tmp_path / "dog" / "bomb.png").write_bytes(png_header(width, 5000))
    refused(tmp_path, r"bomb\.png has more than 50 megapixels")


BAD_FILES = {
    "not an image": b"some text",
    "empty": b"",
    "no pixels": png_header(SIDE, SIDE),
    "a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 6\n",
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_readable_image_is_named(kind, tmp_path):
    write_tree(tmp_path)
    (tmp_path / "dog" / "bad.png").write_bytes(BAD_FILES[kind])
    refused(tmp_path, r"dog/bad\.png is not a")


def test_of_many_images_that_cannot_be_read_the_count_and_the_first_five_are_named(tmp_path):
    write_tree(tmp_path, count=10)
    bad = sorted(tmp_path.glob("*/[0-6].png"))
    for file in bad:
        file.write_bytes(b"some text")
    with pytest.raises(InputError, match=r"^14 of 20 images cannot be used: .*; and 9 more$") as caught:
        load(tmp_path)
    assert str(caught.value).count("is not an image in") == 5
    for file in bad[:2]:
        file.unlink()
    for file in bad[3:]:
        write(file, colour=(1, 2, 3))
    refused(tmp_path, rf"^{bad[2]} is not an image")


def test_a_size_is_that_of_the_first_image_that_can_be_read(tmp_path):
    write_tree(tmp_path)
    for file in sorted((tmp_path / "cat").iterdir()):
        file.write_bytes(b"some text")
    refused(tmp_path, r"^5 of 10 images cannot be used: .*cat/4\.png is not an image in .*remove or convert it$")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "tiff"])
def test_a_truncated_image_is_named(suffix, tmp_path):
    write_tree(tmp_path)
    file = tmp_path / "dog" / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file)
    os.truncate(file, file.stat().st_size // 2)
    refused(tmp_path, rf"dog/cut\.{suffix} is not a")


def test_values_without_a_range_are_refused(tmp_path):
    write_tree(tmp_path)
    Image.new("F", (SIDE, SIDE), 0.5).save(tmp_path / "dog" / "float.tiff")
    refused(tmp_path, r"float\.tiff .*no fixed range")


# Super-classes


def test_a_table_of_superclasses_is_read(tmp_path):
    root = write_tree(tmp_path / "images", classes=("ant", "bee", "cat"))
    table = tmp_path / "table.yaml"
    table.write_text("insects:\n  - bee\n  - ant\nmammals: [cat]\n")
    superclass = load(root, superclasses=table).superclass
    assert superclass.coarse_names == ("insects", "mammals")
    assert superclass.coarse_of.tolist() == [0, 0, 1]
    assert load(root).superclass is None


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("insects: [ant, bee]\n", "in no group: cat"),
        ("insects: [ant, bee]\nmammals: [cat, ant]\n", "'ant'"),
        ("insects: [ant, bees]\nmammals: [cat]\n", "did you mean 'bee'"),
        ("insects: [ant, bee, cat]\nmammals: []\n", "'mammals' has no class"),
        ("all: [ant, bee, cat]\n", "at least two"),
        ("insects: ant\n", "must map"),
        ("1: [ant]\n", "must map"),
        ("- ant\n", "must map"),
        ("", "must map"),
        ("a: [ant\nb: ]\n", "not valid YAML"),
        ("a: [ant]\na: [bee]\n", "not valid YAML"),
        ("a: !!python/object:os.system [ant]\n", "not valid YAML"),
        ("a: !!bool x\n", "not valid YAML"),
        ("a: !!int ''\n", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("[" * 400, "not valid YAML"),
    ],
)
def test_a_wrong_table_of_superclasses_is_named(content, named, tmp_path):
    root = write_tree(tmp_path / "images", classes=("ant", "bee", "cat"))
    table = tmp_path / "table.yaml"
    table.write_text(content)
    refused(root, named, superclasses=table)
    refused(root, r"data\.superclasses .*table\.yaml", superclasses=table)


def test_a_missing_table_of_superclasses_is_named(tmp_path):
    root = write_tree(tmp_path / "images")
    refused(root, "nowhere is missing", superclasses=tmp_path / "nowhere")
    refused(root, "images is not a regular file", superclasses=root)
