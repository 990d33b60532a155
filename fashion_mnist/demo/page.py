"""The self-contained page that classifies pictures in the browser, and works offline."""

import base64
import gzip
from collections.abc import Mapping
from pathlib import Path

import jinja2

from fashion_mnist.demo.runtime import Runtime
from fashion_mnist.exporting import onnx
from fashion_mnist.ingest.schema import DataSet
from fashion_mnist.pictures import decoding, garments, plain
from fashion_mnist.storage.dataset import Kind

FOLDER = Path(__file__).parent
# Each script computes as a module of fashion_mnist/pictures does, with its numbers and words.
DECODING = {"pictures.js": (decoding, "MOST_FRAMES MOST_PIXELS SMALLER")}
PREPARING = {
    "plain": {"plain.js": (plain, "LEVELS REDUCING")},
    "product": {
        "garments.js": (
            garments,
            """APART BLACK EDGE EVEN_BORDER FILLED LARGE_PART LIGHT MOST_NESTED NEAR SAME_GRAY
            SMALL_PART TRANSPARENT TRIMMED UNEVEN UNIFORM WIDEST_FRAME WORKING_EDGE""",
        )
    },
}


def render(
    model: bytes,
    kind: Kind,
    name: str,
    data_set: DataSet,
    web: Runtime,
    examples: Mapping[Path, str],
) -> str:
    """The page's HTML.

    Args:
        model: an ONNX file.
        kind: of the images that it takes.
        name: of the data set, as people know it.
        data_set: how its pictures are prepared.
        web: what runs the model.
        examples: PNG files to try, and what they show.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = DECODING | PREPARING[data_set.prepare]
    constants = {
        "INPUT": onnx.INPUT,
        "OUTPUT": onnx.OUTPUT,
        "CLASSES": kind.classes,
        "IMAGE_SHAPE": kind.image_shape,
        "BACKGROUND": data_set.background,
    }
    for module, names in scripts.values():
        constants |= {constant: getattr(module, constant) for constant in names.split()}
    return environment.get_template("page.html").render(
        name=name,
        shows_garments=data_set.prepare == "product",
        constants=constants,
        scripts=[(FOLDER / file).read_text(encoding="utf-8") for file in (*scripts, "page.js")],
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
