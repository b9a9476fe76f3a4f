import inspect
import math

import numpy as np
import pytest
import tensorflow as tf

from gan import config
from gan.training.losses import LOSSES, classification_loss

# softplus(x) = log(1 + e^x) at the logits used below, from a table of logarithms:
AT_MINUS_2 = 0.126928  # log(1 + 0.135335)
AT_MINUS_1 = 0.313262  # log(1 + 0.367879)
AT_2 = 2.126928  # AT_MINUS_2 + 2
AT_1 = 1.313262  # AT_MINUS_1 + 1, as log(1 + e) = 1 + log(1 + 1/e)


def logits(*values):
    """Logits as a discriminator returns them: float32 (n, 1)."""
    return tf.constant(values, tf.float32)[:, None]


@pytest.mark.parametrize(
    ("name", "real", "fake", "smoothing", "expected"),
    [
        # -log sigmoid(2) - log(1 - sigmoid(-1)) = softplus(-2) + softplus(-1)
        ("cross-entropy", [2], [-1], 0.0, AT_MINUS_2 + AT_MINUS_1),
        # target 0.9: 0.1 of the weight moves to -log(1 - sigmoid(2)) = softplus(-2) + 2, so 0.1 * 2 more
        ("cross-entropy", [2], [-1], 0.1, AT_MINUS_2 + 0.2 + AT_MINUS_1),
        # the mean over real images plus the mean over fakes: (softplus(-2) + softplus(-1)) / 2 + softplus(1)
        ("cross-entropy", [2, 1], [1], 0.0, (AT_MINUS_2 + AT_MINUS_1) / 2 + AT_1),
        # an undecided discriminator: twice log 2
        ("cross-entropy", [0, 0], [0, 0, 0], 0.0, 2 * math.log(2)),
        ("least-squares", [2], [-1], 0.0, 2.0),  # (2 - 1)^2 + (-1)^2
        ("least-squares", [2], [-1], 0.1, 2.21),  # (2 - 0.9)^2 + (-1)^2
        ("least-squares", [2, 0], [-1, 3], 0.0, 6.0),  # (1 + 1) / 2 + (1 + 9) / 2
        ("relativistic", [2, 1], [1, 3], 0.0, (AT_MINUS_1 + AT_2) / 2),  # (softplus(1 - 2) + softplus(3 - 1)) / 2
        ("hinge", [2, 0.5], [-3, 1], 0.0, 1.25),  # (0 + 0.5) / 2 + (0 + 2) / 2
        ("wasserstein", [2, 0.5], [-3, 1, 5], 0.0, -0.25),  # (-3 + 1 + 5) / 3 - (2 + 0.5) / 2
    ],
)
def test_discriminator_loss_by_hand(name, real, fake, smoothing, expected):
    """The discriminator's loss of given logits equals the value derived in the comment."""
    loss = LOSSES[name].smoothed(smoothing).discriminator(logits(*real), logits(*fake))
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("name", "fake", "expected"),
    [
        ("cross-entropy", [-1], AT_1),  # -log sigmoid(-1) = softplus(1)
        ("cross-entropy", [2, 1], (AT_MINUS_2 + AT_MINUS_1) / 2),
        ("least-squares", [-1], 4.0),  # (-1 - 1)^2
        ("least-squares", [2, 1], 0.5),  # (1 + 0) / 2
        ("hinge", [2, -3], 0.5),  # -(2 - 3) / 2
        ("wasserstein", [2, -3], 0.5),
    ],
)
def test_generator_loss_by_hand(name, fake, expected):
    """The generator's loss of given logits equals the value derived in the comment."""
    assert float(LOSSES[name].generator(None, logits(*fake))) == pytest.approx(expected, abs=2e-6)


SMOOTHABLE = config.SMOOTHABLE_LOSSES


def test_names_of_losses():
    """gan/config.py, which command lines are checked by before TensorFlow is there, names the same losses."""
    with_targets = (n for n, loss in LOSSES.items() if "smoothing" in inspect.signature(loss.discriminator).parameters)
    assert tuple(with_targets) == config.SMOOTHABLE_LOSSES
    assert tuple(name for name, loss in LOSSES.items() if loss.slope) == config.SAN_LOSSES


def test_relativistic_generator_by_hand():
    """The loss is (softplus(2 - 1) + softplus(1 - 3)) / 2; no other generator's loss uses the real logits."""
    loss = LOSSES["relativistic"]
    assert float(loss.generator(logits(2, 1), logits(1, 3))) == pytest.approx((AT_1 + AT_MINUS_2) / 2, abs=2e-6)
    assert [name for name, one in LOSSES.items() if one.generator_uses_real] == ["relativistic"]


