import numpy as np
import pytest
import torch

from hidden_structure.frame import params
from hidden_structure.frame.errors import InputError
from hidden_structure.networks.build import build
from hidden_structure.seeding import torch_generator
from hidden_structure.training import batches
from hidden_structure.training.batches import Images, augmented, evaluation_batches, on_device, training_batches


def coloured_images(count: int = 37, height: int = 6, width: int = 5) -> Images:
    pixels = np.random.default_rng(0).integers(1, 256, (count, height, width, 3), dtype=np.uint8)
    return on_device(pixels, np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3]), torch.device("cpu"))


def epoch(images: Images, batch_size: int = 8, **options) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Labels are the images' numbers, so that a batch tells which images it holds."""
    numbers = torch.arange(len(images.pixels))
    generators = torch_generator("order", 0), torch_generator("augmentation", 0)
    return list(training_batches(images, numbers, batch_size, *generators, **options))


def original_pixels(images: Images, batch: torch.Tensor) -> torch.Tensor:
    """The uint8 pixels (b, H, W, channels) whose normalised form is the batch."""
    return ((batch.permute(0, 2, 3, 1) - images.shift) / images.scale).round().to(torch.uint8)


def test_normalised_pixels_have_the_stated_mean_and_deviation():
    images = coloured_images()
    expected = (images.pixels / 255 - torch.tensor([0.4, 0.5, 0.6])) / torch.tensor([0.2, 0.25, 0.3])
    torch.testing.assert_close(torch.cat(list(evaluation_batches(images, 10))), expected.permute(0, 3, 1, 2))


def test_an_epoch_shows_every_image_at_most_once_and_as_many_as_fit():
    batches = epoch(coloured_images())
    numbers = torch.cat([labels for _, labels in batches]).tolist()
    assert [len(labels) for _, labels in batches] == [8, 8, 8, 8]
    assert len(set(numbers)) == 32
    assert numbers != sorted(numbers)


def test_without_augmentation_batches_hold_the_images_of_their_labels():
    images = coloured_images()
    for batch, labels in epoch(images):
        assert torch.equal(original_pixels(images, batch), images.pixels[labels])
        assert batch.is_contiguous(memory_format=torch.channels_last)


def test_flip_mirrors_some_images_and_leaves_the_others():
    images = coloured_images()
    mirrored = []
    for batch, labels in epoch(images, flip=True):
        for shown, original in zip(original_pixels(images, batch), images.pixels[labels], strict=True):
            assert torch.equal(shown, original) or torch.equal(shown, original.flip(1))
            mirrored.append(torch.equal(shown, original.flip(1)))
    assert {True, False} == set(mirrored)


def test_a_crop_is_a_window_of_the_image_on_black():
    images = coloured_images()
    offsets = set()
    for batch, labels in epoch(images, crop=2):
        for shown, original in zip(original_pixels(images, batch), images.pixels[labels], strict=True):
            padded = torch.zeros(10, 9, 3, dtype=torch.uint8)
            padded[2:8, 2:7] = original
            windows = {(y, x): padded[y : y + 6, x : x + 5] for y in range(5) for x in range(5)}
            fits = [place for place, window in windows.items() if torch.equal(window, shown)]
            assert len(fits) == 1
            offsets.update(fits)
    assert len(offsets) > 5


@pytest.mark.parametrize("options", [{}, {"crop": 2, "flip": True}])
def test_processes_share_exactly_the_batches_of_one_process(options):
    whole = epoch(coloured_images(), **options)
    halves = [epoch(coloured_images(), **options, share=(rank, 2)) for rank in (0, 1)]
    for (images, labels), *parts in zip(whole, *halves, strict=True):
        for rank, (part_images, part_labels) in enumerate(parts):
            assert torch.equal(images[rank::2], part_images)
            assert torch.equal(labels[rank::2], part_labels)


def test_chunks_leave_no_trace(monkeypatch):
    whole = epoch(coloured_images(), crop=1, flip=True)
    monkeypatch.setattr("hidden_structure.training.batches.CHUNK_VALUES", {"cpu": 1})
    for (images, labels), (same_images, same_labels) in zip(
        whole, epoch(coloured_images(), crop=1, flip=True), strict=True
    ):
        assert torch.equal(images, same_images)
        assert torch.equal(labels, same_labels)


@pytest.mark.parametrize("size", [1, 2**19])
@pytest.mark.parametrize("options", [{}, {"crop": 1, "flip": True}])
def test_an_epoch_is_the_same_from_any_batch_on(monkeypatch, options, size):
    whole = epoch(coloured_images(), **options)
    monkeypatch.setattr("hidden_structure.training.batches.CHUNK_VALUES", {"cpu": size})
    for first in range(4):
        rest = epoch(coloured_images(), **options, first=first)
        for (images, labels), (same_images, same_labels) in zip(whole[first:], rest, strict=True):
            assert torch.equal(images, same_images)
            assert torch.equal(labels, same_labels)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_augmented_images_are_crops_of_the_padded_images_in_their_order(padding):
    images = coloured_images()
    shown = augmented(images, torch_generator("augmentation", 0), crop=2, flip=True, padding=padding).pixels
    mode = {"zero": "constant"}.get(padding, padding)
    padded = torch.nn.functional.pad(images.pixels.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode)
    padded = padded.byte().permute(0, 2, 3, 1)
    places = set()
    for pixels, whole in zip(shown, padded, strict=True):
        found = [
            (top, left, mirrored)
            for top in range(5)
            for left in range(5)
            for mirrored in (False, True)
            if torch.equal(pixels.flip(1) if mirrored else pixels, whole[top : top + 6, left : left + 5])
        ]
        assert found
        places.update(found)
    assert len(places) > 10


