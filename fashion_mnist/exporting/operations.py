"""Operations of TensorFlow that tf2onnx does not know, or not exactly, made of those of ONNX."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np


def _erfc(graph: Any, node: Any, name: str, _: Any) -> None:
    """1 - erf(x)."""
    erf = graph.make_node("Erf", node.input).output[0]
    _replace(graph, node, "Sub", [_constant(graph, name, 1.0), erf])


def _expm1(graph: Any, node: Any, name: str, _: Any) -> None:
    """exp(x) - 1."""
    exp = graph.make_node("Exp", node.input).output[0]
    _replace(graph, node, "Sub", [exp, _constant(graph, name, 1.0)])


def _log1p(graph: Any, node: Any, name: str, _: Any) -> None:
    """log(x + 1)."""
    sum_ = graph.make_node("Add", [*node.input, _constant(graph, name, 1.0)]).output[0]
    _replace(graph, node, "Log", [sum_])


def _resize_bicubic(graph: Any, node: Any, name: str, _: Any) -> None:
    import tensorflow as tf

    def resized(images: np.ndarray, size: list[int]) -> Any:
        return tf.raw_ops.ResizeBicubic(images=images, size=size, **options)

    options = {
        key: bool(node.get_attr_value(key)) for key in ("half_pixel_centers", "align_corners")
    }
    _resize(graph, node, name, resized)


def _scale_and_translate(graph: Any, node: Any, name: str, _: Any) -> None:
    """As `tf.image.resize` calls it: without a shift, and with the scale that the sizes give."""
    import tensorflow as tf

    def resized(images: np.ndarray, size: list[int]) -> Any:
        scale = [size[0] / images.shape[1], 1.0]
        return tf.raw_ops.ScaleAndTranslate(
            images=images, size=size, scale=scale, translation=[0.0, 0.0], **options
        )

    options = {
        "kernel_type": node.get_attr_value("kernel_type").decode(),
        "antialias": bool(node.get_attr_value("antialias")),
    }
    _resize(graph, node, name, resized)


def _resize(
    graph: Any, node: Any, name: str, resized: Callable[[np.ndarray, list[int]], Any]
) -> None:
    """A resizing, which is linear in each direction: TensorFlow's own weights as two matrices.

    Args:
        resized: gives images (N, H, W, C) the size [H, W].
    """
    matrices = []
    sizes = zip(
        graph.get_shape(node.input[0])[1:3], graph.get_shape(node.output[0])[1:3], strict=True
    )
    for axis, (before, after) in zip("hw", sizes, strict=True):
        units = np.eye(before, dtype=np.float32).reshape(1, before, 1, before)
        # In this thread TensorFlow only adds to the converter's graph.
        with ThreadPoolExecutor(1) as thread:
            weights = np.asarray(thread.submit(resized, units, [after, 1]).result())[0, :, 0]
        matrices.append(_constant(graph, f"{name}_{axis}", weights))
    _replace(graph, node, "Einsum", [node.input[0], *matrices], equation="nhwc,ih,jw->nijc")


def _constant(graph: Any, name: str, value: Any) -> str:
    unique = f"{name}__constant"
    return graph.make_const(unique, np.asarray(value, np.float32)).output[0]


def _replace(graph: Any, node: Any, kind: str, inputs: list[str], **attributes: Any) -> None:
    shapes, dtypes, outputs = node.output_shapes, node.output_dtypes, node.output
    graph.remove_node(node.name)
    graph.make_node(kind, inputs, attr=attributes, outputs=outputs, shapes=shapes, dtypes=dtypes)


# By their names in TensorFlow; tf2onnx takes them with ONNX's, which it does not need here.
HANDLERS: dict[str, tuple[Callable, list[str]]] = {
    "Erfc": (_erfc, []),
    "Expm1": (_expm1, []),
    "Log1p": (_log1p, []),
    "ResizeBicubic": (_resize_bicubic, []),
    "ScaleAndTranslate": (_scale_and_translate, []),
}