@pytest.mark.parametrize("name", SMOOTHABLE)
def test_smoothing_changes_only_real_targets(name):
    """Smoothing changes the gradient in real logits and not the gradient in fake logits."""
    gradients = []
    for smoothing in (0.0, 0.1):
        real, fake = logits(2, -1, 0.3), logits(1, -2)
        with tf.GradientTape() as tape:
            tape.watch([real, fake])
            loss = LOSSES[name].smoothed(smoothing).discriminator(real, fake)
        gradients.append(tape.gradient(loss, [real, fake]))
    (plain_real, plain_fake), (smooth_real, smooth_fake) = gradients
    np.testing.assert_array_equal(plain_fake, smooth_fake)
    # d/dl of the mean over 3 rows: the target falls by 0.1, and least squares has the square's factor 2
    step = 0.1 / 3 * (2 if name == "least-squares" else 1)
    np.testing.assert_allclose(smooth_real - plain_real, step, rtol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_fall_for_better_logits(name):
    """D's loss falls for a higher real or a lower fake logit, and G's loss for a higher fake logit."""
    loss = LOSSES[name]
    at = float(loss.discriminator(logits(0.2), logits(0.8)))
    assert float(loss.discriminator(logits(0.3), logits(0.8))) < at
    assert float(loss.discriminator(logits(0.2), logits(0.7))) < at
    assert float(loss.generator(logits(0.2), logits(0.9))) < float(loss.generator(logits(0.2), logits(0.8)))


def test_cross_entropy_at_extreme_logits():
    """At wrong logits of 100 the loss equals the logit and the gradient is 1, not infinite or NaN."""
    loss = LOSSES["cross-entropy"]
    real, fake = logits(-100), logits(100)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, fake])
        d_loss, g_loss = loss.discriminator(real, fake), loss.generator(None, real)
    assert float(d_loss) == pytest.approx(200) and float(g_loss) == pytest.approx(100)
    assert [float(x[0, 0]) for x in tape.gradient(d_loss, [real, fake])] == pytest.approx([-1, 1])
    assert float(tape.gradient(g_loss, real)[0, 0]) == pytest.approx(-1)
    right = loss.discriminator(logits(100), logits(-100))
    assert 0 <= float(right) < 1e-30
    # with smoothing, a certain discriminator has a loss of 0.1 * -log(1 - sigmoid(100)) = 10
    assert float(loss.smoothed(0.1).discriminator(logits(100), logits(-100))) == pytest.approx(10)


def test_scores_are_on_one_scale():
    """The scores of all losses share one scale, on which 0 is fake and 1 is real."""
    real, fake = LOSSES["cross-entropy"].scores(logits(0, 2), logits(-2))
    np.testing.assert_allclose(real, [[0.5], [0.880797]], rtol=1e-5)
    np.testing.assert_allclose(fake, [[1 - 0.880797]], rtol=1e-5)
    real, fake = LOSSES["least-squares"].scores(logits(0, 2), logits(-1))
    np.testing.assert_array_equal(real, [[0], [2]])
    np.testing.assert_array_equal(fake, [[-1]])
    real, fake = LOSSES["relativistic"].scores(logits(3, 0), logits(1, 0))
    np.testing.assert_allclose(real, [[0.880797], [0.5]], rtol=1e-5)
    np.testing.assert_allclose(fake, [[1 - 0.880797], [0.5]], rtol=1e-5)
    real, fake = LOSSES["hinge"].scores(logits(3, 0), logits(-1.5, -0.5))
    np.testing.assert_array_equal(real, [[1], [0.5]])
    np.testing.assert_array_equal(fake, [[0], [0.25]])


@pytest.mark.parametrize("name", LOSSES)
def test_no_smoothing(name):
    """A smoothing of 0 returns any loss itself."""
    assert LOSSES[name].smoothed(0.0) is LOSSES[name]


def test_classification_loss_by_hand():
    """A yes or no column has a sigmoid, the columns of values a softmax; both are summed, and averaged over images."""
    labels = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]], np.float32)
    logits = np.array([[0.5, 2.0, 1.0, 0.0], [-1.0, 0.0, 3.0, 0.0]], np.float32)
    yes = np.mean([np.log1p(np.exp(-0.5)), np.log1p(np.exp(-1.0))])
    values = np.mean([np.log(np.exp([2.0, 1.0, 0.0]).sum()) - 2.0, np.log(np.exp([0.0, 3.0, 0.0]).sum())])
    assert float(classification_loss(labels, logits, [1, 3])) == pytest.approx(yes + values, rel=1e-6)
