"""Which training images validate."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from fashion_mnist.candidates import splits
from fashion_mnist.errors import InputError

LABELS = np.repeat(np.arange(10), 600)


def test_nested_is_the_originals_repeated_split_index_for_index():
    labels = np.arange(60_000) % 10
    left = np.arange(60_000)
    for number, count in enumerate((48_000, 38_400, 30_720, 24_576), start=1):
        left, held_out = train_test_split(left, test_size=0.2, random_state=101)
        training, validation = splits.split(labels, number, "nested", 0.2, 101)
        assert len(training) == count
        np.testing.assert_array_equal(training, left)
        np.testing.assert_array_equal(validation, held_out)


def test_each_split_parts_all_images_in_another_way():
    for strategy in ("stratified", "shuffled"):
        first, second = (splits.split(LABELS, k, strategy, 0.2, 101) for k in (1, 2))
        for training, validation in (first, second):
            assert len(training) == 4800, strategy
            assert sorted([*training, *validation]) == list(range(6000)), strategy
        assert set(first[1]) != set(second[1]), strategy


def test_stratified_keeps_the_share_of_every_class():
    _, validation = splits.split(LABELS, 3, "stratified", 0.2, 101)
    assert np.bincount(LABELS[validation]).tolist() == [120] * 10


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    one, same, other = (splits.split(LABELS, 1, "stratified", 0.2, s)[0] for s in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_too_few_images_are_told_in_a_sentence():
    with pytest.raises(InputError, match=r"split 1 \(stratified.*of 10 images cannot be made"):
        splits.split(np.arange(10), 1, "stratified", 0.2, 101)
