"""The page that classifies in the browser answers as `predict` does, and its runtime is safe."""

import http.server
import io
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fashion_mnist.commands import demo
from fashion_mnist.demo import page, runtime
from fashion_mnist.errors import InputError
from fashion_mnist.exporting import onnx
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.learning import networks, prediction, saving
from fashion_mnist.learning.backend import keras
from fashion_mnist.model_files import loading
from fashion_mnist.pictures import garments, plain
from fashion_mnist.storage import outs
from fashion_mnist.storage.dataset import Kind
from tests.browser import Chromium, Tab
from tests.conftest import ROOT, Call, as_project
from tests.jobs import FASHION, layers
from tests.processes import only_once
from tests.test_predict import FORMS, OTHER_FRAMES, PICTURES, TROUBLE, drawn, encoded

PRODUCT = DataSet(format="idx", sources=["none"], prepare="product")
READY = """
new Promise(ready => {
  const answer = document.getElementById("answer");
  const look = () => {
    if (answer.getAttribute("aria-busy") === "false") ready();
    else setTimeout(look, 5);
  };
  look();
})
"""
SHOWS_AN_ANSWER = "document.getElementById('answer').checkVisibility()"
FOUND = """
({
  file: document.getElementById("answer").dataset.file,
  problem: document.getElementById("problem").textContent,
  class: document.getElementById("class").textContent,
  probabilities: Object.fromEntries([...document.getElementById("bars").rows].map(
    row => [row.cells[0].textContent, Number(row.cells[2].dataset.probability)])),
  pixels: [...seen.getContext("2d").getImageData(0, 0, seen.width, seen.height).data],
  size: [seen.height, seen.width],
  inverted: document.getElementById("inverted")?.hidden === false,
  warnings: [...document.querySelectorAll("#doubts:not([hidden]) li")].map(
    item => item.textContent),
})
"""


@pytest.fixture(scope="session")
def written(shared: Path) -> Path:
    """The page with the committed model. The runtime is downloaded once in a clone."""
    path = shared / "demo.html"

    def write() -> None:
        web = runtime.get(ROOT / runtime.CACHE)
        network = loading.load_model(ROOT / outs.BEST_MODEL, FASHION)
        model, _ = onnx.to_onnx(network, FASHION.classes)
        examples = {ROOT / file: shows for file, shows in demo.EXAMPLES.items()}
        html = page.render(model, FASHION, "Fashion-MNIST", PRODUCT, web, examples)
        path.write_text(html, encoding="utf-8")

    try:
        only_once(path, write)
    except InputError as error:
        if "CI" in os.environ:
            raise
        pytest.skip(str(error))  # there is no network
    return path


@pytest.fixture(scope="module")
def tab(written: Path, chromium: Chromium) -> Tab:
    tab = chromium.open(written)
    tab.evaluate(READY)
    return tab


def choose(tab: Tab, file: Path) -> dict:
    """What the page shows after a person has chosen a file."""
    tab.page.set_input_files("#file", file)
    tab.evaluate(READY)
    return tab.evaluate(FOUND)


def shown(found: dict) -> np.ndarray:
    """The image that the network sees, integers (H, W, 3)."""
    return np.reshape(found["pixels"], (*found["size"], 4))[..., :3]


def photograph() -> Image.Image:
    """A garment in colours, with light from one side, noise and a shadow-free background."""
    across, down = np.meshgrid(np.linspace(0, 1, 640), np.linspace(0, 1, 480))
    image = drawn((150, 60, 40), (236, 234, 230), "RGB").resize((640, 480))
    noise = np.random.default_rng(1).normal(0, 3, (480, 640, 3))
    light = (0.97 + 0.03 * across * down)[..., np.newaxis]
    return Image.fromarray((np.asarray(image) * light + noise).clip(0, 255).astype(np.uint8))


LOSSLESS = {path.name: path.read_bytes() for path in sorted(PICTURES.glob("*.png"))} | {
    name: FORMS[name][0]
    for name in (
        "on black", "on white", "wide", "tall", "small", "a palette", "a transparent palette",
        "GIF", "BMP", "a light cut-out", "a dark cut-out", "turned left",
        "a date", "a shop's name", "animated.gif", "animated.webp",
    )
}  # fmt: skip
LOSSY = {
    "a photograph": encoded(photograph(), "jpeg", quality=90),
    "a large photograph": encoded(photograph().resize((3200, 2400)), "jpeg"),
    "a framed JPEG": encoded(OTHER_FRAMES["in a JPEG"], "jpeg"),
    "23-plain.jfif": (PICTURES / "23-plain.jfif").read_bytes(),
    **{name: FORMS[name][0] for name in ("in colour", "WebP", "turned right", "grainy")},
}


