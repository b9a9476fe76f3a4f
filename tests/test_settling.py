"""An average at rest: its batch norm fits its weights, its faces vary as they should."""

import keras
import numpy as np
import pytest
from keras import layers

from gan import settling
from gan.images import to_unit
from models import GENERATORS


def batches(seed=1, size=100):
    """Noise (size, 3) by number."""
    return lambda i: np.random.default_rng([seed, i]).normal(size=(size, 3)).astype(np.float32)


def network(*inner):
    """Noise (n, 3) -> "faces" (n, 2, 2, 3), linear but for what is put in."""
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input((3,)), layers.Dense(12), *inner, layers.Reshape((2, 2, 3))])


def drawn(one, scale=1.0):
    """What it draws from fresh noise."""
    return one(scale * np.concatenate([batches(5)(i) for i in range(20)]), training=False).numpy()


def test_spread_is_the_sum_of_variances():
    """Two faces, black and white but for one value: 11 values of variance 1 and one of 0; mirrored, that one varies."""
    faces = np.zeros((2, 2, 2, 3), np.uint8)
    faces[1] = 255
    faces[:, 0, 0, 0] = 0
    assert settling.spread(faces, mirrored=False) == pytest.approx(11)
    # The two places that mirror one another hold 0, 0, 0 and 255: a variance of 3/4 each.
    assert settling.spread(faces, mirrored=True) == pytest.approx(10 + 2 * 0.75)
    assert settling.spread(faces, mirrored=False) == pytest.approx(settling.variation(to_unit(faces.astype(float))))


@pytest.mark.parametrize("off", [0.9, 1.1])
def test_faces_vary_as_they_should(off):
    """A linear network whose variance is off by a fifth is scaled to within what a thousand samples can tell."""
    one = network()
    wanted = settling.variation(drawn(one, off))
    settling.settle(one, batches(), wanted)
    assert settling.variation(drawn(one)) == pytest.approx(wanted, rel=0.05)


def test_help_has_an_end():
    """A generator that has collapsed, or one that draws one thing only, is not blown up."""
    one = network()
    before = settling.variation(drawn(one))
    settling.settle(one, batches(), 100 * before)
    assert settling.variation(drawn(one)) == pytest.approx(settling.MOST**2 * before, rel=0.01)
    dead = network()
    dead.layers[0].kernel.assign(np.zeros((3, 12)))
    settling.settle(dead, batches(), 1.0)
    assert not dead.layers[0].kernel.numpy().any()


def test_statistics_are_measured_one_upon_the_other():
    """Each batch norm ends with the mean and variance of what comes to it when those before it are settled."""
    one = network(layers.BatchNormalization(), layers.LeakyReLU(0.2), layers.Dense(12), layers.BatchNormalization())
    for layer in one.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.full(12, 9.0))
            layer.moving_mean.assign(np.full(12, 5.0))
    settling.measure(one, batches(size=400))
    noise = np.concatenate([batches(size=400)(i) for i in range(settling.MEASURED)])
    x = noise
    for layer in one.layers:
        if isinstance(layer, layers.BatchNormalization):
            np.testing.assert_allclose(layer.moving_mean, x.mean(0), atol=0.02)
            np.testing.assert_allclose(layer.moving_variance, x.var(0), rtol=0.02)
            assert layer.momentum == 0.99  # as it was
        x = layer(x, training=False).numpy()


def test_no_batch_norm_and_no_kernel():
    """Networks that have none are left as they are."""
    plain = keras.Sequential([keras.Input((3,)), layers.Reshape((1, 1, 3))])
    settling.settle(plain, batches(), 1.0)
    np.testing.assert_array_equal(plain(batches()(0)).numpy()[:, 0, 0], batches()(0))


def test_noise_that_comes_in_at_several_places():
    """What settling does to kernels is what louder noise does, also where noise modulates every map."""
    keras.utils.set_random_seed(3)
    one = GENERATORS["compact"]((3,), (16, 16, 3), 2)
    one.set_weights([10 * weight for weight in one.get_weights()])
    settling.measure(one, batches())
    before = keras.models.clone_model(one)
    before.set_weights(one.get_weights())
    settling.settle(one, batches(), 1.1 * settling.variation(drawn(one)))
    times = settling.scale(before, batches(), 1.1 * settling.variation(drawn(before)))
    assert times > 1.01
    np.testing.assert_allclose(drawn(one), drawn(before, times), atol=1e-4)