def test_augmented_images_without_crop_and_flip_are_the_images():
    images = coloured_images()
    assert torch.equal(augmented(images, torch_generator("augmentation", 0), 0, False).pixels, images.pixels)


def test_reflection_pads_with_the_image_itself():
    """As torch.nn.functional.pad does, which knows no bytes."""
    images = coloured_images()
    padded = batches._padded(images.pixels, 2, "reflect")
    expected = torch.nn.functional.pad(images.pixels.permute(0, 3, 1, 2).float(), (2, 2, 2, 2), mode="reflect")
    assert torch.equal(padded, expected.permute(0, 2, 3, 1).to(torch.uint8))


@pytest.mark.parametrize("size", [1, 2, 3])
def test_reflection_pads_as_far_as_the_image_is_large(size):
    pixels = torch.arange(size * size, dtype=torch.uint8).reshape(1, size, size, 1)
    padded = batches._padded(pixels, size, "reflect")
    assert padded.shape == (1, 3 * size, 3 * size, 1)
    assert set(padded.unique().tolist()) <= set(pixels.unique().tolist())


def test_alternating_flips_show_both_sides_of_every_image_in_two_epochs():
    flips = [batches.alternating_flips(100, number, torch_generator("flips", 0)) for number in range(3)]
    assert torch.equal(flips[0], ~flips[1])
    assert torch.equal(flips[0], flips[2])
    assert 20 < flips[0].sum() < 80


def test_the_images_that_are_named_are_mirrored_and_no_others():
    images = coloured_images()
    flips = torch.arange(37) % 3 == 0
    for batch, labels in epoch(images, flip=flips):
        for pixels, number in zip(original_pixels(images, batch), labels, strict=True):
            expected = images.pixels[number].flip(1) if flips[number] else images.pixels[number]
            assert torch.equal(pixels, expected)


@pytest.mark.parametrize(
    ("network", "side", "precision", "expected"),
    [
        ({"name": "mlp", "depth": 2, "width": 8, "norm": "batch"}, 8, torch.float32, batches.MOST),
        ({"name": "resnet", "depth": 8, "width": 16, "norm": "batch"}, 32, torch.float32, 64),
        ({"name": "resnet", "depth": 8, "width": 16, "norm": "batch"}, 32, torch.bfloat16, 128),
        ({"name": "resnet", "depth": 8, "width": 16, "norm": "batch"}, 16, torch.float32, 256),
        ({"name": "resnet", "depth": 8, "width": 64, "norm": "batch"}, 32, torch.float32, batches.FEWEST),
    ],
    ids=str,
)
def test_evaluation_is_fastest_where_the_largest_feature_map_stays_in_the_cache(network, side, precision, expected):
    built = build(params.Network(**network), (side, side, 3), 10)
    images = Images(torch.zeros(3, side, side, 3, dtype=torch.uint8), torch.ones(3), torch.zeros(3))
    state = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    assert batches.fastest_batch_size(built, images, precision) == expected
    compared = batches.fastest_batch_size(built, images, precision, compared=True)
    assert compared == (expected if expected == batches.MOST else expected // 2)
    assert built.training
    assert not any(module._forward_hooks for module in built.modules())
    assert all(torch.equal(tensor, state[name]) for name, tensor in built.state_dict().items())


@pytest.mark.parametrize("compared", [False, True])
def test_a_network_of_large_weights_on_small_images_reads_them_for_many_images_at_once(compared):
    """As torchvision's are, made for larger images: their weights take far longer to read than an image's values."""
    built = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2**15), torch.nn.Linear(2**15, 2))
    images = Images(torch.zeros(3, 8, 8, 3, dtype=torch.uint8), torch.ones(3), torch.zeros(3))
    assert batches.fastest_batch_size(built, images, torch.float32, compared) == 97  # 195 weights a unit


def test_tensors_and_arrays_are_the_same_images():
    pixels, mean, std = torch.zeros(2, 4, 4, 3, dtype=torch.uint8), torch.full((3,), 0.5), torch.full((3,), 0.25)
    one, other = (
        on_device(*own, torch.device("cpu"))
        for own in ((pixels, mean, std), map(torch.Tensor.numpy, (pixels, mean, std)))
    )
    assert torch.equal(one.normalise(one.pixels), other.normalise(other.pixels))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pixels": np.zeros((2, 8, 8, 3), np.float32)}, r"pixels must be uint8 .*, got torch\.float32 \(2, 8, 8, 3\)"),
        ({"pixels": np.zeros((2, 192), np.uint8)}, r"pixels must be uint8 .*, got torch\.uint8 \(2, 192\)"),
        ({"pixels": np.zeros((2, 3, 8, 8), np.uint8)}, r"each of the 8 channels, the last axis of the pixels"),
        ({"pixels": np.zeros((2, 8, 8, 1), np.uint8)}, r"each of the 1 channels, the last axis of the pixels"),
        ({"mean": np.full(3, 127.0)}, r"of pixels scaled to \[0, 1\]"),
        ({"std": np.array([0.2, 0.0, 0.2])}, r"std above 0"),
        ({"std": np.full(3, np.nan)}, r"std above 0"),
    ],
)
def test_images_that_are_no_bytes_or_other_statistics_than_theirs_are_refused(changed, said):
    """Else networks are measured on images that they have never seen the like of, and nobody is told."""
    own = {"pixels": np.zeros((2, 8, 8, 3), np.uint8), "mean": np.full(3, 0.5), "std": np.full(3, 0.25)}
    with pytest.raises(InputError, match=said):
        on_device(**own | changed, device=torch.device("cpu"))
