"""Pictures of garments, brought to the form of the data set's images.

The paper (arXiv:1708.07747) trims a picture to its garment, scales the longest edge to 28,
centres it, converts it to gray and negates it, because its pictures have a light background.
"""

import io
import math
import re
import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFilter, UnidentifiedImageError

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.storage.dataset import IMAGE_SHAPE
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
MOST_PIXELS = 50_000_000
MOST_BYTES = 256 * 2**20
MOST_SCANS = 100  # of a JPEG; encoders make a dozen

EDGE = IMAGE_SHAPE[0]
WORKING_EDGE = 512  # more pixels do not change what is found
PREVIEW_EDGE = 140
LIGHT = 128
SAME_GRAY = 8  # pixels of the background differ by this much ...
TRIMMED = 13  # ... and what is within 5 % of it, as in the paper, is trimmed
BLACK = 13  # no image of the data set has a lighter background
UNIFORM = 0.9  # of the pixels of a line of one tone
TRANSPARENT = 2 * 256  # a tone of its own
WIDEST_FRAME = 12  # pixels, or a sixteenth of the picture if that is more
MOST_FRAMES = 3  # one inside the other

FILLED = "garment fills the whole picture: leave a margin around it"
UNEVEN = "background is not one tone: use a plain one without shadows"
APART = "separate parts: show one garment at a time"
EVEN_BORDER = 1 / 8  # of the border may be something else
LARGE_PART = 1 / 4  # of the largest part

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
    """A picture as a network sees it, and as a person does.

    Attributes:
        pixels: uint8 (28, 28), a light garment on black.
        inverted: whether the background was light, so that light and dark were exchanged.
        warnings: signs that the answer may be wrong, each with what would help.
        preview: uint8 (height, width, 3), the picture itself, at most 140 pixels wide and high.
    """

    pixels: np.ndarray
    inverted: bool
    warnings: tuple[str, ...]
    preview: np.ndarray


def is_picture(path: Path) -> bool:
    """Whether a file is a picture, readable or not, by its suffix or its first bytes."""
    if path.suffix.lower() in (*READ_SUFFIXES, *OTHER_SUFFIXES):
        return not path.is_dir()
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return bool(SIGNATURE.match(file.read(16)))
    except OSError:
        return False


def read(file: BinaryIO) -> Picture:
    """Bring a picture of any size, colours, transparency and rotation to the data set's form.

    A frame around the picture is cut off. A 28 x 28 picture is neither trimmed nor scaled;
    on black its pixels are kept, and on white they are inverted.

    Raises:
        InputError: it is not a picture, is damaged or too large, or shows nothing.
        OSError: it cannot be read.
    """
    data = file.read(MOST_BYTES + 1)
    if not data:
        raise InputError("is empty")
    if len(data) > MOST_BYTES:
        raise InputError(f"is larger than {MOST_BYTES // 2**20} MiB: refused")
    if data.startswith(b"\xff\xd8") and _scans(data) > MOST_SCANS:
        raise InputError(f"is a JPEG of more than {MOST_SCANS} scans: refused")
    image, colours = _decoded(data)
    image.thumbnail((WORKING_EDGE, WORKING_EDGE), Image.Resampling.BOX)
    image = _without_frames(image)
    gray, background = _on_its_background(image)
    signs: tuple[str, ...] = ()
    if image.size == (EDGE, EDGE):
        pixels = _on_black(gray, background)
    else:
        levels = _standing_out(gray, background)
        garment = _garment(levels)
        box = _box(garment)
        pixels = _fitted(levels[box])
        signs = _signs_of_trouble(garment, box)
    if not pixels.any():
        raise InputError("shows nothing that stands out from its background")
    return Picture(pixels, background >= LIGHT, signs, _preview(colours, background))


def _scans(jpeg: bytes) -> int:
    """How many times a decoder passes over all pixels; a scan can be as short as twelve bytes."""
    scans, place = 0, 2
    while scans <= MOST_SCANS and (marker := _JPEG_MARKER.search(jpeg, place)):
        if marker[1] == b"\xd9":
            break
        scans += marker[1] == b"\xda"
        place = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2])
    return scans


