"""Pictures brought to the size of a data set's images, as they are."""

import io
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from fashion_mnist.pictures import decoding
from fashion_mnist.pictures.garments import Picture

LEVELS = {"black": 0, "white": 255, "edge": 0}  # of the background, also behind what is transparent
REDUCING = 2.0  # Pillow averages a much larger picture first: as good, and faster


class Frame(NamedTuple):
    """What pictures are fitted into.

    Attributes:
        image_shape: (height, width, channels); 1 channel is gray, 3 are colours.
        background: "black", "white", or "edge", which repeats the picture's outermost pixels.
    """

    image_shape: tuple[int, int, int]
    background: str = "black"


def read(file: BinaryIO, frame: Frame) -> Picture:
    """A picture as a network sees it, and as a person does.

    Raises:
        InputError: it is not a picture, or is damaged or too large.
        OSError: it cannot be read.
    """
    data = file.read(decoding.MOST_BYTES + 1)
    with decoding.quietly():
        pixels = image(data, frame)
    _, colours = decoding.read(io.BytesIO(data))
    preview = np.asarray(_opaque(colours, LEVELS[frame.background]))
    return Picture(pixels, inverted=False, warnings=(), preview=preview)


def image(data: bytes, frame: Frame) -> np.ndarray:
    """A picture file's content as an image uint8 (H, W), or in colour (H, W, 3).

    The picture is scaled until it fills the frame's height or width, its aspect kept, and lies in
    the middle. One of the frame's own size is not changed. Call it within `decoding.quietly`.

    Raises:
        InputError: it is not a picture, or is damaged or too large.
    """
    height, width, channels = frame.image_shape
    convert = decoding.in_colours if channels == 3 else decoding.in_gray
    (picture,) = decoding.decode(data, max(height, width), convert)
    return _fitted(_opaque(picture, LEVELS[frame.background]), frame)


def _opaque(picture: Image.Image, level: int) -> Image.Image:
    """The picture in mode L or RGB, with the background seen through what is transparent."""
    if picture.mode in ("L", "RGB"):
        return picture
    paper = Image.new("RGBA", picture.size, (level, level, level, 255))
    return Image.alpha_composite(paper, picture.convert("RGBA")).convert(picture.mode[:-1])


def _fitted(picture: Image.Image, frame: Frame) -> np.ndarray:
    height, width, _ = frame.image_shape
    scale = min(height / picture.height, width / picture.width)
    size = (
        min(width, max(1, round(scale * picture.width))),
        min(height, max(1, round(scale * picture.height))),
    )
    scaled = picture
    if picture.size != size:
        scaled = picture.resize(size, Image.Resampling.BICUBIC, reducing_gap=REDUCING)
    pixels = np.asarray(scaled)
    if pixels.shape[:2] == (height, width):
        return pixels
    above, left = (height - pixels.shape[0]) // 2, (width - pixels.shape[1]) // 2
    margins = [
        (above, height - pixels.shape[0] - above),
        (left, width - pixels.shape[1] - left),
        *[(0, 0)] * (pixels.ndim - 2),
    ]
    if frame.background == "edge":
        return np.pad(pixels, margins, mode="edge")
    return np.pad(pixels, margins, constant_values=LEVELS[frame.background])
