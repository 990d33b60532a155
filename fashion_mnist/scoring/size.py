"""The size of a network."""

import math

from fashion_mnist.learning.backend import keras

# Their weights are multiplied by one number each, as are those of normalizations.
ELEMENTWISE = (keras.layers.PReLU, keras.layers.LayerNormalization)


def multiply_adds(network: keras.Model) -> int:
    """Multiply-adds of the convolutions and dense layers for one image."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, ELEMENTWISE):
            continue
        kernels = sum(math.prod(w.shape) for w in layer.trainable_weights if len(w.shape) > 1)
        total += kernels * math.prod(layer.output.shape[1:-1])
    return total
