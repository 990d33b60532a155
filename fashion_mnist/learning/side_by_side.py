"""A batch in parts, each computed by one thread.

Most operations on images this small take as long on two threads as on one. So the parts of a batch
go forward and backward side by side, and their gradients are added.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from fashion_mnist.learning.backend import keras


class SideBySide(keras.Sequential):
    """Keras's model, computed in parts; for TensorFlow.

    It gives what Keras's gives, except for the order of sums, for random numbers, of which each
    part has its own, and for batch normalization: a part has statistics of its own, and the parts
    update their averages one after the other.
    """

    def __init__(self, layers: list[keras.layers.Layer], parts: int) -> None:
        super().__init__(layers)
        self._parts = parts

    def train_step(self, data: Any) -> dict[str, Any]:
        """Learn from images uint8 (N, H, W, C) and targets; the metrics are the whole batch's."""
        import tensorflow as tf

        images, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        count = tf.shape(images)[0]
        outputs = []
        with tf.GradientTape() as tape:
            losses = self._get_regularization_losses()
            for rows, size in self._rows(count):
                output = self(images[rows], training=True)
                share = tf.cast(size / count, tf.float32)
                means = [self._compile_loss(targets[rows], output), *self._penalties()]
                losses += [share * mean for mean in means]
                outputs.append(output[:size])
            loss = tf.add_n(losses)
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights, strict=True))
        self._loss_tracker.update_state(loss, sample_weight=count)
        return self.compute_metrics(images, targets, tf.concat(outputs, axis=0))

    def predict_step(self, data: Any) -> Any:
        """The outputs for images uint8 (N, H, W, C)."""
        import tensorflow as tf

        images, *_ = keras.utils.unpack_x_y_sample_weight(data)
        rows_and_sizes = self._rows(tf.shape(images)[0])
        return tf.concat([self(images[r], training=False)[:n] for r, n in rows_and_sizes], axis=0)

    def _rows(self, count: Any) -> Iterator[tuple[slice, Any]]:
        """(rows, how many count) of each part: no part is empty, even of a batch that is too small.

        Batch normalization has no statistics of nothing.
        """
        import tensorflow as tf

        bounds = [count * part // self._parts for part in range(self._parts + 1)]
        for start, end in pairwise(bounds):
            yield slice(start, tf.maximum(end, start + 1)), end - start

    def _penalties(self) -> list[Any]:
        """On the outputs of the last call; Keras divides each by the number of its images."""
        return [loss for layer in self._flatten_layers() for loss in layer._get_own_losses()]