def _decoded(data: bytes) -> tuple[Image.Image, Image.Image]:
    """The picture upright, in mode L or LA, and a small copy in its colours, in mode RGBA."""
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            # Only the header has been read; the decoder allocates what the header declares.
            if image.width * image.height > MOST_PIXELS:
                raise Image.DecompressionBombError
            image.draft(None, (2 * WORKING_EDGE, 2 * WORKING_EDGE))
            clipped = any(";16" in str(tile.args) for tile in image.tile)
            image.load()
            turn = _turn(image)
            gray = _gray(image, clipped)
            colours = _colours(image, gray)
            if turn is not None:
                gray, colours = gray.transpose(turn), colours.transpose(turn)
        except (Image.DecompressionBombWarning, Image.DecompressionBombError):
            raise InputError(f"has more than {MOST_PIXELS:,} pixels: refused") from None
        except UnidentifiedImageError:
            reason = f"is not a {FORMAT_NAMES} picture, or is cut off: save it as one of these"
            raise InputError(reason) from None
        except Exception as error:  # a decoder raises anything at all over damaged bytes
            reason = first_sentence(error) or type(error).__name__
            raise InputError(f"is damaged: {reason}") from None
    return gray, colours


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


def _preview(colours: Image.Image, background: int) -> np.ndarray:
    """uint8 (height, width, 3), with the background seen through what is transparent."""
    paper = Image.new("RGBA", colours.size, (background, background, background, 255))
    return np.asarray(Image.alpha_composite(paper, colours).convert("RGB"))


def _without_frames(image: Image.Image) -> Image.Image:
    """What is inside the frames, which may be nested and missing on some sides."""
    for _ in range(MOST_FRAMES):
        inside = image.crop(_inside_frame(image))
        if inside.size == image.size:
            break
        image = inside
    return image


