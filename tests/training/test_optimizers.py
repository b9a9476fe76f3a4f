import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.training.optimizers import OPTIMIZERS, FusedAdam, adam, build_optimizer, make_beta2_variable

SHAPES = [(3, 4), (5,)]
BETAS = [(0.5, 0.999), (0.0, 0.99), (0.9, 0.999)]


def arrays(seed):
    """Random arrays of `SHAPES`: initial weights (seed 0), or the gradients of a step."""
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in SHAPES]


def descend(optimizer, steps, change=lambda gradient: gradient):
    """The weights after some steps with random gradients, to which `change` is applied."""
    weights = [keras.Variable(start) for start in arrays(0)]
    optimizer.build(weights)
    for step in range(1, steps + 1):
        optimizer.apply([tf.constant(change(g)) for g in arrays(step)], weights)
    return [weight.numpy() for weight in weights]


def numpy_adam(learning_rate, beta_1, beta_2, epsilon, steps):
    """Algorithm 1 of arXiv:1412.6980 in float64, with epsilon as in the last lines of section 2."""
    weights = [start.astype(np.float64) for start in arrays(0)]
    m, v = [np.zeros(shape) for shape in SHAPES], [np.zeros(shape) for shape in SHAPES]
    for t in range(1, steps + 1):
        rate = learning_rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t)
        for i, g in enumerate(arrays(t)):
            m[i] = beta_1 * m[i] + (1 - beta_1) * g
            v[i] = beta_2 * v[i] + (1 - beta_2) * g.astype(np.float64) ** 2
            weights[i] -= rate * m[i] / (np.sqrt(v[i]) + epsilon)
    return weights


def assert_close(ours, theirs, **tolerance):
    """Asserts that pairs of arrays are equal up to rounding."""
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


@pytest.mark.parametrize("betas", BETAS)
def test_fused_adam_equals_the_papers(betas):
    """Seven steps of FusedAdam give the weights of the paper's algorithm in float64."""
    ours = descend(adam(0.05, betas), 7)
    assert_close(ours, numpy_adam(0.05, *betas, 1e-8, 7), rtol=1e-5, atol=1e-6)
    assert np.abs(ours[0] - arrays(0)[0]).max() > 0.05  # the weights have changed


@pytest.mark.parametrize("betas", BETAS)
def test_fused_adam_equals_keras(betas):
    """Weights and moments equal those of keras.optimizers.Adam, so checkpoints are interchangeable."""
    fused, composed = adam(0.05, betas), keras.optimizers.Adam(0.05, *betas, epsilon=1e-8)
    assert_close(descend(fused, 7), descend(composed, 7), rtol=1e-5, atol=1e-6)
    assert_close([v.numpy() for v in fused.variables], [v.numpy() for v in composed.variables], rtol=1e-5, atol=1e-6)


def test_first_step_is_the_learning_rate():
    """Adam's first step is lr * g / (|g| + epsilon'), that is lr * sign(g)."""
    weights = descend(adam(0.01, (0.5, 0.999)), 1)
    assert_close(weights, [w - 0.01 * np.sign(g) for w, g in zip(arrays(0), arrays(1), strict=True)], atol=1e-6)


def test_epsilon_is_added_to_the_uncorrected_root():
    """A gradient of 1e-6, beta_2 0.999: 0.03162 * 1e-6 / (3.162e-8 + 1e-8) = 0.7597; PyTorch's form gives 0.990."""
    weight = keras.Variable([0.0])
    optimizer = adam(1.0, (0.0, 0.999))
    optimizer.build([weight])
    optimizer.apply([tf.constant([1e-6])], [weight])
    np.testing.assert_allclose(weight.numpy(), [-0.7597], rtol=1e-3)


