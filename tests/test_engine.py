"""The batches that Keras goes through."""

import numpy as np
import pytest

from fashion_mnist.learning.backend import in_batches, keras

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="other backends take the arrays themselves"
)


def test_batches_hold_the_arrays_in_their_order_and_the_last_may_be_smaller():
    images = np.arange(10, dtype=np.uint8).reshape(5, 2)
    targets = np.eye(5, dtype=np.float32)
    batches = list(in_batches(2, images, targets)["x"].as_numpy_iterator())
    assert [len(batch) for batch, _ in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), images)
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in batches]), targets)


def test_no_thread_tunes_them_whose_next_turn_an_epoch_would_wait_for():
    batches = in_batches(2, np.zeros((5, 2), np.uint8))["x"]
    assert not batches.options().autotune.enabled
