"""Pictures from anywhere: brought to the data set's form, answered, or named with what is wrong."""

import functools
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fashion_mnist.commands import pictures
from fashion_mnist.errors import InputError
from fashion_mnist.learning import dataset, networks, prediction, saving
from fashion_mnist.model_files import loading
from stages import predict
from tests.conftest import Workspace, tiny_set


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(data: bytes) -> pictures.Picture:
    return pictures.read(io.BytesIO(data))


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


def deep(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image).astype(np.uint16) * 257)


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(0).normal(0, 6, image.size[::-1])
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


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
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_garment_comes_out_the_same_in_every_form(form: str):
    data, inverted = FORMS[form]
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


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_an_image_of_the_data_set_comes_through_unchanged(mode: str):
    for image in IMAGES[:20]:
        found = read(encoded(Image.fromarray(image).convert(mode)))
        np.testing.assert_array_equal(found.pixels, image)
        assert not found.inverted
        found = read(encoded(Image.fromarray(255 - image).convert(mode)))
        np.testing.assert_array_equal(found.pixels, image)
        assert found.inverted


def bomb(width: int, height: int) -> bytes:
    """A PNG of few bytes that declares a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def gone_over(times: int) -> bytes:
    """A progressive JPEG whose last scan is repeated."""
    data = encoded(LIGHT, "jpeg", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * times + data[-2:]


JPEG = encoded(LIGHT, "jpeg")
TIFF = encoded(LIGHT, "tiff", compression="tiff_adobe_deflate")
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello\n", "is no PNG, JPEG, WEBP, GIF, BMP or TIFF picture"),
    "a format that is not allowed": (encoded(LIGHT, "ppm"), "is no PNG, JPEG"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no PNG, JPEG"),
    "a large picture": (bomb(7100, 7100), "has more than 50,000,000 pixels: refused"),
    "an enormous picture": (bomb(10_000, 10_000), "has more than 50,000,000 pixels: refused"),
    "a bomb": (bomb(100_000, 100_000), "has more than 50,000,000 pixels: refused"),
    "a picture that takes forever": (gone_over(1000), "is a JPEG of more than 100 scans: refused"),
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


@pytest.mark.parametrize("bad", BAD)
def test_what_is_no_picture_is_refused_in_a_sentence(bad: str, capfd: pytest.CaptureFixture[str]):
    data, reason = BAD[bad]
    with pytest.raises(InputError) as refused:
        read(data)
    assert str(refused.value).startswith(reason)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 2**20)
    with (
        pytest.raises(InputError, match="is larger than 1 MiB"),
        Path("/dev/zero").open("rb") as it,
    ):
        pictures.read(it)


@pytest.mark.parametrize("kind", pictures.FORMATS)
def test_damaged_bytes_raise_nothing_else(kind: str, capfd: pytest.CaptureFixture[str]):
    whole = np.frombuffer(encoded(LIGHT.resize((40, 40)).convert("RGB"), kind), np.uint8)
    random = np.random.default_rng(0)
    for _ in range(100):
        data = whole.copy()
        places = random.integers(0, random.choice([60, len(data)]), 4) % len(data)
        data[places] = random.integers(0, 256, 4)
        try:
            assert read(data.tobytes()).pixels.shape == (28, 28)
        except InputError:
            continue
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="session")
def asked(fresh_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with a best model, which no training made, as none of these tests needs that."""
    workspace = fresh_workspace.copy(tmp_path_factory.mktemp("asked") / "project")
    layers = [("Flatten", {}), ("Dense", {"units": 10, "activation": "softmax"})]
    model = networks.build("x", layers)
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
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, list[str]]:
        model = asked.path / "models/best_model.h5"
        monkeypatch.setattr("sys.argv", ["predict", "--model", str(model), *arguments])
        code = predict.main()
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return run


def test_test_images_saved_as_pictures_are_answered_as_the_arrays_are(asked: Workspace):
    """The command itself: a hundred files, one load, one prediction."""
    (asked.path / "photos").mkdir()
    for number, image in enumerate(IMAGES):
        Image.fromarray(image).save(asked.path / f"photos/{number:03}.png")
    done = asked.run("python", "-m", "stages.predict", "--json", "photos")
    assert (done.returncode, done.stderr) == (0, "")
    model = loading.load_model(asked.path / "models/best_model.h5")
    found = json.loads(done.stdout)
    assert [answer["file"] for answer in found] == [f"photos/{n:03}.png" for n in range(100)]
    for answer, given in zip(found, prediction.predict(model, IMAGES), strict=True):
        assert list(answer["probabilities"]) == list(dataset.CLASS_NAMES)
        np.testing.assert_allclose(list(answer["probabilities"].values()), given, atol=2e-6)
        second, first = np.argsort(given)[-2:]
        assert answer["class"] == dataset.CLASS_NAMES[first]
        assert answer["probability"] == max(answer["probabilities"].values())
        assert answer["runner_up"] == {
            "class": dataset.CLASS_NAMES[second],
            "probability": sorted(answer["probabilities"].values())[-2],
        }
        assert answer["inverted"] is False