def test_scaled_adam_equals_adam():
    """Scaling the loss by a power of two gives exactly the same weights."""
    plain, scaled = adam(0.05, (0.5, 0.999)), build_optimizer("adam", 0.05, (0.5, 0.999), scale_loss=True)
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)
    scale = np.float32(scaled.scale_loss(1.0))
    assert scale == 2**15 and plain.scale_loss(1.0) == 1
    assert_close(descend(scaled, 5, lambda g: g * scale), descend(plain, 5), rtol=0, atol=0)


def test_scaled_adam_skips_an_overflow():
    """A gradient that is not finite changes neither weights nor moments, and halves the scale."""
    weight = keras.Variable([1.0, 2.0])
    optimizer = build_optimizer("adam", 0.05, (0.5, 0.999), scale_loss=True)
    optimizer.build([weight])
    optimizer.apply([tf.constant([np.inf, 1.0])], [weight])
    np.testing.assert_array_equal(weight.numpy(), [1, 2])
    assert int(optimizer.iterations) == 0 and float(optimizer.scale_loss(1.0)) == 2**14
    optimizer.apply([tf.constant([2.0**14, -(2.0**14)])], [weight])
    np.testing.assert_allclose(weight.numpy(), [0.95, 2.05], rtol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_second_decay_rate_that_changes(name):
    """Gradients 1 and 2 with beta_2 0.5, then 0.75: v = 0.5, then 0.75 * 0.5 + 0.25 * 4, corrected by 1 - 0.75^2."""
    weight, optimizer = keras.Variable([0.0]), OPTIMIZERS[name](1.0, (0.0, 0.5))
    make_beta2_variable(optimizer, 0.5)
    optimizer.build([weight])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [weight]))
    step(tf.constant([1.0]))
    np.testing.assert_allclose(weight.numpy(), [-1.0], rtol=1e-5)
    optimizer.beta_2.assign(0.75)
    step(tf.constant([2.0]))
    decay = 0.004 if name == "adamw" else 0.0  # of the weight of -1
    np.testing.assert_allclose(weight.numpy(), [-1 + decay - 2 / np.sqrt(1.375 / (1 - 0.75**2))], rtol=1e-5)


def test_fused_adam_in_a_graph():
    """The steps are the same inside tf.function, as in training, and in eager mode."""
    weights, optimizer = [keras.Variable(start) for start in arrays(0)], FusedAdam(0.05, 0.5, 0.999, epsilon=1e-8)
    optimizer.build(weights)
    step = tf.function(lambda gradients: optimizer.apply(gradients, weights))
    for number in range(1, 5):
        step([tf.constant(g) for g in arrays(number)])
    assert_close([w.numpy() for w in weights], descend(adam(0.05, (0.5, 0.999)), 4), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adamw", [1 - 0.1 - 0.1 * 0.004, 2 + 0.1 - 0.1 * 0.004 * 2]),  # lr * sign(g), and weight decay of 0.004
        ("rmsprop", [1 - 0.1 / np.sqrt(1 - 0.9), 2 + 0.1 / np.sqrt(1 - 0.9)]),  # g / sqrt(0.1 g^2)
        ("sgd", [1 - 0.1 * 4, 2 + 0.1 * 3]),
    ],
)
def test_first_steps_by_hand(name, expected):
    """The first step from weights 1 and 2 with gradients 4 and -3, learning rate 0.1 and betas 0.5 and 0.9."""
    weight = keras.Variable([1.0, 2.0])
    optimizer = OPTIMIZERS[name](0.1, (0.5, 0.9))
    optimizer.build([weight])
    optimizer.apply([tf.constant([4.0, -3.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-4)


def test_momentum_is_the_first_beta():
    """Two steps of SGD with a gradient of 1 and beta 0.5 subtract 0.1 and 0.1 * (1 + 0.5)."""
    weight = keras.Variable([1.0])
    optimizer = OPTIMIZERS["sgd"](0.1, (0.5, 0.9))
    optimizer.build([weight])
    for _ in range(2):
        optimizer.apply([tf.constant([1.0])], [weight])
    np.testing.assert_allclose(weight.numpy(), [1 - 0.1 - 0.15], rtol=1e-6)