@pytest.fixture(scope="module")
def expected() -> dict[str, np.ndarray]:
    """The probabilities that `predict` gives, by picture."""
    given = LOSSLESS | LOSSY
    images = np.stack([garments.read(io.BytesIO(data)).pixels for data in given.values()])
    model = loading.load_model(ROOT / outs.BEST_MODEL, FASHION)
    return dict(zip(given, prediction.predict(model, images), strict=True))


def test_the_page_answers_as_predict_does(
    tab: Tab, expected: dict[str, np.ndarray], tmp_path: Path, subtests: pytest.Subtests
):
    """Both see the same pixels, except of a JPEG or WebP, which each decodes in its own way."""
    for name, data in (LOSSLESS | LOSSY).items():
        seen = garments.read(io.BytesIO(data))
        file = tmp_path / name
        file.write_bytes(data)
        with subtests.test(name):
            found = choose(tab, file)
            assert (found["file"], found["problem"]) == (name, "")
            difference = np.abs(shown(found)[..., 0] - seen.pixels.astype(int))
            assert difference.max() <= (0 if name in LOSSLESS else 16)
            assert difference.mean() < 1
            probabilities = [found["probabilities"][label] for label in FASHION.classes]
            tolerance = 1e-5 if name in LOSSLESS else 0.02
            np.testing.assert_allclose(probabilities, expected[name], rtol=0, atol=tolerance)
            assert found["class"] == FASHION.classes[expected[name].argmax()]
            assert found["inverted"] == seen.inverted
            assert found["warnings"] == [f"{sign[0].upper()}{sign[1:]}." for sign in seen.warnings]
            assert (tab.errors, tab.requests) == ([], [])


CLASSES = ("0", "a & b", "a name without end " * 6)
SOFTMAX = "- Flatten\n- Dense: {units: classes, activation: softmax}"
GRAY, COLOURS = Kind((8, 8, 1), CLASSES), Kind((12, 20, 3), CLASSES)
SCENE = photograph()
CUT_OUT = Image.merge(
    "RGBA", [*SCENE.resize((90, 60)).split(), Image.linear_gradient("L").resize((90, 60))]
)
OF_ANY_KIND = {
    "of its size.png": encoded(SCENE.resize((20, 12))),
    "digit.png": encoded(SCENE.resize((8, 8)).convert("L")),
    "large.png": encoded(SCENE),
    "tall.png": encoded(SCENE.crop((100, 0, 180, 470))),
    "thin.png": encoded(SCENE.crop((100, 200, 600, 203))),
    "pixel.png": encoded(SCENE.resize((1, 1))),
    "cut-out.png": encoded(CUT_OUT),
    "palette.gif": encoded(SCENE.quantize(), "gif"),
    "small.jpg": encoded(SCENE.resize((19, 31)), "jpeg"),
    "photograph.jpg": encoded(SCENE.resize((1283, 957)), "jpeg"),
    "camera.jpg": encoded(SCENE.resize((3200, 2400)), "jpeg"),
}