def _inside_frame(image: Image.Image) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) inside the outermost frame.

    Lines of one tone along a side may be a frame if another tone follows soon. They are if
    their tone is not the background's, the commonest on the border that remains without them.
    """
    width, height = image.size
    whole = 0, 0, width, height
    across, down = (min(max(WIDEST_FRAME, edge // 16), edge // 3) for edge in image.size)
    if image.size == (EDGE, EDGE) or not across or not down:
        return whole
    levels = np.asarray(image.getchannel(0)).astype(np.int16)
    if image.mode == "LA":
        levels[np.asarray(image.getchannel("A")) < LIGHT] = TRANSPARENT
    # The ends of a line may belong to the frame on another side.
    columns, rows = levels.T[:, down:-down], levels[:, across:-across]
    left, right = (_lines_of_one_tone(lines, across) for lines in (columns, columns[::-1]))
    top, bottom = (_lines_of_one_tone(lines, down) for lines in (rows, rows[::-1]))
    right, bottom = width - right, height - bottom
    background = _commonest(_border(levels[top:bottom, left:right]))
    inner = left, top, right, bottom
    lines = levels[:, 0], levels[0], levels[:, -1], levels[-1]
    spans = (top, bottom), (left, right), (top, bottom), (left, right)
    left, top, right, bottom = (
        inside if _is_frame(line[slice(*span)], background) else outside
        for inside, outside, line, span in zip(inner, whole, lines, spans, strict=True)
    )
    return left, top, right, bottom


def _is_frame(line: np.ndarray, background: int) -> bool:
    return _is_one_tone(line) and bool(abs(np.median(line) - background) > SAME_GRAY)


def _is_one_tone(line: np.ndarray) -> bool:
    return bool((np.abs(line - np.median(line)) <= 2 * SAME_GRAY).mean() >= UNIFORM)


def _lines_of_one_tone(lines: np.ndarray, most: int) -> int:
    """How many lines come before those of another tone; 0 if there are more than `most`."""
    tones = [np.median(line) if _is_one_tone(line) else np.inf for line in lines[: most + 2]]
    count = next((n for n, tone in enumerate(tones) if abs(tone - tones[0]) > SAME_GRAY), 0)
    # The edge between the two may be blurred.
    while 0 < count < most and SAME_GRAY < abs(tones[count + 1] - tones[count]) < np.inf:
        count += 1
    return count if count <= most else 0


def _on_its_background(image: Image.Image) -> tuple[np.ndarray, int]:
    """Gray levels uint8 (height, width) without transparency, and the background's level.

    Most of the border is background. If most of the border is transparent, the background is
    black or white, whichever is farther from the garment.
    """
    gray = np.asarray(image.getchannel(0))
    opacity = np.asarray(image.getchannel("A")) if image.mode == "LA" else np.full_like(gray, 255)
    seen = _border(opacity) >= LIGHT
    if seen.mean() >= 0.5:
        background = _commonest(_border(gray)[seen])
    elif opacity.any():
        background = 0 if np.average(gray, weights=opacity) >= LIGHT else 255
    else:
        background = 0
    share = opacity / 255
    return (gray * share + background * (1 - share)).round().astype(np.uint8), background


def _border(pixels: np.ndarray) -> np.ndarray:
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _commonest(levels: np.ndarray) -> int:
    """The middle of the most common tone."""
    counts = np.bincount(levels, minlength=256)
    peak = int(np.convolve(counts, np.ones(2 * SAME_GRAY + 1), "same").argmax())
    return int(np.median(levels[np.abs(levels.astype(int) - peak) <= SAME_GRAY]))


def _away(gray: np.ndarray, background: int) -> np.ndarray:
    """float32, how far each pixel is from the background, stretched to [0, 255]."""
    away = np.abs(gray.astype(np.float32) - background)
    return away * (255 / max(background, 255 - background))


def _on_black(gray: np.ndarray, background: int) -> np.ndarray:
    """A 28 x 28 picture as a data set image: exact if its background is black or white."""
    if background <= BLACK:
        return gray
    if background >= 255 - BLACK:
        return 255 - gray
    return _away(gray, background).round().astype(np.uint8)


def _standing_out(gray: np.ndarray, background: int) -> np.ndarray:
    """The same on black, uint8, with the noise of the background removed."""
    away = _away(gray, background)
    border = _border(away)
    noise = border[border <= 2 * TRIMMED]
    threshold = TRIMMED + (2 * noise.mean() if noise.size else 0)
    return np.where(away > threshold, away, 0).round().astype(np.uint8)


def _garment(levels: np.ndarray) -> np.ndarray:
    """bool, where the garment is, without specks, which would widen its box."""
    garment = levels > 0
    if min(levels.shape) > 2 * EDGE:
        large = Image.fromarray(levels).filter(ImageFilter.MedianFilter(3))
        garment &= np.asarray(large.filter(ImageFilter.MaxFilter(3))) > 0
    return garment


def _box(garment: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that it fills, of which there is at least one."""
    rows, columns = (np.flatnonzero(garment.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(1), slice(1)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _signs_of_trouble(garment: np.ndarray, box: tuple[slice, slice]) -> tuple[str, ...]:
    """What is unlike one garment on a plain background."""
    found = {
        FILLED: garment[box].shape == garment.shape,
        UNEVEN: _border(garment).mean() > EVEN_BORDER,
        APART: any(_has_parts(garment.sum(axis=axis)) for axis in (0, 1)),
    }
    return tuple(sign for sign, seen in found.items() if seen)


def _has_parts(filled: np.ndarray) -> bool:
    """Whether empty lines separate two large parts.

    Args:
        filled: integers (N,), the garment's pixels in each row or column.
    """
    starts = np.flatnonzero(np.diff(filled > 0, prepend=False))
    sizes = np.sort(np.add.reduceat(filled, starts)) if len(starts) else filled
    return len(starts) > 1 and bool(sizes[-2] > LARGE_PART * sizes[-1])


def _fitted(garment: np.ndarray) -> np.ndarray:
    """Scaled until its longest edge is 28, in the middle of a black square."""
    scale = EDGE / max(garment.shape)
    height, width = (max(1, round(scale * edge)) for edge in garment.shape)
    scaled = Image.fromarray(garment).resize((width, height), Image.Resampling.LANCZOS)
    square = np.zeros((EDGE, EDGE), np.uint8)
    top, left = (EDGE - height) // 2, (EDGE - width) // 2
    square[top : top + height, left : left + width] = np.asarray(scaled)
    return square
