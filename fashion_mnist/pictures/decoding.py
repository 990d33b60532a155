"""Picture files of any origin, decoded: upright, in gray or in their colours."""

import contextlib
import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.talk.quiet import silent_stderr

# Pillow's other decoders never see a file: some start programs, most are seldom tested.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
FORMAT_NAMES = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
READ_SUFFIXES = ".png .apng .jpg .jpeg .jpe .jif .jfif .webp .gif .bmp .dib .tif .tiff".split()
OTHER_SUFFIXES = (
    ".avif .heic .heif .jp2 .j2k .jpf .jpx .jxl .svg .ico .psd .xcf .tga .eps "
    ".ppm .pgm .pbm .pnm .exr .hdr .dng .cr2 .cr3 .nef .arw .orf .raf .rw2"
).split()
# How files of the formats above begin, and AVIF, HEIC, JPEG 2000 and JPEG XL.
SIGNATURE = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|RIFF....WEBP|GIF8[79]a|BM....\0\0\0\0|II\*\0|MM\0\*"
    rb"|....ftyp(?:avi[fs]|hei[cfmsx]|hev[cmsx]|mif1|msf1)"
    rb"|\0\0\0\x0c(?:jP  |JXL )|\xff\x4f\xff\x51",
    re.DOTALL,
)
Convert = Callable[[Image.Image, bool], list[Image.Image]]
MOST_PIXELS = 80_000_000  # of all frames that are looked at
MOST_BYTES = 256 * 2**20
MOST_SCANS = 100  # of a JPEG; encoders make a dozen
MOST_FRAMES = 100
SMALLER = "make it smaller, for example 2,000 pixels wide"
WORKING_EDGE = 512  # more pixels do not change what is found
PREVIEW_EDGE = 140

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


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, readable or not, by its suffix or its first bytes.

    A folder is none, nor is a named pipe, from which reading might not end.
    """
    if path.exists() and not path.is_file():
        return False
    if path.suffix.lower() in (*READ_SUFFIXES, *OTHER_SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            return bool(SIGNATURE.match(file.read(16)))
    except OSError:
        return False


def read(file: BinaryIO) -> tuple[Image.Image, Image.Image]:
    """The picture upright, in mode L or LA, and a small copy in its colours, in mode RGBA.

    Raises:
        InputError: it is not a picture, or is damaged or too large.
        OSError: it cannot be read.
    """
    return next(frames(file))


def frames(file: BinaryIO) -> Iterator[tuple[Image.Image, Image.Image]]:
    """The same of each frame: an animation or a TIFF may have several.

    Raises:
        InputError: it is not a picture, or is damaged or too large.
        OSError: it cannot be read.
    """
    decoded = _decoded(file.read(MOST_BYTES + 1), 2 * WORKING_EDGE, _in_gray_and_small)
    while True:
        with quietly():
            found = next(decoded, None)
        if found is None:
            return
        gray, colours = found
        yield gray, colours


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within it, decoders print nothing, and a picture that is too large is an error.

    It changes the whole process: threads that decode share one.
    """
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(data: bytes, least: int, convert: Convert) -> list[Image.Image]:
    """What `convert` makes of a picture's first frame, upright; call it `quietly`.

    Args:
        data: a file's content, at most MOST_BYTES + 1 of it.
        least: pixels; a JPEG may be decoded at a fraction of its size, down to this.
        convert: gray, colours, or both.

    Raises:
        InputError: it is not a picture, or is damaged or too large.
    """
    return next(_decoded(data, least, convert))


def _scans(jpeg: bytes) -> int:
    """How many times a decoder passes over all pixels; a scan can be as short as twelve bytes."""
    scans, place = 0, 2
    while scans <= MOST_SCANS and (marker := _JPEG_MARKER.search(jpeg, place)):
        if marker[1] == b"\xd9":
            break
        scans += marker[1] == b"\xda"
        place = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans


def _decoded(data: bytes, least: int, convert: Convert) -> Iterator[list[Image.Image]]:
    """What `convert` makes of each frame."""
    if not data:
        raise InputError("is empty")
    if len(data) > MOST_BYTES:
        raise InputError(f"is larger than {MOST_BYTES // 2**20} MiB: {SMALLER}")
    if data.startswith(b"\xff\xd8") and _scans(data) > MOST_SCANS:
        raise InputError(f"is a JPEG of more than {MOST_SCANS} scans: save it as a PNG")
    pixels = 0
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.draft(None, (least, least))
        for number in range(MOST_FRAMES):
            try:
                image.seek(number)
            except EOFError:
                return
            # Only the header has been read; the decoder allocates what the header declares.
            pixels += image.width * image.height
            if pixels > MOST_PIXELS:
                raise Image.DecompressionBombError
            clipped = any(";16" in str(tile.args) for tile in image.tile)
            image.load()
            turn = _turn(image)
            found = convert(image, clipped)
            yield found if turn is None else [each.transpose(turn) for each in found]
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise InputError(f"has more than {MOST_PIXELS:,} pixels: {SMALLER}") from None
    except UnidentifiedImageError:
        reason = f"is not a {FORMAT_NAMES} picture, or is cut off: save it as one of these"
        raise InputError(reason) from None
    except MemoryError:
        raise
    except Exception as error:  # a decoder raises anything at all over damaged bytes
        reason = first_sentence(error) or type(error).__name__
        raise InputError(f"is damaged: {reason}") from None


def in_gray(image: Image.Image, clipped: bool) -> list[Image.Image]:
    """The picture in mode L, or LA if there is transparency in it."""
    return [_gray(image, clipped)]


def in_colours(image: Image.Image, clipped: bool) -> list[Image.Image]:
    """The picture in mode RGB, or RGBA if there is transparency in it."""
    if image.mode[0] in "IF" or image.mode == "LAB":
        image = _gray(image, clipped)
    return [image.convert("RGBA" if image.has_transparency_data else "RGB")]


def _in_gray_and_small(image: Image.Image, clipped: bool) -> list[Image.Image]:
    gray = _gray(image, clipped)
    return [gray, _colours(image, gray)]


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The transpose that undoes the camera's rotation; damaged EXIF data is ignored."""
    try:
        return _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def _gray(image: Image.Image, clipped: bool) -> Image.Image:
    """The same in mode L, or LA if there is transparency in it.

    Args:
        image: loaded.
        clipped: whether Pillow kept only the upper 8 of 16 bits.
    """
    if image.mode[0] in "IF":
        levels = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
        highest = float(levels.max())
        white = 1 if image.mode == "F" and highest <= 1 else _white(math.ceil(highest))
        return Image.fromarray((levels.clip(0) * (255 / white)).round().astype(np.uint8))
    if image.has_transparency_data:
        gray = image.convert("RGBA").convert("LA")
    elif image.mode == "LAB":
        gray = image.getchannel(0)
    else:
        gray = image.convert("L")
    if clipped:
        highest = 256 * int(np.max(gray.getextrema())) + 255
        scale = 255 / (_white(highest) // 256 or 1)
        gray = gray.point([min(255, round(level * scale)) for level in range(256)] * len(gray.mode))
    return gray


def _white(highest: int) -> int:
    """The level of white, as the highest level is of 8, 10, 12, 14, 16 or more bits."""
    return next((2**bits - 1 for bits in (8, 10, 12, 14, 16) if highest < 2**bits), highest)


def _colours(image: Image.Image, gray: Image.Image) -> Image.Image:
    """A small copy in mode RGBA; `gray` in it where the colours are not 8-bit RGB's."""
    if image.mode[0] in "IF" or image.mode == "LAB":
        image = gray
    if image.mode in ("1", "P", "PA") or image.has_transparency_data:
        image = image.convert("RGBA")
    small = image.copy()
    small.thumbnail((PREVIEW_EDGE, PREVIEW_EDGE), Image.Resampling.BOX)
    return small.convert("RGBA")