@pytest.mark.usefixtures("written")  # then the runtime is in the cache
@pytest.mark.parametrize(
    ("kind", "background"), [(GRAY, "white"), (COLOURS, "edge")], ids=["gray", "colours"]
)
def test_the_page_of_another_data_set_answers_as_predict_does(
    chromium: Chromium,
    call: Call,
    tmp_path: Path,
    kind: Kind,
    background: str,
):
    """Levels may differ slightly of a JPEG, and where a picture is half transparent."""
    height, width, channels = kind.image_shape
    described = {"format": "folder", "sources": ["pictures"], "background": background}
    described |= {"image": {"height": height, "width": width, "channels": channels}}
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/signs.yaml").write_text(json.dumps(described))
    params = (ROOT / "params.yaml").read_text()
    params = params.replace("dataset: fashion-mnist", "dataset: signs")
    (tmp_path / "params.yaml").write_text(params)
    for folder in ("stages", runtime.CACHE):
        (tmp_path / folder).symlink_to(ROOT / folder)
    keras.utils.set_random_seed(1)
    network = networks.build(layers(SOFTMAX), kind)
    saving.save(network, tmp_path / outs.BEST_MODEL, kind.classes)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data in OF_ANY_KIND.items():
        (folder / name).write_bytes(data)

    assert call(tmp_path, "fashion_mnist.__main__", "demo").code == 0
    done = call(tmp_path, "fashion_mnist.__main__", "predict", "--json", "pictures")
    answers = json.loads(done.out)
    tab = chromium.open(tmp_path / demo.PAGE, width=390)
    tab.evaluate(READY)
    assert tab.evaluate("document.getElementById('class').textContent") == "Ready"
    assert len(answers) == len(OF_ANY_KIND)
    for answer in answers:
        file = tmp_path / answer["file"]
        found = choose(tab, file)
        assert (found["file"], found["problem"]) == (file.name, "")
        with file.open("rb") as opened:
            seen = plain.read(opened, plain.Frame(kind.image_shape, background)).pixels
        difference = np.abs(shown(found) - np.reshape(seen, kind.image_shape).astype(int))
        exact = file.suffix != ".jpg" and file.name != "cut-out.png"
        assert difference.max() <= (0 if exact else 2)
        assert found["class"] == answer["class"]
        assert found["probabilities"] == pytest.approx(
            answer["probabilities"], abs=1e-5 if exact else 0.02
        )
        assert (found["inverted"], found["warnings"]) == (False, [])
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    text = tab.evaluate("document.title + document.body.innerText")
    assert "signs" in text
    assert not re.search("garment|fashion|example", text, re.IGNORECASE)
    assert (tab.errors, tab.requests) == ([], [])


def test_the_page_warns_as_predict_does(tab: Tab, tmp_path: Path, subtests: pytest.Subtests):
    for kind, (image, signs) in TROUBLE.items():
        image.save(tmp_path / "a.png")
        with subtests.test(kind):
            found = choose(tab, tmp_path / "a.png")
            assert found["warnings"] == [f"{sign[0].upper()}{sign[1:]}." for sign in signs]


NO_PICTURES = {
    "a.txt": (b"hello", "is not a picture that this browser can read"),
    "half.png": (encoded(Image.new("L", (300, 200), 9))[:60], "is not a picture"),
    "blank.png": (encoded(Image.new("L", (300, 200), 255)), "shows nothing that"),
}


def test_what_is_no_picture_is_told_and_the_next_one_is_answered(
    tab: Tab, tmp_path: Path, subtests: pytest.Subtests
):
    for name, (data, message) in NO_PICTURES.items():
        (tmp_path / name).write_bytes(data)
        with subtests.test(name):
            assert choose(tab, tmp_path / name)["problem"].startswith(f"{name}: {message}")
            assert not tab.evaluate(SHOWS_AN_ANSWER)
            found = choose(tab, PICTURES / "2-plain.png")
            assert (found["problem"], found["class"]) == ("", "Trouser")
            assert tab.evaluate(SHOWS_AN_ANSWER)


GIVE = """
(async () => {{
  const image = document.querySelector("#examples li:nth-child(2) img");
  const bytes = Uint8Array.from(atob(image.src.split(",")[1]), byte => byte.charCodeAt(0));
  const data = new DataTransfer();
  for (const name of {names}) data.items.add(new File([bytes], name, {{type: "image/png"}}));
  data.setData("text/uri-list", "https://shop.example/");
  const [Kind, type, member] = {event};
  const event = new Kind(type, {{[member]: data, bubbles: true, cancelable: true}});
  document.body.dispatchEvent(event);
  return event.defaultPrevented;
}})()
"""
EVENTS = ["[DragEvent, 'drop', 'dataTransfer']", "[ClipboardEvent, 'paste', 'clipboardData']"]
GIVEN = [
    (["a.png"], ""),
    (["a.png", "b.png"], "these are 2 files: give one at a time"),
    ([], "this is not a file: save the picture, and choose its file"),
]


def test_one_dropped_or_pasted_picture_is_answered_and_anything_else_is_told(
    tab: Tab, subtests: pytest.Subtests
):
    for event, (names, problem) in itertools.product(EVENTS, GIVEN):
        with subtests.test(event, names=names):
            given = tab.evaluate(GIVE.format(event=event, names=names))
            assert given, "the browser would leave the page"
            tab.evaluate(READY)
            found = tab.evaluate(FOUND)
            assert found["problem"] == problem
            assert tab.evaluate(SHOWS_AN_ANSWER) == (not problem)
            assert problem or (found["file"], found["class"]) == ("a.png", "Trouser")


