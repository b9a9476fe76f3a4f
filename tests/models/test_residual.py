"""The residual pairs: what their layers compute, and the size of what passes through them."""

import keras
import numpy as np
import pytest
from keras import layers

from models import DISCRIMINATORS, GENERATORS, residual
from models.blocks import UPSAMPLINGS
from models.residual import DownsamplingConv2D


def normal(*shape, seed=0):
    """Normal numbers, float32."""
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_downsampling_convolution():
    """It is a 3x3 convolution followed by the means of 2 x 2 pixels."""
    ours, theirs = DownsamplingConv2D(4, 3, padding="same"), layers.Conv2D(4, 3, padding="same")
    x = normal(2, 6, 8, 3)
    assert ours(x).shape == ours.compute_output_shape(x.shape) == (2, 3, 4, 4)
    theirs(x)
    ours.set_weights([normal(3, 3, 3, 4), normal(4)])
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), layers.AveragePooling2D(2)(theirs(x)), atol=1e-5)


def test_shortcuts():
    """Where the last kernels of its blocks are 0, a block only resamples its input, by one 1x1 convolution."""
    x = keras.Input((4, 4, 3))
    up = keras.Model(x, residual.upsample_block(x, 2, "nearest", "batch"))
    down = keras.Model(x, residual.downsample_block(x, 2, "none"))
    values, kernel = normal(2, 4, 4, 3), normal(3, 2)
    for block in (up, down):
        block.set_weights([np.zeros(weight.shape) for weight in block.get_weights()])
        next(layer for layer in block.layers if getattr(layer, "kernel_size", 0) == (1, 1)).kernel.assign(
            kernel[None, None]
        )
    np.testing.assert_allclose(up(values), (values @ kernel).repeat(2, 1).repeat(2, 2), atol=1e-5)
    means = values.reshape(2, 2, 2, 2, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(down(values), means @ kernel, atol=1e-5)


def test_blocks_without_norm_start_as_nothing():
    """A bottleneck block returns its input at first; its last kernel trains, from which the others get gradients."""
    x = keras.Input((4, 4, 6))
    block = keras.Model(x, residual.bottleneck_block(x, 4))
    values = normal(2, 4, 4, 6)
    np.testing.assert_array_equal(block(values), values)
    shapes = [weight.shape for weight in block.trainable_weights]
    assert shapes == [(1, 1, 6, 3), (3,), (3, 3, 3, 3), (3,), (1, 1, 3, 6)]
    block.layers[-2].kernel.assign(normal(1, 1, 3, 6))
    assert np.abs(block(values) - values).max() > 0.1


@pytest.mark.parametrize("normalization", ["batch", "none", "spectral"])
def test_added_blocks_start_as_nothing(normalization):
    """Blocks that depth adds return their input at first, but for spectral norm, which has no kernel of 0."""
    x = keras.Input((4, 4, 6))
    blocks = keras.Model(x, residual.more_blocks(x, 2, normalization))
    values = normal(2, 4, 4, 6)
    assert np.array_equal(blocks(values, training=True), values) == (normalization != "spectral")


@pytest.mark.parametrize("kind", UPSAMPLINGS)
def test_upsampling_keeps_the_size_of_maps(kind):
    """Maps have about one variance before and after it, in the pair that no norm scales."""
    keras.utils.set_random_seed(0)
    x = keras.Input((8, 8, 64))
    maps = keras.Model(x, residual.upsample_maps(x, 32, kind))(normal(4, 8, 8, 64)).numpy()
    assert maps.shape == (4, 16, 16, 32) and (0.3 if kind == "bilinear" else 0.8) < maps[:, 2:-2, 2:-2].var() < 1.2


@pytest.mark.parametrize(("depth", "sizes"), [(0, (16, 64)), (2, (32,))])
def test_size_of_logits_and_images(depth, sizes):
    """At the start neither vanishes nor saturates at any image size, and no layer is normalized in the second pair."""
    for name in ("residual", "residual-free"):
        for size in sizes:
            keras.utils.set_random_seed(0)
            generator, discriminator = (
                GENERATORS[name]((8,), (size, size, 3), 8, depth=depth),
                DISCRIMINATORS[name]((size, size, 3), 8, depth=depth),
            )
            images = generator(normal(16, 8), training=True)
            assert 0.1 < np.std(images) < 0.95 and 0.03 < np.std(discriminator(images, training=True)) < 3
            norms = [layer for layer in generator.layers + discriminator.layers if "Norm" in type(layer).__name__]
            assert bool(norms) == (name == "residual")
