"""Pictures from anywhere: brought to the data set's form and classified, or named with an error."""

import argparse
import contextlib
import csv
import functools
import io
import itertools
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from fashion_mnist.commands import predict
from fashion_mnist.errors import InputError
from fashion_mnist.learning import networks, prediction, saving
from fashion_mnist.model_files import loading
from fashion_mnist.pictures import decoding, garments
from fashion_mnist.storage import outs
from tests.conftest import ROOT, Call, Workspace, as_project, tiny_set
from tests.jobs import FASHION

PICTURES = ROOT / "tests/pictures"


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> garments.Picture:
    return garments.read(io.BytesIO(data))


def drawn(garment: object, background: object, mode: str = "L", size=(400, 400)) -> Image.Image:
    """A T-shirt without any symmetry, 300 x 257, somewhere in the picture."""
    image = Image.new(mode, size, background)
    left, top = (size[0] - 300) // 3, (size[1] - 257) // 2
    outline = [(60, 0), (220, 0), (299, 70), (250, 120), (220, 90), (220, 256), (80, 256)]
    outline += [(80, 90), (40, 160), (0, 120)]
    ImageDraw.Draw(image).polygon([(left + x, top + y) for x, y in outline], fill=garment)
    return image


def unlike(a: np.ndarray, b: np.ndarray) -> float:
    """The mean difference in gray levels."""
    return float(np.abs(a.astype(int) - b).mean())


NOISE, _ = tiny_set(100, seed=2)
IMAGES = np.where(NOISE < 120, 0, NOISE)  # on black, as the real ones are
EXPECTED = read(encoded(drawn(200, 0))).pixels
LIGHT = drawn(55, 255)
CUT_OUT = Image.merge("LA", (drawn(200, 90), drawn(255, 0)))
DARK_CUT_OUT = Image.merge("LA", (drawn(55, 90), drawn(255, 0)))


def turned(image: Image.Image, orientation: int, kind: str) -> bytes:
    """As a camera saves it that was held askew."""
    undo = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
    undo |= {8: Image.Transpose.ROTATE_270, 5: Image.Transpose.TRANSPOSE}
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image.transpose(undo[orientation]), kind, exif=exif)


def deep(image: Image.Image, bits: int = 16) -> Image.Image:
    levels = np.asarray(image) * ((2**bits - 1) / 255)
    return Image.fromarray(levels.round().astype(np.uint16))