def test_a_picture_comes_through_standard_input(asked: Workspace):
    done = subprocess.run(
        [sys.executable, "-m", "stages.predict", "-"],
        cwd=asked.path,
        input=encoded(LIGHT),
        capture_output=True,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    head, line = done.stdout.decode().splitlines()
    assert head.split() == ["picture", "class", "probability", "runner-up", "probability"]
    assert line.startswith("-  ")
    assert line.endswith("light background: inverted")


def test_nothing_to_answer_is_said_before_keras_is_loaded(fresh_workspace: Workspace):
    """There is no model in a fresh workspace, and nobody asks for it."""
    done = fresh_workspace.run(
        "python", "-X", "importtime", "-m", "stages.predict", "none.png", "models.png", "stages"
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line for line in lines if not line.startswith("import time:")] == [
        "error: none.png: No such file or directory",
        "error: loading.png: No such file or directory",
        "error: stages: there is no PNG, JPEG, WEBP, GIF, BMP or TIFF file in this folder",
    ]
    assert not any(line.endswith((" keras", " tensorflow", " matplotlib")) for line in lines)


def test_a_missing_model_is_one_sentence(ask: Callable, tmp_path: Path):
    LIGHT.save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"^none\.h5 is not a file: name a \.h5 or \.keras model$"):
        ask("--model", "none.h5", "a.png")


def test_good_pictures_are_answered_beside_bad_ones(ask: Callable, tmp_path: Path):
    LIGHT.save(tmp_path / "white.png")
    drawn(200, 0).save(tmp_path / "black.webp")
    (tmp_path / "empty.png").touch()
    (tmp_path / "two\nlines.jpg").write_text("hello")
    code, out, errors = ask("white.png", "empty.png", "two\nlines.jpg", "gone.png", "black.webp")
    assert code == 1
    assert [line.rpartition(": ")[0] for line in errors] == [
        "error: empty.png",
        "error: two\\nlines.jpg",
        "error: gone.png",
    ]
    head, white, black = out.splitlines()
    assert white.startswith("white.png   ")
    assert white.endswith("light background: inverted")
    assert black.startswith("black.webp  ")
    assert black.endswith("%")
    ends = {line.index("%") for line in (white, black)}
    assert ends == {head.index("probability") + len("probability") - 1}


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
    assert errors[0].startswith("error: photos/d.gif: is no PNG")


def test_many_pictures_take_one_model_and_one_prediction(
    ask: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    called = []
    for name in ("load_model", "predict"):
        function = getattr(models, name)
        spy = functools.partial(lambda f, n, *given: called.append(n) or f(*given), function, name)
        monkeypatch.setattr(models, name, spy)
    LIGHT.save(tmp_path / "a.png")
    code, out, _ = ask(*["a.png"] * 100)
    assert (code, len(out.splitlines())) == (0, 101)
    assert sorted(called) == ["load_model", "predict"]


def test_no_answers_are_an_empty_list_in_json(ask: Callable, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    code, out, errors = ask("--json", "empty")
    assert (code, json.loads(out), len(errors)) == (1, [], 1)


def test_a_drawing_shows_what_the_model_was_shown(ask: Callable, tmp_path: Path):
    names = ["a $x_{ dollar.png", "\u886b.png", "b" * 100 + ".png"]
    for name in names:
        LIGHT.save(tmp_path / name)
    code, out, errors = ask("--show", "answers.png", *names)
    assert (code, errors, len(out.splitlines())) == (0, [], 4)
    first = (tmp_path / "answers.png").read_bytes()
    picture = np.asarray(Image.open(io.BytesIO(first)).convert("L"))
    assert (picture == 200).sum() > 3 * 4000, "the garment is light"
    assert (picture == 0).sum() > 3 * 4000, "on black"
    ask("--show", "answers.png", *names)
    assert (tmp_path / "answers.png").read_bytes() == first


def test_a_drawing_replaces_no_picture(ask: Callable, tmp_path: Path):
    LIGHT.save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    with pytest.raises(InputError, match=r"--show a\.png: would overwrite a picture"):
        predict.check_target(Path("a.png"), [predict.Question("a.png", read(before))])
    with pytest.raises(InputError, match=r"--show a\.jpg: a PNG is drawn"):
        ask("--show", "a.jpg", "a.png")
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has other names")
def test_any_name_can_be_printed(ask: Callable, tmp_path: Path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(encoded(LIGHT))
    assert ask(name)[1].splitlines()[1].startswith("caf\\udce9.png  ")
    assert json.loads(ask("--json", name)[1])[0]["file"] == name
