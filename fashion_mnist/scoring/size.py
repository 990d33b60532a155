"""The size of a network."""

import math

from fashion_mnist.learning.backend import keras

# Their kernels are multiplied by each place of the input, those of others by each of the output.
BY_INPUT = (keras.layers.Conv2DTranspose, keras.layers.GRU, keras.layers.LSTM)


def multiply_adds(network: keras.Model) -> int:
    """Multiply-adds with the kernels of convolutions, dense and recurrent layers for one image."""
    total = 0
    for layer in network.layers:
        kernels = sum(math.prod(w.shape) for w in layer.trainable_weights if "kernel" in w.name)
        places = layer.input if isinstance(layer, BY_INPUT) else layer.output
        total += kernels * math.prod(places.shape[1:-1])
    return total