def png(levels: np.ndarray, kind: int, bits: int) -> bytes:
    """A PNG of unsigned integers (height, width, channels), which Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width = levels.shape[:2]
    lines = b"".join(b"\0" + line.tobytes() for line in levels)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def deep_colours(image: Image.Image, bits: int) -> bytes:
    levels = np.asarray(deep(image, bits)).astype(">u2")
    return png(levels[..., np.newaxis].repeat(3, axis=2), 2, 16)


def framed(image: Image.Image, tone: object, left=0, top=0, right=0, bottom=0) -> Image.Image:
    size = left + image.width + right, top + image.height + bottom
    whole = Image.new(image.mode, size, tone)
    whole.paste(image, (left, top))
    return whole


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 6, image.size[::-1])
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def written_on(image: Image.Image, text: str, place: tuple[int, int], size: int) -> Image.Image:
    """With a date, or with the name of a shop."""
    image = image.copy()
    ImageDraw.Draw(image).text(place, text, fill=120, font_size=size)
    return image


def in_frames(kind: str, **options: object) -> bytes:
    """An animation or a document that begins with blank frames."""
    blank = Image.new("L", LIGHT.size, 255)
    return encoded(
        blank, kind, save_all=True, append_images=[blank, LIGHT.copy(), blank], **options
    )


FORMS = {
    "on black": (encoded(drawn(200, 0)), False),
    "on white": (encoded(LIGHT), True),
    "in colour": (encoded(drawn((55, 55, 55), (255, 255, 255), "RGB"), "jpeg"), True),
    "wide": (encoded(drawn(55, 255, size=(1600, 300))), True),
    "tall": (encoded(drawn(200, 0, size=(320, 1900))), False),
    "larger than needed": (encoded(LIGHT.resize((3000, 3000)), "jpeg"), True),
    "small": (encoded(LIGHT.resize((90, 90), Image.Resampling.BOX)), True),
    "16 bits": (encoded(deep(drawn(200, 0))), False),
    "16 bits in TIFF": (encoded(deep(LIGHT), "tiff"), True),
    "8 bits in 16": (encoded(deep(LIGHT, 8)), True),
    "10 bits in 16": (encoded(deep(drawn(200, 0), 10)), False),
    "12 bits in 16": (encoded(deep(LIGHT, 12)), True),
    "14 bits in 16 in TIFF": (encoded(deep(LIGHT, 14), "tiff"), True),
    "colours of 16 bits": (deep_colours(LIGHT, 16), True),
    "colours of 12 bits in 16": (deep_colours(LIGHT, 12), True),
    "floats": (encoded(Image.fromarray(np.asarray(LIGHT) / np.float32(255)), "tiff"), True),
    "a palette": (encoded(LIGHT.convert("P")), True),
    "a transparent palette": (encoded(drawn(200, 0).convert("P"), transparency=0), False),
    "a transparent gray": (encoded(drawn(200, 3), transparency=3), False),
    "GIF": (encoded(LIGHT, "gif"), True),
    "BMP": (encoded(LIGHT, "bmp"), True),
    "WebP": (encoded(LIGHT.convert("RGB"), "webp"), True),
    "CMYK": (encoded(LIGHT.convert("RGB").convert("CMYK"), "jpeg"), True),
    "a light cut-out": (encoded(CUT_OUT), False),
    "a dark cut-out": (encoded(DARK_CUT_OUT), True),
    "a cut-out in colour": (encoded(CUT_OUT.convert("RGBA"), "webp", lossless=True), False),
    "an opaque alpha channel": (encoded(LIGHT.convert("RGBA")), True),
    "upside down": (turned(LIGHT, 3, "jpeg"), True),
    "turned right": (turned(LIGHT, 6, "jpeg"), True),
    "turned left": (turned(LIGHT, 8, "png"), True),
    "turned and mirrored": (turned(LIGHT, 5, "webp"), True),
    "progressive": (encoded(LIGHT, "jpeg", progressive=True), True),
    "turned in TIFF": (turned(LIGHT, 6, "tiff"), True),
    "grainy": (encoded(noisy(LIGHT), "jpeg"), True),
    "a date": (encoded(written_on(LIGHT, "2026-11-28", (300, 380), 12)), True),
    "a shop's name": (encoded(written_on(drawn(200, 0), "shop.example", (100, 10), 20)), False),
    "animated.gif": (in_frames("gif"), True),
    "animated.webp": (in_frames("webp", lossless=True), True),
    "document.tiff": (in_frames("tiff"), True),
}


def test_the_same_garment_comes_out_the_same_in_every_form(subtests: pytest.Subtests):
    for form, (data, inverted) in FORMS.items():
        with subtests.test(form):
            found = read(data)
            assert found.pixels.shape == (28, 28)
            assert found.pixels.dtype == np.uint8
            assert found.inverted == inverted
            assert unlike(found.pixels, EXPECTED) < 5


def test_the_garment_fills_the_square_and_keeps_its_aspect():
    rows, columns = (np.flatnonzero(EXPECTED.any(axis=axis)) for axis in (1, 0))
    assert (columns[0], columns[-1]) == (0, 27)
    assert len(rows) == round(28 * 257 / 300)
    assert abs(rows[0] - (27 - rows[-1])) <= 1
    assert EXPECTED[14, 14] == 200


def test_specks_do_not_widen_the_frame():
    image = LIGHT.copy()
    for place in ((2, 3), (390, 10), (7, 395)):
        image.putpixel(place, 0)
    assert unlike(read(encoded(image)).pixels, EXPECTED) < 5


def test_a_gray_background_becomes_black():
    found = read(encoded(drawn(0, 200)))
    assert found.inverted
    assert found.pixels[0, 0] == 0
    assert found.pixels[14, 14] == 255


def test_an_image_of_the_data_set_comes_through_unchanged(subtests: pytest.Subtests):
    for mode, inverted in itertools.product(("L", "RGB", "P", "RGBA"), (False, True)):
        with subtests.test(mode, inverted=inverted):
            for image in IMAGES[:20]:
                saved = Image.fromarray(255 - image if inverted else image).convert(mode)
                found = read(encoded(saved))
                np.testing.assert_array_equal(found.pixels, image)
                assert found.inverted == inverted


FRAMES = {
    "on all sides": {"left": 1, "top": 1, "right": 1, "bottom": 1},
    "as wide as they come": {"left": 12, "top": 12, "right": 12, "bottom": 12},
    "on the left": {"left": 3},
    "on top": {"top": 12},
    "on the right": {"right": 5},
    "at the bottom": {"bottom": 8},
    "above and below": {"top": 2, "bottom": 2},
    "of several widths": {"left": 4, "top": 1, "right": 9},
}


def test_a_frame_is_cut_off(subtests: pytest.Subtests):
    plain = read(encoded(LIGHT))
    tones = (0, 20, 60, 120, 200, 240)
    for (place, sides), tone in itertools.product(FRAMES.items(), tones):
        with subtests.test(place, tone=tone):
            found = read(encoded(framed(LIGHT, tone, **sides)))
            np.testing.assert_array_equal(found.pixels, plain.pixels)
            assert (found.inverted, found.warnings) == (True, ())
            for image in IMAGES[:10]:
                small = framed(Image.fromarray(255 - image), tone, **sides)
                np.testing.assert_array_equal(read(encoded(small)).pixels, image)


FOUR = {"left": 5, "top": 5, "right": 5, "bottom": 5}
OTHER_FRAMES = {
    "light on black": framed(drawn(200, 0), 230, **FOUR),
    "in a JPEG": framed(LIGHT, 20, **FOUR),
    "blurred": framed(LIGHT, 20, **FOUR).filter(ImageFilter.GaussianBlur(1)),
    "grainy": noisy(framed(LIGHT, 20, **FOUR)),
    "of a large picture": framed(LIGHT.resize((3000, 3000)), 20, **FOUR),
    "transparent": framed(LIGHT.convert("LA"), (0, 0), **FOUR),
    "within a margin": framed(framed(LIGHT, 20, **FOUR), 255, **FOUR),
    "in two tones": framed(framed(LIGHT, 20, left=5), 200, bottom=5),
}


def test_a_frame_of_any_kind_is_cut_off(subtests: pytest.Subtests):
    for kind, image in OTHER_FRAMES.items():
        with subtests.test(kind):
            found = read(encoded(image, "jpeg" if image.mode == "L" else "png"))
            assert unlike(found.pixels, EXPECTED) < 5
            assert found.warnings == ()


def test_a_photograph_gives_the_same_image_with_and_without_a_frame(subtests: pytest.Subtests):
    for number in (0, 2, 3, 11, 19, 23):
        plain, dark, light = (
            read((PICTURES / f"{number}-{kind}.png").read_bytes())
            for kind in ("plain", "dark-frame", "light-gray-frame")
        )
        with subtests.test(picture=number):
            np.testing.assert_array_equal(dark.pixels, plain.pixels)
            np.testing.assert_array_equal(light.pixels, plain.pixels)
            assert plain.warnings == dark.warnings == light.warnings == ()


def test_an_image_of_the_data_set_in_matplotlibs_colours_stays_in_its_frame(
    subtests: pytest.Subtests,
):
    for name in ("viridis", "plasma", "cividis", "magma", "gray"):
        with subtests.test(name):
            for image in IMAGES[:10]:
                colours = matplotlib.colormaps[name](image / image.max(), bytes=True)
                found = read(encoded(Image.fromarray(colours))).pixels
                assert (found[image == 0] == 0).all()
                assert np.corrcoef(found.ravel(), image.ravel())[0, 1] > 0.98


def times(image: Image.Image, field: np.ndarray) -> Image.Image:
    return Image.fromarray((np.asarray(image) * field).round().astype(np.uint8))


ACROSS, DOWN = np.meshgrid(np.linspace(-1, 1, 400), np.linspace(-1, 1, 400))
TROUBLE = {
    "none": (LIGHT, ()),
    "none in a small picture": (LIGHT.resize((80, 80), Image.Resampling.BOX), ()),
    "none, though it touches an edge": (LIGHT.crop((0, 0, 300, 400)), ()),
    "no margin": (
        LIGHT.crop(LIGHT.point(lambda level: 255 - level).getbbox()),
        (garments.FILLED, garments.UNEVEN),
    ),
    "a vignette": (
        times(LIGHT, 1 - 0.6 * (np.hypot(ACROSS, DOWN) - 0.5).clip(0) ** 2),
        (garments.FILLED, garments.UNEVEN),
    ),
    "a floor": (times(LIGHT, np.where(DOWN > 0.4, 0.7, 1)), (garments.UNEVEN,)),
    "light from one side": (times(LIGHT, 0.8 + 0.2 * ACROSS), (garments.UNEVEN,)),
    "stripes": (
        times(LIGHT, np.where(np.sin(40 * ACROSS + 25 * DOWN) > 0, 1, 0.7)),
        (garments.FILLED, garments.UNEVEN),
    ),
    "a banner": (written_on(LIGHT, "\N{FULL BLOCK}" * 8, (50, 345), 40), (garments.APART,)),
    "a pair": (framed(LIGHT, 255, right=400).copy(), (garments.APART,)),
}
TROUBLE["a pair"][0].paste(LIGHT, (400, 0))


def test_a_sign_of_trouble_is_a_warning(subtests: pytest.Subtests):
    for kind, (image, signs) in TROUBLE.items():
        with subtests.test(kind):
            assert read(encoded(image)).warnings == signs


def test_a_preview_keeps_colours_and_aspect_and_is_upright():
    preview = read(turned(drawn((200, 0, 0), (255, 255, 255), "RGB", (800, 400)), 6, "png")).preview
    assert (preview.shape, preview.dtype) == ((70, 140, 3), np.uint8)
    assert preview[0, 0].tolist() == [255, 255, 255]
    assert preview[35, 55].tolist() == [200, 0, 0]


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes whose header declares a size."""
    data = bytearray(png(np.zeros((1, 1000), np.uint8), 2, 8))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def gone_over(times: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(LIGHT, "jpeg", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


JPEG = encoded(LIGHT, "jpeg")
TIFF = encoded(LIGHT, "tiff", compression="tiff_adobe_deflate")
TOO_LARGE = "has more than 80,000,000 pixels: make it smaller, for example 2,000 pixels wide"
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello\n", "is not a PNG, JPEG, WEBP, GIF, BMP or TIFF picture"),
    "a format that is not allowed": (encoded(LIGHT, "ppm"), "is not a PNG, JPEG"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is not a PNG, JPEG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a PNG, JPEG"),
    "a large picture": (bomb(9000, 9000), "has more than 80,000,000 pixels: make it smaller"),
    "an enormous picture": (
        bomb(10_000, 10_000),
        "has more than 80,000,000 pixels: make it smaller",
    ),
    "a bomb": (bomb(100_000, 100_000), "has more than 80,000,000 pixels: make it smaller"),
    "a picture that takes forever": (
        gone_over(1000),
        "is a JPEG of more than 100 scans: save it as",
    ),
    "half a PNG": (encoded(LIGHT)[:600], "is damaged: image file is truncated"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "is damaged: image file is truncated"),
    "half a WebP": (encoded(LIGHT, "webp")[:300], "is damaged"),
    "half a GIF": (encoded(LIGHT, "gif")[:1000], "is damaged"),
    "half a BMP": (encoded(LIGHT, "bmp")[:9000], "is damaged: image file is truncated"),
    "a TIFF of noise": (TIFF[:8] + bytes(200) + TIFF[208:], "is damaged"),
    "a blank page": (encoded(Image.new("L", (300, 200), 255)), "shows nothing that stands out"),
    "a transparent page": (encoded(Image.new("LA", (30, 20))), "shows nothing that stands out"),
    "a pixel": (encoded(Image.new("RGB", (1, 1))), "shows nothing that stands out"),
}


def test_what_is_no_picture_is_refused_in_a_sentence(
    subtests: pytest.Subtests, capfd: pytest.CaptureFixture[str]
):
    for bad, (data, reason) in BAD.items():
        with subtests.test(bad):
            with pytest.raises(InputError) as refused:
                read(data)
            assert str(refused.value).startswith(reason)
            assert "\n" not in str(refused.value)
            assert capfd.readouterr() == ("", "")


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(decoding, "MOST_BYTES", 2**20)
    with (
        pytest.raises(InputError, match="is larger than 1 MiB"),
        Path("/dev/zero").open("rb") as it,
    ):
        garments.read(it)


def test_damaged_bytes_raise_nothing_else(
    subtests: pytest.Subtests, capfd: pytest.CaptureFixture[str]
):
    small = LIGHT.resize((40, 40)).convert("RGB")
    for kind in decoding.FORMATS:
        whole = np.frombuffer(encoded(small, kind), np.uint8)
        random = np.random.default_rng(0)
        with subtests.test(kind):
            for _ in range(100):
                data = whole.copy()
                places = random.integers(0, random.choice([60, len(data)]), 4) % len(data)
                data[places] = random.integers(0, 256, 4)
                with contextlib.suppress(InputError):
                    assert read(data.tobytes()).pixels.shape == (28, 28)
            assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="session")
def asked(fresh_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a best model, which no training made, as none of these tests needs that."""
    workspace = fresh_workspace.copy(tmp_path_factory.mktemp("asked") / "project")
    layers = [("Flatten", {}), ("Dense", {"units": 10, "activation": "softmax"})]
    model = networks.build(layers, FASHION)
    model.set_weights([np.random.default_rng(0).normal(0, 0.2, (784, 10)), np.zeros(10)])
    saving.save(model, workspace.path / "models/best_model.h5")
    return workspace


@pytest.fixture
def ask(
    asked: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, list[str]]]:
    """The command without a process of its own: exit code, output, lines of standard error."""
    monkeypatch.chdir(as_project(tmp_path))
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser.add_subparsers().add_parser("predict"))

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        model = asked.path / "models/best_model.h5"
        code = predict.run(parser.parse_args(["predict", "--model", str(model), *arguments]))
        printed = capsys.readouterr()
        return code, printed.out, printed.err.splitlines()

    return run


def test_test_images_saved_as_pictures_are_answered_as_the_arrays_are(asked: Workspace):
    """The command itself: a hundred files and standard input, one load, one prediction."""
    (asked.path / "photos").mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(asked.path / f"photos/{number:03}.png")
    done = subprocess.run(
        [sys.executable, "-m", "fashion_mnist", "predict", "--json", "photos", "-"],
        cwd=asked.path,
        input=encoded(Image.fromarray(255 - IMAGES[0])),
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    model = loading.load_model(asked.path / "models/best_model.h5", FASHION)
    *found, last = json.loads(done.stdout)
    assert last == found[0] | {"file": "-", "inverted": True}
    assert [answer["file"] for answer in found] == [f"photos/{n:03}.png" for n in range(100)]
    for answer, given in zip(found, prediction.predict(model, IMAGES), strict=True):
        assert list(answer["probabilities"]) == list(FASHION.classes)
        np.testing.assert_allclose(list(answer["probabilities"].values()), given, atol=2e-6)
        second, first = np.argsort(given)[-2:]
        assert answer["class"] == FASHION.classes[first]
        assert answer["probability"] == max(answer["probabilities"].values())
        assert answer["runner_up"] == {
            "class": FASHION.classes[second],
            "probability": sorted(answer["probabilities"].values())[-2],
        }
        assert answer["inverted"] is False
        assert answer["warnings"] == []


def test_nothing_to_answer_is_said_before_keras_is_loaded(fresh_workspace: Workspace):
    """There is no model in a fresh workspace, and nobody asks for it."""
    done = fresh_workspace.run(
        *("python", "-X", "importtime", "-m", "fashion_mnist"),
        *("predict", "none.png", "other.png", "stages"),
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line for line in lines if not line.startswith("import time:")] == [
        "error: none.png: No such file or directory",
        "error: other.png: No such file or directory",
        "error: stages: this folder contains no PNG, JPEG, WEBP, GIF, BMP or TIFF file",
    ]
    assert not any(line.endswith((" keras", " tensorflow", " matplotlib")) for line in lines)


def test_good_pictures_are_answered_beside_bad_ones(ask: Callable, tmp_path: Path):
    LIGHT.save(tmp_path / "white.png")
    drawn(200, 0).save(tmp_path / "black.webp")
    (tmp_path / "empty.png").touch()
    (tmp_path / "two\nlines.jpg").write_text("hello")
    code, out, errors = ask("white.png", "empty.png", "two\nlines.jpg", "gone.png", "black.webp")
    assert code == 1
    assert [line.split(": ")[1] for line in errors] == [
        "empty.png",
        "two\\nlines.jpg",
        "gone.png",
    ]
    head, white, black = out.splitlines()
    assert head.split() == ["picture", "class", "prob.", "runner-up", "prob."]
    assert white.startswith("white.png   ")
    assert white.endswith("  inverted")
    assert black.startswith("black.webp  ")
    assert black.endswith("%")
    ends = {line.index("%") for line in (white, black)}
    assert ends == {head.index("prob.") + len("prob.") - 1}


def test_a_folder_gives_its_pictures_in_order(ask: Callable, tmp_path: Path):
    folder = tmp_path / "photos"
    (folder / "deeper.png").mkdir(parents=True)
    for name in ("b.PNG", "a.jpeg", ".hidden.png", "c.tif"):
        (folder / name).write_bytes(encoded(LIGHT))
    (folder / "notes.txt").write_text("no picture")
    (folder / "d.gif").write_text("no picture either")
    code, out, errors = ask("--json", "photos", "photos/a.jpeg")
    names = [answer["file"] for answer in json.loads(out)]
    assert names == ["photos/a.jpeg", "photos/b.PNG", "photos/c.tif", "photos/a.jpeg"]
    assert code == 1
    assert len(errors) == 1
    assert errors[0].startswith("error: photos/d.gif: is not a PNG")


def test_no_picture_in_a_folder_is_passed_over(ask: Callable, tmp_path: Path):
    """Whatever its suffix; what no decoder here reads is an error."""
    read = ("a.jfif", "b.jpe", "c.JPG_large", "d", "e.apng")
    other = ("f.avif", "g.heic", "h.jp2", "i.svg", "j")
    for name in read:
        (tmp_path / name).write_bytes(encoded(LIGHT, "png" if name == "e.apng" else "jpeg"))
    for name in other:
        (tmp_path / name).write_bytes(b"\0\0\0\x1cftypavif\0\0\0\0")
    (tmp_path / "notes.txt").write_text("not a picture")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "k.png").symlink_to("gone")
    code, out, errors = ask("--json", ".")
    assert code == 1
    assert [answer["file"] for answer in json.loads(out)] == list(read)
    assert [line.split(": ")[1] for line in errors] == [*other, "k.png"]
    (tmp_path / "empty").mkdir()
    code, out, errors = ask("--json", "empty")
    assert (code, json.loads(out), len(errors)) == (1, [], 1)


def test_a_name_may_begin_with_a_dash(ask: Callable, tmp_path: Path):
    names = ["-dash.png", "-h.png", "--json.png"]
    for name in (*names, "a.png"):
        LIGHT.save(tmp_path / name)
    for arguments in ([*names, "a.png"], ["a.png", *names], ["a.png", "--", *names]):
        code, out, errors = ask("--json", *arguments)
        assert (code, errors) == (0, [])
        found = {answer["file"] for answer in json.loads(out)}
        assert found == {"a.png", *(f"./{name}" for name in names)}


def test_many_pictures_take_one_model_and_one_prediction(
    ask: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    called = []
    for module, name in ((loading, "load"), (prediction, "predict")):
        function = getattr(module, name)
        spy = functools.partial(lambda f, n, *given: called.append(n) or f(*given), function, name)
        monkeypatch.setattr(module, name, spy)
    LIGHT.save(tmp_path / "a.png")
    code, out, _ = ask(*["a.png"] * 100)
    assert (code, len(out.splitlines())) == (0, 101)
    assert sorted(called) == ["load", "predict"]


def test_a_warning_is_told_beside_the_answer(ask: Callable, tmp_path: Path):
    TROUBLE["a pair"][0].save(tmp_path / "pair.png")
    code, out, errors = ask("pair.png")
    assert (code, errors) == (0, [])
    assert out.splitlines()[2] == f"    warning: {garments.APART}"
    assert json.loads(ask("--json", "pair.png")[1])[0]["warnings"] == [garments.APART]


def test_the_table_fits_80_columns_whatever_the_names_are(ask: Callable, tmp_path: Path):
    names = ["a.png", "b" * 26 + ".png", "c" * 76 + ".png"]
    for name, (image, _) in zip(names, TROUBLE.values(), strict=False):
        image.save(tmp_path / name)
    TROUBLE["stripes"][0].save(tmp_path / "stripes.png")
    _, out, _ = ask("stripes.png", *names)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert set(names[1:]) < set(lines), "a long name has a line of its own"


def test_answers_that_are_not_numbers_are_one_sentence(ask: Callable, tmp_path: Path):
    layers = [("Flatten", {}), ("Dense", {"units": 10, "activation": "softmax"})]
    model = networks.build(layers, FASHION)
    model.set_weights([np.full((784, 10), np.nan), np.zeros(10)])
    saving.save(model, tmp_path / "diverged.h5")
    LIGHT.save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"^diverged\.h5 predicts numbers that are not finite"):
        ask("--model", "diverged.h5", "a.png")


def test_pictures_are_classified_by_the_committed_model_as_they_were(ask: Callable):
    """Six test images of four kinds; the model takes one of them for a sandal in each."""
    code, out, errors = ask("--model", str(ROOT / outs.BEST_MODEL), "--json", str(PICTURES))
    assert (code, errors) == (0, [])
    with (PICTURES / "expected.csv").open() as file:
        expected = {row["file"]: row["class"] for row in csv.DictReader(file)}
    found = {Path(answer["file"]).name: answer["class"] for answer in json.loads(out)}
    assert found.keys() == expected.keys()
    wrong = {name for name in expected if found[name] != expected[name]}
    assert all(name.startswith("23-") for name in wrong)


def test_the_figure_shows_each_picture_beside_what_the_model_sees(ask: Callable, tmp_path: Path):
    names = ["a $x_{ dollar.png", "\u886b.png", "b" * 100 + ".png"]
    for name in names:
        drawn((250, 150, 0), (255, 255, 255), "RGB").save(tmp_path / name)
    code, out, errors = ask("--show", "answers.png", *names)
    assert (code, errors, len(out.splitlines())) == (0, ["wrote answers.png"], 5)
    first = (tmp_path / "answers.png").read_bytes()
    figure = np.asarray(Image.open(io.BytesIO(first)).convert("RGB")).reshape(-1, 3)
    assert (figure == (250, 150, 0)).all(axis=1).sum() > 3 * 4000, "the picture in its colours"
    assert (figure == (0, 0, 0)).all(axis=1).sum() > 3 * 4000, "the image on black"
    ask("--show", "answers.png", *names)
    assert (tmp_path / "answers.png").read_bytes() == first


def test_a_figure_of_many_pictures_ends_and_tells_so_and_comes_beside_json(
    ask: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(predict, "MOST_DRAWN", 2)
    LIGHT.save(tmp_path / "a.png")
    code, out, errors = ask("--json", "--show=answers.png", "a.png", "a.png", "a.png")
    assert (code, len(json.loads(out))) == (0, 3)
    assert errors == ["wrote answers.png with the first 2 of 3 pictures"]


def test_the_figure_replaces_no_picture(ask: Callable, tmp_path: Path):
    LIGHT.save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(InputError, match=r"--show a\.png: would overwrite a picture"):
        ask("--show", "a.png", "a.png")
    with pytest.raises(InputError, match=r"--show a\.jpg: the figure is a PNG"):
        ask("--show", "a.jpg", "a.png")
    assert (tmp_path / "a.png").read_bytes() == before
    (tmp_path / "damaged.png").write_bytes(before[:99])
    with pytest.raises(InputError, match=r"--show damaged\.png: would overwrite a picture"):
        ask("--show", "damaged.png", "a.png", "damaged.png")
    assert (tmp_path / "damaged.png").read_bytes() == before[:99]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other names")
def test_any_name_can_be_printed(asked: Workspace, call: Call, tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(encoded(LIGHT))
    model = str(asked.path / "models/best_model.h5")
    command = ("fashion_mnist.__main__", "predict", "--model", model)
    table = call(as_project(tmp_path), *command, name).out
    assert table.splitlines()[1].startswith("caf\\udce9.png  ")
    assert json.loads(call(tmp_path, *command, "--json", name).out)[0]["file"] == name
