"""Any picture of a garment, brought to the form of the data set's images.

The paper (arXiv:1708.07747) trims a picture to its garment, scales the longest edge to 28,
centres it, turns it gray and negates it, as its pictures have a light background.
"""

import io
import re
import warnings
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFilter, UnidentifiedImageError

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.learning.dataset import IMAGE_SHAPE
from fashion_mnist.quiet import silent_stderr

# No other decoder of Pillow's is let near a file: some start programs, most are seldom tested.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMAT_NAMES = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MOST_PIXELS = 50_000_000
MOST_BYTES = 256 * 2**20
MOST_SCANS = 100  # of a JPEG; encoders make a dozen

EDGE = IMAGE_SHAPE[0]
WORKING_EDGE = 512  # what is found out about a picture does not need more pixels
LIGHT = 128
SAME_GRAY = 8  # the background's pixels differ by this much ...
TRIMMED = 13  # ... and what is no farther from it than 5 %, as in the paper, is trimmed
ALREADY_FRAMED = 32  # no image of the data set has a background farther from black than 13

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Picture(NamedTuple):
    """What a network is shown: uint8 (28, 28), and whether light and dark were exchanged."""

    pixels: np.ndarray
    inverted: bool


def read(file: BinaryIO) -> Picture:
    """A light garment on black, from a file of any size, colours, transparency and rotation.

    An image that is 28 x 28, on black or on white, is taken to be in its frame: it is
    neither trimmed nor scaled.

    Raises:
        InputError: it is no picture, is damaged or too large, or shows nothing.
        OSError: it cannot be read.
    """
    data = file.read(MOST_BYTES + 1)
    if not data:
        raise InputError("is empty")
    if len(data) > MOST_BYTES:
        raise InputError(f"is larger than {MOST_BYTES // 2**20} MiB: refused")
    if data.startswith(b"\xff\xd8") and _scans(data) > MOST_SCANS:
        raise InputError(f"is a JPEG of more than {MOST_SCANS} scans: refused")
    image = _decoded(data)
    framed = image.size == (EDGE, EDGE)
    image.thumbnail((WORKING_EDGE, WORKING_EDGE), Image.Resampling.BOX)
    gray, background = _on_its_background(image)
    inverted = background >= LIGHT
    if framed and min(background, 255 - background) <= ALREADY_FRAMED:
        pixels = 255 - gray if inverted else gray
    else:
        pixels = _fitted(_trimmed(gray, background))
    if not pixels.any():
        raise InputError("shows nothing that stands out from its background")
    return Picture(pixels, inverted)


def _scans(jpeg: bytes) -> int:
    """How often a decoder goes over all pixels, for each time of which twelve bytes suffice."""
    scans, place = 0, 2
    while scans <= MOST_SCANS and (marker := _JPEG_MARKER.search(jpeg, place)):
        if marker[1] == b"\xd9":
            break
        scans += marker[1] == b"\xda"
        place = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans


def _decoded(data: bytes) -> Image.Image:
    """The picture upright, in mode L or LA."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            # Only the head is read so far; the decoder sets aside what the head declares.
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            image.draft(None, (2 * WORKING_EDGE, 2 * WORKING_EDGE))
            image.load()
            turn = _turn(image)
            gray = _gray(image)
            return gray if turn is None else gray.transpose(turn)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise InputError(f"has more than {MOST_PIXELS:,} pixels: refused") from None
        except UnidentifiedImageError:
            raise InputError(f"is no {FORMAT_NAMES} picture, or but a part of one") from None
        except Exception as error:  # a decoder raises anything at all over damaged bytes
            reason = first_sentence(error) or type(error).__name__
            raise InputError(f"is damaged: {reason}") from None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What undoes the camera's tilt; a note of it that is damaged spoils no picture."""
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def _gray(image: Image.Image) -> Image.Image:
    """The same in mode L, or LA if there is transparency in it."""
    if image.mode[0] in "IF":  # which Pillow would clip at 255
        levels = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
        highest = float(levels.max())
        depths = (1.0,) * (image.mode == "F") + (255.0, 65535.0)
        white = next((depth for depth in depths if highest <= depth), highest)
        if image.mode.startswith("I;16"):
            white = 65535.0
        return Image.fromarray((levels.clip(0) * (255 / white)).round().astype(np.uint8))
    if image.has_transparency_data:
        return image.convert("RGBA").convert("LA")
    if image.mode == "LAB":
        return image.getchannel(0)
    return image.convert("L")


def _on_its_background(image: Image.Image) -> tuple[np.ndarray, int]:
    """Gray levels uint8 (height, width) without transparency, and the background's level.

    Most of the border is background. If most of the border is transparent, the background is
    black or white, whichever is farther from the garment.
    """
    gray = np.asarray(image.getchannel(0))
    opacity = np.asarray(image.getchannel("A")) if image.mode == "LA" else np.full_like(gray, 255)
    seen = _border(opacity) >= LIGHT
    if seen.mean() >= 0.5:
        levels = _border(gray)[seen]
        counts = np.bincount(levels, minlength=256)
        peak = int(np.convolve(counts, np.ones(2 * SAME_GRAY + 1), "same").argmax())
        background = int(np.median(levels[np.abs(levels.astype(int) - peak) <= SAME_GRAY]))
    elif opacity.any():
        background = 0 if np.average(gray, weights=opacity) >= LIGHT else 255
    else:
        background = 0
    share = opacity / 255
    return (gray * share + background * (1 - share)).round().astype(np.uint8), background


def _border(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _trimmed(gray: np.ndarray, background: int) -> np.ndarray:
    """The garment's bounding box, each pixel as light as it is far from the background."""
    away = np.abs(gray.astype(np.float32) - background) * (255 / max(background, 255 - background))
    border = _border(away)
    noise = border[border <= 2 * TRIMMED]
    threshold = TRIMMED + (2 * noise.mean() if noise.size else 0)
    levels = np.where(away > threshold, away, 0).round().astype(np.uint8)
    garment = levels > 0
    if min(gray.shape) > 2 * EDGE:  # specks are not to widen the box: what remains, and its edge
        large = Image.fromarray(levels).filter(ImageFilter.MedianFilter(3))
        garment &= np.asarray(large.filter(ImageFilter.MaxFilter(3))) > 0
    rows, columns = (np.flatnonzero(garment.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros((1, 1), np.uint8)
    return levels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _fitted(garment: np.ndarray) -> np.ndarray:
    """Scaled until its longest edge is 28, in the middle of a black square."""
    scale = EDGE / max(garment.shape)
    height, width = (max(1, round(scale * edge)) for edge in garment.shape)
    scaled = Image.fromarray(garment).resize((width, height), Image.Resampling.LANCZOS)
    square = np.zeros((EDGE, EDGE), np.uint8)
    top, left = (EDGE - height) // 2, (EDGE - width) // 2
    square[top : top + height, left : left + width] = np.asarray(scaled)
    return square
