"""A Keras model as ONNX, the format that other programs run, checked against Keras."""

import json
import logging
from collections.abc import Sequence

import numpy as np

from fashion_mnist.errors import InputError, first_sentence
from fashion_mnist.exporting import operations
from fashion_mnist.learning.backend import in_batches, keras
from fashion_mnist.learning.prediction import BATCH_SIZE

INPUT, OUTPUT = "image", "probabilities"
OPSET = 17  # of 2022, so that older runtimes read the file too
TOLERANCE = 1e-5  # of a probability; rounding gives 1e-6
CHECKED = 400  # images


def require_tensorflow() -> None:
    """Raise InputError if Keras computes with another library: only TensorFlow writes ONNX."""
    if keras.backend.backend() != "tensorflow":
        raise InputError("ONNX is written from TensorFlow: unset KERAS_BACKEND")


def to_onnx(model: keras.Model, classes: Sequence[str]) -> tuple[bytes, float]:
    """The same model as an ONNX file, and its largest difference from Keras in any probability.

    Args:
        model: maps float32 (N, H, W, C) in [0, 1] to class probabilities.
        classes: their names, which the file remembers.

    Raises:
        InputError: it cannot be converted, or gives other probabilities afterwards.
    """
    try:
        data = _converted(model, classes)
        difference = _largest_difference(model, data)
    except InputError:
        raise
    except Exception as error:  # the converter and the runtime raise anything at all
        reason = first_sentence(error) or type(error).__name__
        raise InputError(f"cannot be converted to ONNX: {reason}") from None
    if not difference <= TOLERANCE:  # also true for NaN
        raise InputError(
            f"gives other probabilities as ONNX, by up to {difference:.1g}: not written"
        )
    return data, difference


def _converted(model: keras.Model, classes: Sequence[str]) -> bytes:
    import onnx
    import tensorflow as tf
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization):  # the converter takes tensors for inputs
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name=INPUT)]
    function = tf.function(lambda image: {OUTPUT: model(image, training=False)}, signature)
    tf.config.run_functions_eagerly(True)  # functions within it, as of grouped convolutions, too
    try:
        converted, _ = tf2onnx.convert.from_function(
            function, signature, opset=OPSET, custom_op_handlers=operations.HANDLERS
        )
    finally:
        tf.config.run_functions_eagerly(False)
    # It passes on what it does not know.
    unknown = {n.op_type for n in converted.graph.node if not onnx.defs.has(n.op_type, n.domain)}
    if unknown:
        raise InputError(f"cannot be converted to ONNX, which has no {', '.join(sorted(unknown))}")
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    converted.metadata_props.add(key="classes", value=json.dumps(list(classes), ensure_ascii=False))
    return converted.SerializeToString(deterministic=True)


def _largest_difference(model: keras.Model, data: bytes) -> float:
    import onnxruntime

    images = _images(model.input_shape[1:])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it raises is enough
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (found,) = session.run([OUTPUT], {INPUT: images})
    expected = model.predict(**in_batches(BATCH_SIZE, images), verbose=0)
    return float(np.abs(found - expected).max())


def _images(image_shape: tuple[int, int, int]) -> np.ndarray:
    """Float32 (N, H, W, C) in [0, 1]: noise, of which every second image has coarse grains."""
    height, width, channels = image_shape
    random = np.random.default_rng(0)
    images = random.random((CHECKED, *image_shape), np.float32)
    grains = random.random((CHECKED // 2, -(-height // 4), -(-width // 4), channels), np.float32)
    images[::2] = grains.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    return images
