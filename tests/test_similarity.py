import numpy as np
import pytest

from gan.similarity import C1, ms_ssim, similarity


def pictures(n, side, seed=0):
    """Smooth random colour images, uint8."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, side // 4, side // 4, 3))
    return coarse.repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8)


@pytest.mark.parametrize("side", [8, 28, 32, 64])
def test_equal_images_give_one(side):
    """Copies of one image are fully alike, at any size; an image and its negative are not at all."""
    image = pictures(1, side)
    assert similarity(image.repeat(5, axis=0)) == pytest.approx(1, abs=1e-9)
    assert similarity(np.concatenate([image, 255 - image])) < 0.1


@pytest.mark.parametrize(
    ("side", "power"),
    [
        (8, 1.0),  # one scale
        (28, 0.2856 / (0.0448 + 0.2856)),  # 28, 14
        (32, 0.3001 / (0.0448 + 0.2856 + 0.3001)),  # 32, 16, 8
        (128, 0.1333),  # all five, whose weights sum to 1 to four digits
    ],
)
def test_flat_images_by_hand(side, power):
    """Flat grey 100 and 200 have equal contrast, 1, so only the coarsest scale's luminance tells them apart.

    It is (2 * 100 * 200 + C1) / (100^2 + 200^2 + C1), to the power of that scale's weight.
    """
    a, b = np.full((1, side, side), 100.0), np.full((1, side, side), 200.0)
    luminance = (40_000 + 6.5025) / (50_000 + 6.5025)
    assert pytest.approx(6.5025) == C1
    assert ms_ssim(a, b)[0] == pytest.approx(luminance**power, rel=1e-5)


def test_one_scale_by_hand():
    """An 8x8 image has one scale and one window: its SSIM comes from weighted means alone."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 255, (2, 8, 8))
    line = np.exp(-0.5 * ((np.arange(8) - 3.5) / (1.5 * 8 / 11)) ** 2)
    weight = np.outer(line, line) / line.sum() ** 2
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    cov = (weight * (a - mean_a) * (b - mean_b)).sum()
    expected = (2 * mean_a * mean_b + 6.5025) / (mean_a**2 + mean_b**2 + 6.5025)
    expected *= (2 * cov + 58.5225) / (var_a + var_b + 58.5225)
    assert ms_ssim(a[None], b[None])[0] == pytest.approx(max(expected, 0))
    assert ms_ssim(b[None], a[None])[0] == pytest.approx(max(expected, 0))


def test_five_scales_by_tensorflow():
    """At 176x176, where the coarsest scale just holds the window of 11, TensorFlow's MS-SSIM is the same."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    a = pictures(3, 176) @ (0.299, 0.587, 0.114)
    b = np.clip(a + rng.normal(scale=[[[5]], [[30]], [[80]]], size=a.shape), 0, 255)
    expected = tf.image.ssim_multiscale(a[..., None].astype(np.float32), b[..., None].astype(np.float32), 255)
    np.testing.assert_allclose(ms_ssim(a, b), expected, rtol=1e-3)


def test_falls_with_diversity_and_repeats():
    """Fewer different images in a batch are more alike; a seed gives the same pairs again."""
    images = pictures(60, 32)
    diverse, collapsed = similarity(images), similarity(images[np.arange(60) % 3])
    assert diverse < 0.2 < collapsed < 0.5
    assert similarity(images) == diverse != similarity(images, seed=1)


def test_pairs_are_of_different_images():
    """Of two unlike images every pair is the same pair, so that its similarity is the mean."""
    images = pictures(2, 32)
    a, b = images @ (0.299, 0.587, 0.114)
    assert similarity(images) == pytest.approx(ms_ssim(a[None], b[None])[0])
