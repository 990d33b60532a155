"""The self-contained page that classifies pictures in the browser, and works offline."""

import base64
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from fashion_mnist.demo.runtime import Runtime
from fashion_mnist.exporting import onnx

FOLDER = Path(__file__).parent
# pictures.js computes as fashion_mnist/pictures does, with the same numbers and words.
SHARED = """APART BLACK EDGE EVEN_BORDER FILLED LARGE_PART LIGHT MOST_FRAMES MOST_NESTED MOST_PIXELS
    NEAR SAME_GRAY SMALLER SMALL_PART TRANSPARENT TRIMMED UNEVEN UNIFORM WIDEST_FRAME
    WORKING_EDGE""".split()


def render(
    model: bytes,
    classes: Sequence[str],
    web: Runtime,
    pictures: Mapping[str, Any],
    examples: Mapping[Path, str],
) -> str:
    """The page's HTML.

    Args:
        model: an ONNX file.
        classes: their names.
        web: what runs it.
        pictures: the numbers and words that the page shares, by name.
        examples: PNG files to try, and what they show.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared = {name: pictures[name] for name in SHARED}
    names = {"INPUT": onnx.INPUT, "OUTPUT": onnx.OUTPUT, "CLASSES": classes}
    return environment.get_template("page.html").render(
        constants=shared | names,
        scripts=[
            (FOLDER / name).read_text(encoding="utf-8") for name in ("pictures.js", "page.js")
        ],
        parts={
            "module": _packed(web.module),
            "wasm": _packed(web.wasm),
            "model": _packed(model),
        },
        examples=[
            (path.name, shows, base64.b64encode(path.read_bytes()).decode())
            for path, shows in examples.items()
        ],
    )


def _packed(data: bytes) -> str:
    return base64.b64encode(gzip.compress(data, mtime=0)).decode()
