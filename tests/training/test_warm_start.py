"""Starting with other networks: which layers are paired, and what is assigned."""

import keras
import numpy as np
import pytest
import small_gan

from gan.errors import UsageError
from gan.training.warm_start import Start, layers_with_weights, match_layers, warm_start
from models import DISCRIMINATORS, GENERATORS


def layer_shapes(network):
    """The shapes of the weights of each layer that has some."""
    return [tuple(weight.shape for weight in layer.weights) for layer in layers_with_weights(network)]


def take(gan, *parts):
    """What another training would start with."""
    return {part: [layer.get_weights() for layer in layers_with_weights(getattr(gan, part))] for part in parts}


def test_match_layers_by_hand():
    """Equally many layers are paired by number where shapes are equal; others by the longest equal sequences.

    Layers of other kinds, such as norms among convolutions, may be between them.
    """
    a, b, c, d = [((i, i),) for i in range(1, 5)]
    assert match_layers([a, b, c], [a, b, c]) == [(0, 0), (1, 1), (2, 2)]
    assert match_layers([a, b, c], [a, a, c]) == [(0, 0), (2, 2)]
    assert match_layers([a, b, c], [b, c, d]) == []  # each has another number
    assert match_layers([d, a, b, c], [a, b, c]) == [(1, 0), (2, 1), (3, 2)]
    assert match_layers([a], []) == []
    norm = ((4,), (4,))
    assert match_layers([d, a, norm, b, c], [norm, a, b, c]) == [(1, 1), (2, 0), (3, 2), (4, 3)]


@pytest.mark.parametrize("more", [{}, {"palette": 4, "labels": 2}])
def test_layers_are_in_the_same_order_in_every_precision(float32_afterwards, more):
    """The layers of a generator built for mixed precision, with casts between them, are in the order of float32's."""
    paths = []
    for policy in ("float32", "mixed_bfloat16"):
        keras.utils.clear_session()
        keras.mixed_precision.set_global_policy(policy)
        with keras.StatelessScope(initialize_variables=False):
            network = GENERATORS["self-modulated"]((8,), (32, 32, 3), 2, **more)
        paths.append([[weight.path for weight in layer.weights] for layer in layers_with_weights(network)])
    keras.utils.clear_session()
    assert paths[0] == paths[1] and len(paths[0]) > 10


def test_layers_of_another_image_size():
    """Of 32 x 32 and 16 x 16, the convolutions near the image pair: the discriminator's first, the generator's last."""
    sizes = [(GENERATORS["self-modulated"]((8,), (n, n, 3), 4), DISCRIMINATORS["self-modulated"]((n, n, 3), 4))
             for n in (32, 16)]  # fmt: skip
    for part, expected in ((0, 0.7), (1, 0.3)):
        large, small = (layer_shapes(pair[part]) for pair in sizes)
        pairs = match_layers(large, small)
        assert len(pairs) >= expected * len(small) and all(large[i] == small[j] for i, j in pairs)
    assert pairs[:2] == [(0, 0), (1, 1)]
    large, small = (layer_shapes(pair[0]) for pair in sizes)
    assert match_layers(large, small)[-1] == (len(large) - 1, len(small) - 1)


def test_half_the_width_at_twice_the_size():
    """From 4 x 4 on, networks of 128 x 128 have the layers of those of 64 x 64 with twice the width.

    Of the generator, the last image is made by another kernel; of the discriminator, the first two layers differ.
    """
    for part, fewer in ((GENERATORS, 1), (DISCRIMINATORS, 1)):
        build = part["self-modulated"]
        given = ((8,),) if part is GENERATORS else ()
        large, small = (layer_shapes(build(*given, (n, n, 3), width)) for n, width in ((128, 2), (64, 4)))
        pairs = match_layers(large, small)
        assert len(pairs) == len(small) - fewer and all(large[i] == small[j] for i, j in pairs)


