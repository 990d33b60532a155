"""A picture of a garment, whatever its form, brought to that of the data set.

Fashion-MNIST's images (Xiao et al. 2017, arXiv:1708.07747, section 2) were photographs on white,
trimmed, scaled to 28 pixels at their longest edge, negated, and centred on black.
"""

import io
import warnings
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fashion_mnist.dataset import IMAGE_SHAPE
from fashion_mnist.errors import InputError, why

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"))
LARGEST = 50_000_000  # pixels: what decodes to more is no picture of a garment
EDGE = IMAGE_SHAPE[0]
NOISE = 32  # gray levels by which a background may vary


def read(file: BinaryIO) -> tuple[np.ndarray, bool]:
    """The garment, light on black: uint8 (28, 28), and whether a light background was negated.

    Raises:
        InputError: this is no picture, or one that is too large, damaged or empty.
    """
    data = file.read()
    if not data:
        raise InputError("is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bombs: the bound below is a lower one
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            if image.width * image.height > LARGEST:
                size = f"{image.width} x {image.height}"
                raise InputError(f"is enormous: {size} pixels, {LARGEST:,} are the most")
            image.load()
    except UnidentifiedImageError:
        raise InputError(f"is no picture: {', '.join(FORMATS)} are known") from None
    except Image.DecompressionBombError:
        raise InputError(f"is enormous: {LARGEST:,} pixels are the most") from None
    except OSError as error:
        raise InputError(f"is damaged ({why(error)})") from None
    except (SyntaxError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"is damaged ({error})") from None
    return as_garment(gray(image))


def gray(image: Image.Image) -> np.ndarray:
    """The picture upright and in gray, on white where it is transparent: uint8 (height, width)."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):  # 16 bits or more
        values = np.asarray(image, dtype=np.float64)
        return np.clip(values / 257, 0, 255).round().astype(np.uint8)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("L"))


def as_garment(picture: np.ndarray) -> tuple[np.ndarray, bool]:
    """What `read` gives, of a gray picture uint8 (height, width).

    One of 28 x 28 on a dark background is given as it is.

    Raises:
        InputError: there is nothing but background.
    """
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    # A garment may reach the border: of a light background all but a tenth of it is light.
    light = np.percentile(border, 10) > 127
    if picture.shape == (EDGE, EDGE) and not light:
        return picture, False
    shown = (255 - picture if light else picture).astype(np.int32)
    background = int(np.median(255 - border if light else border))
    shown = np.clip(shown - background, 0, None) * 255 // max(255 - background, 1)
    rows, columns = (np.flatnonzero((shown > NOISE).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise InputError("shows nothing but background")
    garment = shown[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
    scale = EDGE / max(garment.shape)
    height, width = (max(1, round(length * scale)) for length in garment.shape)
    scaled = Image.fromarray(garment).resize((width, height), Image.Resampling.LANCZOS)
    canvas = np.zeros((EDGE, EDGE), dtype=np.uint8)
    top, left = (EDGE - height) // 2, (EDGE - width) // 2
    canvas[top : top + height, left : left + width] = np.asarray(scaled)
    return canvas, bool(light)
