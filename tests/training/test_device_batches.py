"""Batches of images that are kept on a device."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import kernels

import data
from gan.labels import Attribute, Labels
from gan.training.augmentation import AUGMENTATIONS
from gan.training.device_batches import device_batches, pack, unpack
from gan.training.distribution import Distribution


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_equal_those_of_the_input_pipeline(name):
    """The same images to the bit, over more than a pass, from any start, all of them or one replica's."""
    images = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), np.uint8)
    rows, places = np.array([*range(1, 30, 2), 5, 5]), np.array([0, 1, 6, 7])  # one is drawn thrice as often
    labels = Labels((Attribute("class", ("a", "b", "c")),), (np.arange(30) % 3).astype(np.int32)[:, None])
    settings = {"rows": rows, "seed": 3, "start": 2, "places": places, "labels": labels}
    augmentation = AUGMENTATIONS[name]
    expected = data.batches(images, 8, augment=augmentation.pipeline, **settings)
    found = device_batches(images, 8, augmentation=augmentation, distribution=Distribution(), **settings)
    for one, other in itertools.islice(zip(expected, found, strict=False), 5):
        for part, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, same)
            assert part.dtype == same.dtype == tf.float32
        assert one[1].shape == (4, 3)


def test_packing():
    """Images of any size come back, scaled; 75 bytes take ten numbers."""
    images = np.arange(2 * 75).reshape(2, 5, 5, 3).astype(np.uint8)
    packed = pack(images)
    assert packed.dtype == np.int64 and packed.shape == (2, 10)
    np.testing.assert_allclose(unpack(packed, (5, 5, 3)), images / 127.5 - 1, atol=1e-6)


def has_gpu_kernel(operation):
    """Whether TensorFlow has a kernel for GPUs of an operation with these types."""
    for kernel in kernels.get_registered_kernels_for_op(operation.type).kernel:
        allowed = {each.name: each.allowed_values.list.type for each in kernel.constraint}
        types = {name: operation.get_attr(name).as_datatype_enum for name in allowed}
        if kernel.device_type in ("GPU", "DEFAULT") and all(types[name] in allowed[name] for name in allowed):
            return True
    return False


def test_gpus_have_kernels_for_it():
    """What gathers a batch runs on a GPU: one operation on the CPU would have all images copied there each time."""

    @tf.function(autograph=False)
    def gather(faces, numbers, chances):
        return AUGMENTATIONS["flip"].on_device(unpack(tf.gather(faces, numbers), (5, 5, 3)), chances)

    rows, numbers, chances = (
        tf.TensorSpec((None, 10), tf.int64),
        *(tf.TensorSpec((None,), t) for t in (tf.int64, tf.float64)),
    )
    graph = gather.get_concrete_function(rows, numbers, chances).graph
    heavy = [each for each in graph.get_operations() if each.type not in ("Placeholder", "Const")]
    assert {"GatherV2", "Bitcast", "ReverseV2", "SelectV2"} <= {each.type for each in heavy}
    assert [(each.type, each.name) for each in heavy if not has_gpu_kernel(each)] == []
