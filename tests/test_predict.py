"""Pictures of every form are brought to that of the data set, and named."""

import io
import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fashion_mnist import dataset, models, pictures
from fashion_mnist.errors import InputError
from tests.conftest import Workspace, tiny_set

SHIRT = [(18, 10), (25, 10), (30, 14), (35, 10), (42, 10), (56, 25), (49, 32), (43, 26), (43, 70)]
SHIRT += [(17, 70), (17, 26), (11, 32), (4, 25)]


def photograph(mode: str = "RGB", background: object = "white", garment: object = "navy"):
    """A drawn garment, 60 x 80 pixels."""
    image = Image.new(mode, (60, 80), background)
    ImageDraw.Draw(image).polygon(SHIRT, fill=garment)
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def seen(data: bytes) -> np.ndarray:
    """What the network is shown of a file."""
    return pictures.read(io.BytesIO(data))[0]


def test_an_image_in_the_form_of_the_data_set_stays_as_it_is():
    for image in tiny_set(20, seed=3)[0]:
        shown, inverted = pictures.read(io.BytesIO(encoded(Image.fromarray(image))))
        np.testing.assert_array_equal(shown, image)
        assert not inverted


def test_the_garment_fills_the_image_and_keeps_its_aspect():
    shown, inverted = pictures.read(io.BytesIO(encoded(photograph())))
    rows, columns = (np.flatnonzero((shown > 60).any(axis=axis)) for axis in (1, 0))
    assert inverted
    assert (rows[0], rows[-1]) == (0, 27)
    assert columns[-1] - columns[0] + 1 == pytest.approx(28 * 53 / 61, abs=1.5)
    assert shown[0, 0] == shown[-1, -1] == 0
    assert shown[14, 14] > 200, "a dark garment on white is a light one on black"


@pytest.mark.parametrize(
    "data",
    [
        encoded(photograph("L", 255, 20)),
        encoded(photograph("RGBA", (0, 0, 0, 0), (20, 20, 20, 255))),
        encoded(photograph("LA", (0, 0), (20, 255))),
        encoded(photograph("RGB", "white", (20, 20, 20)).quantize(8)),
        encoded(photograph("RGB", "white", (20, 20, 20)), "JPEG", quality=95),
        encoded(photograph("RGB", "white", (20, 20, 20)).convert("CMYK"), "JPEG", quality=95),
        encoded(photograph("RGB", "white", (20, 20, 20)), "WEBP", lossless=True),
        encoded(photograph("L", 255, 20).convert("I;16").point(lambda value: value * 257)),
        encoded(photograph("L", 0, 235)),
        encoded(photograph("L", 255, 20).resize((600, 800), Image.Resampling.NEAREST)),
    ],
    ids="gray transparent gray-alpha palette jpeg cmyk webp 16-bit on-black large".split(),
)
def test_every_form_of_a_picture_shows_the_same(data: bytes):
    plain = seen(encoded(photograph("RGB", "white", (20, 20, 20)))).astype(int)
    assert np.abs(seen(data).astype(int) - plain).mean() < 8


def test_a_rotated_photograph_is_set_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right is needed
    turned = encoded(photograph().transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif)
    upright = seen(encoded(photograph())).astype(int)
    assert np.abs(seen(turned).astype(int) - upright).mean() < 8


def bomb(width: int, height: int) -> bytes:
    """A PNG that declares more than it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"hello", "is no picture: PNG, JPEG"),
        (encoded(photograph())[:200], "is damaged"),
        (bomb(60_000, 60_000), "is enormous"),
        (bomb(8_000, 8_000), "is enormous: 8000 x 8000 pixels, 50,000,000 are the most"),
        (encoded(Image.new("L", (50, 50), 200)), "shows nothing but background"),
    ],
)
def test_what_is_no_picture_is_told_so(data: bytes, said: str):
    with pytest.raises(InputError, match=said):
        seen(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three test images, named by what they are, in a folder with other things."""
    images, labels = tiny_set(3, seed=2)
    for image, label in zip(images, labels, strict=True):
        Image.fromarray(image).save(tmp_path / f"{label}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_the_command_answers_as_the_network_does(finished_workspace: Workspace, folder: Path):
    model = models.load_best_model(finished_workspace.path / "models/best_model.h5")
    expected = models.predict(model, tiny_set(3, seed=2)[0])
    show = folder / "shown.jpg.png"
    done = finished_workspace.run(
        *("python", "-m", "stages.predict", "--json", "--show", str(show), str(folder))
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert [Path(answer["file"]).name for answer in answers] == ["0.png", "1.png", "2.png"]
    for answer, probabilities in zip(answers, expected, strict=True):
        given = list(answer["probabilities"].values())
        np.testing.assert_allclose(given, probabilities, atol=1e-6)
        assert answer["class"] == dataset.CLASS_NAMES[probabilities.argmax()]
        assert answer["runner_up"]["probability"] <= answer["probability"]
    assert Image.open(show).width > 500


def test_a_bad_file_is_named_and_the_others_are_answered(
    finished_workspace: Workspace, folder: Path
):
    (folder / "bad.png").write_text("hello")
    empty = folder / "empty"
    empty.mkdir()
    arguments = [str(folder), str(folder / "none.png"), str(empty)]
    done = finished_workspace.run("python", "-m", "stages.predict", *arguments)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 4
    assert [line.partition(": ")[0] for line in done.stderr.splitlines()] == ["error"] * 3
    for name, said in (
        ("bad.png", "is no picture"),
        ("none.png", "cannot be"),
        ("empty", "has no"),
    ):
        assert f"{name}: {said}" in done.stderr


def test_a_picture_is_read_from_standard_input(finished_workspace: Workspace):
    done = subprocess.run(
        [sys.executable, "-m", "stages.predict", "-"],
        cwd=finished_workspace.path,
        input=encoded(photograph()),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"light background: negated" in done.stdout
