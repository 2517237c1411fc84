"""Decoding image files into one uint8 array, whatever their modes, and without trusting them."""

import errno
import math
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImagePalette, UnidentifiedImageError

from hidden_structure.frame.errors import InputError
from hidden_structure.frame.progress import track

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # plain raster formats: none runs another program
NAMED = 5  # of the files that cannot be used, as many are named
LARGEST = 50_000_000  # pixels, checked on the header: a small file may unfold into any amount of memory


def read_images(files: Sequence[Path], size: int | None) -> np.ndarray:
    """Images uint8 (N, H, W, channels) in the order of files; one channel if every file is grey, else RGB.

    Resized to size x size (bilinear with antialiasing); without a size all must have that of the first. EXIF
    orientation is applied, alpha dropped, an animation's first image taken. Greys of 16 bits are scaled from 0..2^b-1,
    where b is the highest bit that any of these images uses (8 at least): cameras and scanners often use 12 of them.

    Raises InputError naming the files, the first five of them, that cannot be read or are larger than 50 megapixels;
    one that differs in size; or colours, or greys with alpha, of 16 bits whose highest is not used, of which a few
    levels would be left.
    """
    with warnings.catch_warnings():  # filters are shared by all threads, so they are set here, outside the pool
        warnings.simplefilter("ignore")  # such as malformed metadata, of no consequence for the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        first, (height, width) = _first_shape(files, size)
        try:
            images = np.empty((len(files), height, width, 3), dtype=np.uint8)
        except MemoryError as error:
            raise InputError(
                f"{len(files)} images of {width} x {height} pixels do not fit in memory: set data.size to less"
            ) from error
        problems: dict[int, InputError] = {}
        others: dict[int, tuple[int, int]] = {}  # of another shape than the first
        grey, halved, brightest = (np.zeros(len(files), kind) for kind in (bool, bool, int))

        def read(index: int, bits: int = 16) -> None:
            try:
                pixels, brightest[index], halved[index] = decode(files[index], size, bits)
                if pixels.shape[:2] != (height, width):
                    others[index] = pixels.shape[:2]
                    return
                images[index], grey[index] = pixels, pixels.shape[2] == 1
            except InputError as error:
                problems[index] = error

        def read_all(indices: Sequence[int], bits: int = 16) -> None:
            with ThreadPoolExecutor() as pool:
                list(track(pool.map(partial(read, bits=bits), indices), "reading images", total=len(indices)))
            _refuse([problems[index] for index in sorted(problems)], len(files))
            for index in sorted(others)[:1]:
                found, wanted = (f"{shape[1]} x {shape[0]}" for shape in (others[index], (height, width)))
                raise InputError(
                    f"{files[index]} is {found} pixels, but {first} is {wanted}: set data.size to resize them all"
                )

        read_all(range(len(files)))
        _check_halved([files[index] for index in np.flatnonzero(halved)], brightest[halved])
        deep = np.flatnonzero(brightest * ~halved)
        if len(deep):
            bits = int(brightest[deep].max()).bit_length()
            print(f"{len(deep)} grey images of 16 bits use {bits} of them: 0 to {2**bits - 1} become 0 to 255")
            if bits < 16:
                read_all(deep, bits)
    return np.ascontiguousarray(images[..., :1]) if grey.all() else images


def _first_shape(files: Sequence[Path], size: int | None) -> tuple[Path, tuple[int, int]]:
    """The first file that can be read, and what shape all have to have."""
    problems = []
    for file in files:
        try:
            return file, decode(file, size)[0].shape[:2]
        except InputError as error:
            problems.append(error)
    _refuse(problems, len(files))
    raise InputError("there are no images to read: add some")


def _refuse(problems: Sequence[InputError], count: int) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        named = "; ".join(str(problem) for problem in problems[:NAMED])
        more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise InputError(f"{len(problems)} of {count} images cannot be used: {named}{more}")


def _check_halved(files: Sequence[Path], brightest: np.ndarray) -> None:
    if files and (bits := int(brightest.max()).bit_length()) < 16:
        raise InputError(
            f"{len(files)} images with colours or alpha of 16 bits, such as {files[0]}, use {bits} of them, of which"
            f" {2 ** (bits - 8)} levels a channel would be read: convert them to 8 bits"
        )


def decode(file: Path, size: int | None, bits: int = 16) -> tuple[np.ndarray, int, bool]:
    """One image as uint8 (H, W, 1) if it is grey, else (H, W, 3), resized to size x size unless that is None.

    bits: that greys of 16 bits use. Also the largest value of an image of 16 bits, 255 at least, of others 0; and
    whether the lower 8 of its bits are lost: Pillow reads no more of colours, nor of greys with alpha.
    """
    with opened(file) as image:
        wide = any(_is_wide(tile.args) for tile in image.tile)
        with_alpha = any(tile.args == "LA;16B" for tile in image.tile)  # its colours are told as three
        turn_upright(image)
        if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
            levels = np.asarray(image).astype(np.uint32)
            brightest = max(int(levels.max()), 255)
            plain, wide = _to_8_bits(levels, bits), False
        else:
            plain = image.convert("L") if with_alpha else _plain(image)
            brightest = 256 * np.asarray(plain).max().item() + 255 if wide else 0
        if size is not None and plain.size != (size, size):
            plain = plain.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(plain).reshape(plain.height, plain.width, -1), brightest, wide


@contextmanager
def opened(file: Path) -> Iterator[Image.Image]:
    """The image in the file, of which only the header is read so far.

    Raises InputError naming the file if it may not be read, is not in one of FORMATS or has more than 50 megapixels,
    and where the block cannot read it.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            if math.prod(image.size) > LARGEST:
                raise Image.DecompressionBombError
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{file} has more than {LARGEST // 10**6} megapixels: make it smaller, or remove it"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{file} is not an image in {', '.join(FORMATS)}: remove or convert it") from error
    except Exception as error:  # Pillow's decoders raise a dozen types; each means the same to the user
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # which a place beyond a file is
            raise InputError(
                f"{file} cannot be read ({error.strerror}): correct the file or its permissions"
            ) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file} is not a readable image ({reason}): replace or remove it") from error


def turn_upright(image: Image.Image) -> None:
    """As its EXIF orientation says, if it can be read; pixels that cannot are an error of Pillow's."""
    image.load()
    with suppress(Exception):  # of malformed metadata, a dozen types
        ImageOps.exif_transpose(image, in_place=True)


def _is_wide(encoding: str | tuple | None) -> bool:
    """Whether a file has more than 8 bits a channel, by what Pillow tells its decoder: a raw mode such as "RGB;16B",
    or the largest value of a PPM."""
    parts = encoding if isinstance(encoding, tuple) else (encoding,)
    return any(";16" in part for part in parts if isinstance(part, str)) or (
        len(parts) == 2 and isinstance(parts[1], int) and parts[1] > 255 and parts[0] == "RGB"
    )


def _to_8_bits(levels: np.ndarray, bits: int) -> Image.Image:
    most = 2**bits - 1  # Pillow's own conversion clips everything above 255
    return Image.fromarray(((510 * levels + most) // (2 * most)).astype(np.uint8))


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} has no fixed range of values")
    return image.convert("L" if image.mode in ("1", "L", "LA", "La") or _is_grey(image.palette) else "RGB")


def _is_grey(palette: ImagePalette.ImagePalette | None) -> bool:
    if palette is None or palette.mode not in ("RGB", "RGBA"):
        return False
    colours = np.frombuffer(bytes(palette.palette), np.uint8).reshape(-1, len(palette.mode))
    return bool((colours[:, :1] == colours[:, :3]).all())