def test_each_example_is_classified_by_a_click(tab: Tab):
    answers = []
    for number in range(len(demo.EXAMPLES)):
        tab.evaluate(f"document.querySelectorAll('#examples button')[{number}].click()")
        tab.evaluate(READY)
        answers.append(tab.evaluate(FOUND)["class"])
    assert answers == ["T-shirt/top", "Trouser", "Sandal", "Ankle boot", "Sandal"]


def test_the_page_fits_a_window_and_a_phone_and_reaches_nothing(
    written: Path, tab: Tab, chromium: Chromium, subtests: pytest.Subtests
):
    phone = chromium.open(written, width=390)
    phone.evaluate(READY)
    assert phone.evaluate("document.getElementById('class').textContent") == "T-shirt/top"
    for place, scheme in itertools.product((tab, phone), ("dark", "light")):
        place.page.emulate_media(color_scheme=scheme)
        width = place.page.viewport_size["width"]
        with subtests.test(scheme, width=width):
            assert place.evaluate("document.documentElement.scrollWidth") <= width
            assert (place.errors, place.requests) == ([], [])


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(tab: Tab):
    session = tab.page.context.new_cdp_session(tab.page)
    tree = session.send("Accessibility.getFullAXTree")["nodes"]
    controls = [
        node for node in tree if node["role"]["value"] in ("button", "image", "table", "rowheader")
    ]
    assert len(controls) > 15
    assert all(node["name"]["value"] for node in controls)
    assert tab.evaluate("""[...document.querySelectorAll("input, button")].every(control => {
      control.focus();
      return document.activeElement === control;
    })""")


def test_bars_show_in_the_colours_that_a_user_forces(tab: Tab):
    choose(tab, PICTURES / "2-plain.png")
    tab.page.emulate_media(forced_colors="active")
    bar, track = (
        tab.evaluate(f"getComputedStyle(document.querySelector('{place}')).backgroundColor")
        for place in (".track div", ".track")
    )
    tab.page.emulate_media(forced_colors="none")
    assert bar != track


class Registry(http.server.BaseHTTPRequestHandler):
    """Gives the same few bytes for any file but one."""

    def do_GET(self) -> None:
        known = self.path.endswith(runtime.NAME) and "none" not in self.path
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"malicious")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def registry() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_without_the_right_runtime_one_sentence_tells_why_and_nothing_is_kept(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
):
    other = rf"/{runtime.NAME} is another file: its SHA-256 is \w+, not {runtime.SHA256}$"
    none = rf"/{runtime.NAME}: the registry has no such file: connect to the network, or"
    for address, message in (
        (registry, other),
        (f"{registry}/none/", none),
        ("http://127.0.0.1:9", r"Connection refused: connect to the network, or save"),
    ):
        monkeypatch.setenv("npm_config_registry", address)
        with subtests.test(message):
            with pytest.raises(InputError, match=message):
                runtime.get(tmp_path / "cache")
            assert list(tmp_path.iterdir()) == []


def test_a_damaged_runtime_in_the_cache_is_downloaded_again(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / runtime.NAME).write_bytes(b"half")
    monkeypatch.setenv("npm_config_registry", registry)
    with pytest.raises(InputError, match="is another file"):
        runtime.get(tmp_path)


def test_the_command_writes_nothing_without_a_runtime(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9")
    for path in (outs.BEST_MODEL, *demo.EXAMPLES):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes((ROOT / path).read_bytes())
    before = sorted(as_project(tmp_path).rglob("*"))
    done = call(tmp_path, "fashion_mnist.__main__", "demo")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: http://127.0.0.1:9/")
    assert done.err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_for_other_images_than_the_page_would_make_is_refused(call: Call, tmp_path: Path):
    network = networks.build(layers(SOFTMAX), GRAY)
    saving.save(network, as_project(tmp_path) / outs.BEST_MODEL, GRAY.classes)
    done = call(tmp_path, "fashion_mnist.__main__", "demo")
    message = "takes images (8, 8, 1), and `prepare: product` makes (28, 28, 1)"
    assert (done.code, done.err) == (1, f"error: {outs.BEST_MODEL} {message}\n")
    assert not (tmp_path / demo.PAGE).exists()
