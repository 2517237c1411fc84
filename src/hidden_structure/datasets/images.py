"""Decoding image files into one uint8 array, whatever their modes, and without trusting them."""

import math
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hidden_structure.errors import InputError
from hidden_structure.progress import track

FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # plain raster formats: none runs another program
LARGEST = 50_000_000  # pixels, checked on the header: a small file may unfold into any amount of memory


def read_images(files: Sequence[Path], size: int | None) -> np.ndarray:
    """Images uint8 (N, H, W, channels) in the order of files; one channel if every file is grey, else RGB.

    Resized to size x size (bilinear with antialiasing); without a size all must have that of the first. EXIF
    orientation is applied, alpha dropped, an animation's first image taken, 16-bit grey rounded to 8 bits.

    Raises InputError naming the first file that cannot be read, is larger than 50 megapixels, or differs in size.
    """
    with warnings.catch_warnings():  # filters are shared by all threads, so they are set here, outside the pool
        warnings.simplefilter("ignore")  # such as malformed metadata, of no consequence for the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        height, width = decode(files[0], size).shape[:2]
        try:
            images = np.empty((len(files), height, width, 3), dtype=np.uint8)
        except MemoryError as error:
            raise InputError(
                f"{len(files)} images of {width} x {height} pixels do not fit in memory: set data.size to less"
            ) from error

        def read(index: int) -> bool:
            pixels = decode(files[index], size)
            if pixels.shape[:2] != (height, width):
                raise InputError(
                    f"{files[index]} is {pixels.shape[1]} x {pixels.shape[0]} pixels, but {files[0]} is {width} x"
                    f" {height}: set data.size to resize them all"
                )
            images[index] = pixels
            return pixels.shape[2] == 1

        with ThreadPoolExecutor() as pool:
            grey = all(list(track(pool.map(read, range(len(files))), "reading images", total=len(files))))
    return np.ascontiguousarray(images[..., :1]) if grey else images


def decode(file: Path, size: int | None) -> np.ndarray:
    """One image as uint8 (H, W, 1) if it is grey, else (H, W, 3), resized to size x size unless that is None."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            if math.prod(image.size) > LARGEST:
                raise Image.DecompressionBombError
            ImageOps.exif_transpose(image, in_place=True)
            plain = _to_8_bits(image)
            if size is not None and plain.size != (size, size):
                plain = plain.resize((size, size), Image.Resampling.BILINEAR)
            return np.asarray(plain).reshape(plain.height, plain.width, -1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(
            f"{file} has more than {LARGEST // 10**6} megapixels: make it smaller, or remove it"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"{file} is not an image in {', '.join(FORMATS)}: remove or convert it") from error
    except Exception as error:  # Pillow's decoders raise a dozen types; each means the same to the user
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file} is not a readable image ({reason}): replace or remove it") from error


def _to_8_bits(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} has no fixed range of values")
    if image.mode.startswith("I;16"):  # Pillow's own conversion clips everything above 255
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode in ("1", "L"):
        return image.convert("L")
    return image.convert("RGB")
