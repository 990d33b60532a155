"""Pictures of garments, brought to the form of the data set's images.

The paper (arXiv:1708.07747) trims a picture to its garment, scales the longest edge to 28,
centres it, converts it to gray and negates it, because its pictures have a light background.
"""

from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageFilter
from scipy import ndimage

from fashion_mnist.errors import InputError
from fashion_mnist.pictures import decoding
from fashion_mnist.pictures.decoding import WORKING_EDGE

EDGE = 28  # of the images, in pixels: the paper's
LIGHT = 128
SAME_GRAY = 8  # pixels of the background differ by this much ...
TRIMMED = 13  # ... and what is within 5 % of it, as in the paper, is trimmed
BLACK = 13  # no image of the data set has a lighter background
UNIFORM = 0.9  # of the pixels of a line of one tone
TRANSPARENT = 2 * 256  # a tone of its own
WIDEST_FRAME = 12  # pixels, or a sixteenth of the picture if that is more
MOST_NESTED = 3  # frames, one inside the other

FILLED = "garment fills the whole picture: leave a margin around it"
UNEVEN = "background is not one tone: use a plain one without shadows"
APART = "separate parts: show one garment and nothing else"
EVEN_BORDER = 1 / 8  # of the border may be something else
NEAR = 64  # reaches into the longest edge; what is two of them away is another part
SMALL_PART = 1 / 20  # of the largest part: a date, the name of a shop
LARGE_PART = 1 / 4  # of the largest part


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


def read(file: BinaryIO) -> Picture:
    """Bring a picture of any size, colours, transparency and rotation to the data set's form.

    Its first frame that shows something is taken, if it has several.
    A frame around the picture is cut off, and small parts far from the garment are left out.
    A 28 x 28 picture is neither trimmed nor scaled; on black its pixels are kept, and on white
    they are inverted.

    Raises:
        InputError: it is not a picture, is damaged or too large, or shows nothing.
        OSError: it cannot be read.
    """
    for gray, colours in decoding.frames(file):
        picture = _prepared(gray, colours)
        if picture.pixels.any():
            return picture
    raise InputError("shows nothing that stands out from its background")


def _prepared(image: Image.Image, colours: Image.Image) -> Picture:
    """A frame, of which nothing may stand out: then all pixels are 0."""
    image.thumbnail((WORKING_EDGE, WORKING_EDGE), Image.Resampling.BOX)
    image = _without_frames(image)
    gray, background = _on_its_background(image)
    signs: tuple[str, ...] = ()
    if image.size == (EDGE, EDGE):
        pixels = _on_black(gray, background)
    else:
        levels = _standing_out(gray, background)
        everything = _garment(levels)
        parts = _parts(everything)
        garment = everything & (parts > 0)
        pixels = _fitted((levels * (parts > 0))[_box(garment)])
        signs = _signs_of_trouble(everything, parts, garment)
    return Picture(pixels, background >= LIGHT, signs, _preview(colours, background))


def _preview(colours: Image.Image, background: int) -> np.ndarray:
    """uint8 (height, width, 3), with the background seen through what is transparent."""
    paper = Image.new("RGBA", colours.size, (background, background, background, 255))
    return np.asarray(Image.alpha_composite(paper, colours).convert("RGB"))


def _without_frames(image: Image.Image) -> Image.Image:
    """What is inside the frames, which may be nested and missing on some sides."""
    for _ in range(MOST_NESTED):
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
    across, down = (min(max(WIDEST_FRAME, edge // 16), edge // 3) for edge in image.size)
    if image.size == (EDGE, EDGE) or not across or not down:
        return 0, 0, *image.size
    levels = np.asarray(image.getchannel(0)).astype(np.int16)
    if image.mode == "LA":
        levels[np.asarray(image.getchannel("A")) < LIGHT] = TRANSPARENT
    # The ends of a line may belong to the frame on another side.
    columns, rows = levels.T[:, down:-down], levels[:, across:-across]
    left, right = (_lines_of_one_tone(lines, across) for lines in (columns, columns[::-1]))
    top, bottom = (_lines_of_one_tone(lines, down) for lines in (rows, rows[::-1]))
    beside, above = slice(top, image.height - bottom), slice(left, image.width - right)
    background = _commonest(_border(levels[beside, above]))
    return (
        left * _is_frame(levels[beside, 0], background),
        top * _is_frame(levels[0, above], background),
        image.width - right * _is_frame(levels[beside, -1], background),
        image.height - bottom * _is_frame(levels[-1, above], background),
    )


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


def _parts(garment: np.ndarray) -> np.ndarray:
    """int (height, width), 1, 2, ... in and around each part; 0 outside, and in small ones."""
    reach = max(1, max(garment.shape) // NEAR)
    around = ndimage.maximum_filter(garment, 2 * reach + 1)
    parts, count = ndimage.label(around, np.ones((3, 3)))
    sizes = np.bincount(parts[garment], minlength=count + 1)
    large = sizes > SMALL_PART * sizes.max()
    return np.where(large, large.cumsum(), 0)[parts]


def _box(garment: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns that it fills, of which there is at least one."""
    rows, columns = (np.flatnonzero(garment.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(1), slice(1)
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _signs_of_trouble(
    everything: np.ndarray, parts: np.ndarray, garment: np.ndarray
) -> tuple[str, ...]:
    """What is unlike one garment on a plain background."""
    found = {
        FILLED: everything[_box(everything)].shape == everything.shape,
        UNEVEN: _border(everything).mean() > EVEN_BORDER,
        APART: parts.max() > 1 or any(_has_parts(garment.sum(axis=axis)) for axis in (0, 1)),
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
