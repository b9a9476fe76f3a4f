"""Batches of images that are kept on a device."""

import itertools

import numpy as np
import pytest

import data
from gan.training.augmentation import AUGMENTATIONS
from gan.training.device_batches import device_batches
from gan.training.distribution import Distribution


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_equal_those_of_the_input_pipeline(name):
    """The same images to the bit, over more than a pass, from any start, all of them or one replica's."""
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    rows, places = np.arange(1, 30, 2), np.array([0, 1, 6, 7])
    settings = {"rows": rows, "seed": 3, "start": 2, "places": places}
    augmentation = AUGMENTATIONS[name]
    expected = data.batches(images, 8, augment=augmentation.pipeline, **settings)
    found = device_batches(images, 8, augmentation=augmentation, distribution=Distribution(), **settings)
    for one, other in itertools.islice(zip(expected, found, strict=False), 5):
        np.testing.assert_array_equal(one[0], other[0])
        assert one[1].shape == other[1].shape and one[0].dtype == other[0].dtype