def test_everything_fits():
    """All weights and moments are taken, the learning rates and the iteration are not."""
    other = small_gan.build()
    for variable in [*other.generator.variables, *other.g_optimizer.variables, *other.d_optimizer.variables]:
        variable.assign(variable + 1)
    gan = small_gan.build(rates=(0.5, 0.25))
    moments = {part: [v.numpy() for v in getattr(other, part).variables] for part in ("g_optimizer", "d_optimizer")}
    lines = warm_start(gan, Start("there", take(other, "generator", "discriminator"), moments))
    assert "there" in lines[0] and "1 of 1" in lines[1] and "2 of 2" in lines[2]
    assert len(lines) == 3 and all("moments" in line and "not taken" not in line for line in lines[1:])
    for part in ("generator", "discriminator"):
        for one, two in zip(getattr(gan, part).weights, getattr(other, part).weights, strict=True):
            np.testing.assert_array_equal(one, two)
    assert float(gan.g_optimizer.learning_rate) == 0.5 and float(gan.d_optimizer.learning_rate) == 0.25
    assert int(gan.g_optimizer.iterations) == 1 and (gan.g_optimizer.variables[-1].numpy() == 1).all()
    assert int(gan.iteration) == 0


def test_what_does_not_fit_is_named():
    """Layers of other shapes keep their values, are named, and so the optimizer starts anew."""
    other = small_gan.build(g=small_gan.generator(keras.layers.Dense(3)))
    gan = small_gan.build(g=small_gan.generator(keras.layers.Dense(5)))
    before = [weight.numpy() for weight in gan.generator.weights]
    for weight in other.discriminator.weights:
        weight.assign(weight + 1)
    start = take(other, "generator", "discriminator")
    start["generator"][1] = [np.ones((5, 48), "f"), np.ones(48, "f")]
    moments = {"g_optimizer": [variable.numpy() for variable in other.g_optimizer.variables]}
    _, generator, discriminator = warm_start(gan, Start("there", start, moments))
    first = gan.generator.layers[0]
    assert "1 of 2" in generator and first.name in generator and "(8, 5)" in generator and "moments" not in generator
    assert "2 of 2" in discriminator and "moments" not in discriminator
    np.testing.assert_array_equal(gan.generator.weights[0], before[0])
    assert (gan.generator.weights[2].numpy() == 1).all()


def test_frozen_layers_have_to_fit():
    """A layer that would be frozen with its first random weights is refused; others may start anew."""
    gan = small_gan.build()
    start = take(gan, "generator", "discriminator")
    start["discriminator"][0] = [np.ones((48, 3), "f"), np.ones(3, "f")]
    first, second = layers_with_weights(gan.discriminator)
    gan.frozen = {id(variable) for variable in second.trainable_variables}
    warm_start(gan, Start("there", start))
    gan.frozen |= {id(variable) for variable in first.trainable_variables}
    with pytest.raises(UsageError, match=first.name):
        warm_start(gan, Start("there", start))


def filled(value):
    """The weights of the small generator's one layer, all of that value."""
    return [np.full((8, 48), value, "f"), np.full(48, value, "f")]


def test_all_averages_start_alike():
    """They start at the other training's, or where it has none, at its generator."""
    for layers, value in (({"ema_generator": [filled(2.0)]}, 2.0), ({}, 1.0)):
        gan = small_gan.build(half_lives=(10.0, 20.0))
        warm_start(gan, Start("there", {"generator": [filled(1.0)], **layers}))
        for network, expected in ((gan.generator, 1.0), *((average, value) for average in gan.averages.values())):
            assert all((weight.numpy() == expected).all() for weight in network.weights)


def test_nothing_fits():
    """A generator of which no layer fits is refused; a discriminator that is not there starts anew."""
    gan = small_gan.build()
    with pytest.raises(UsageError, match="there"):
        warm_start(gan, Start("there", {"generator": [[np.zeros((3, 3))]]}))
    lines = warm_start(gan, Start("there", take(gan, "generator")))
    assert "0 of 2" in lines[2] and "not taken" not in lines[2]
