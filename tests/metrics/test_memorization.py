"""Memorization: by hand, of samples without copies, and with them."""

import json

import numpy as np
import pytest

from gan.metrics.distances import nearest_neighbors
from gan.metrics.memorization import LARGEST, measure_memorization


def sample(n, seed, d=6):
    """Samples feature vectors (n, d) of one distribution."""
    return np.random.default_rng(seed).normal(size=(n, d))


def measure(fake, train, held, **options):
    """Measures memorization of feature vectors."""
    return measure_memorization(
        nearest_neighbors(fake, train)[0],
        nearest_neighbors(fake, held)[0],
        nearest_neighbors(held, train)[0],
        nearest_neighbors(held, held, skip_self=True)[0],
        **options,
    )


def test_by_hand():
    """Samples' ratios 0.5, 1, 2 have median 1, those of 199 held-out images 0.01, 0.02, ..., 1.99 have 1: ratio 1.

    The 1% quantile of the held-out images is their second lowest, 0.02, as a further image is below it in 2 of 200
    cases. None of the samples is below it.
    """
    ones = np.ones(199)
    result = measure_memorization(np.array([1.0, 1, 4]), np.array([2.0, 1, 2]), np.arange(1, 200) / 100, ones)
    assert result.ratio == pytest.approx(1)
    assert 0.4 < result.low <= 0.5 and 2 <= result.high < 2.5  # any of the three samples over about 1
    assert result.expected == 0.01
    assert result.share == 0 and result.share_low == 0 and not result.copying
    below = measure_memorization(np.array([0.015, 0.02, 0.025]), np.ones(3), np.arange(1, 200) / 100, ones)
    assert below.share == pytest.approx(1 / 3)


def test_no_resamples():
    """Without resamples the interval is NaN, and all else is the same."""
    distances = np.array([1.0, 1, 4]), np.array([2.0, 1, 2]), np.arange(1, 200) / 100, np.ones(199)
    whole, bare = measure_memorization(*distances)._asdict(), measure_memorization(*distances, resamples=0)._asdict()
    assert np.isnan([bare.pop(name) for name in ("low", "high")]).all()
    assert bare == {name: whole[name] for name in bare} and whole["low"] < whole["high"]


def test_few_held_out_images_widen_the_interval():
    """The variance goes as 1 / n + 1 / m: 25 held-out images for 400 make the interval some three times wider."""
    ratios = np.random.default_rng(5).uniform(0.5, 1.5, 825)
    widths = []
    for held in (ratios[400:800], ratios[800:]):
        result = measure_memorization(ratios[:400], np.ones(400), held, np.ones(len(held)))
        widths.append(result.high - result.low)
    # sqrt((1 / 400 + 1 / 25) / (2 / 400)) = 2.9; a factor of two either way is left to chance
    assert 1.5 < widths[1] / widths[0] < 6


def test_twins():
    """One of 200 held-out images is in the training set: 1 / 200, and 1% of the others, are expected of samples.

    The threshold is that of the other 199, 0.02, so that twins do not hide copies.
    """
    ones, held_train = np.ones(200), np.concatenate([[0], np.arange(1, 200) / 100])
    result = measure_memorization(np.array([0, 0.015, 0.025, 1]), np.ones(4), held_train, ones)
    assert result.expected == pytest.approx(0.005 + 0.995 * 0.01)
    assert result.share == 0.5


def test_no_copies():
    """Samples with the distribution of both sets: a ratio of about 1, about 1% below the threshold, no copying."""
    result = measure(sample(2000, 0), sample(4000, 1), sample(1000, 2))
    assert result.low < 1 < result.high and result.high - result.low < 0.1
    assert 0.003 < result.share < 0.025
    assert not result.copying


def test_some_copies():
    """12% of samples near a training image are copying, though the median hardly moves."""
    fake, train = sample(1000, 0), sample(4000, 1)
    fake[:120] = train[:120] + 0.001 * sample(120, 3)
    result = measure(fake, train, sample(1000, 2))
    assert result.copying and 0.12 <= result.share < 0.15 and result.ratio > 0.8


def test_exact_copies():
    """A generator that only repeats its training set: ratio 0, share 1, and numbers that JSON has."""
    train = sample(400, 1)
    result = measure(train[:64], train, sample(20, 2))
    assert result.ratio == result.low == result.high == 0
    assert result.share == result.share_high == 1 and result.copying is True
    json.dumps(result._asdict(), allow_nan=False)


def test_few_held_out_images_give_no_false_alarm():
    """The lowest of 20 held-out images is a poor threshold, below which one in 21 further images is: no copying.

    40 sets of 20 held-out images, each with 2,000 samples of the same distribution.
    """
    train, fake = sample(400, 0, d=3), sample(2000, 1, d=3)
    results = [measure(fake, train, sample(20, seed, d=3), resamples=0) for seed in range(2, 42)]
    assert np.mean([result.share_low > 0.03 for result in results]) > 0.25  # a fixed threshold of 3% would say copying
    assert sum(result.copying for result in results) <= 1
    assert np.mean([result.share for result in results]) == pytest.approx(1 / 21, abs=0.03)
    assert results[0].expected == pytest.approx(1 / 21)


@pytest.mark.parametrize("samples", [1, 64])
def test_few_samples(samples):
    """64 samples, or one, and 20 held-out images."""
    result = measure(sample(samples, 0), sample(100, 1), sample(20, 2))
    assert 0 < result.low <= result.ratio <= result.high
    assert not result.copying


def test_distances_of_zero():
    """0 / 0 is 1; x / 0 is a large number, also where it is a median of 0 among held-out images."""
    zero, one = np.zeros(30), np.ones(30)
    same = measure_memorization(zero, zero, zero, zero)
    assert (same.ratio, same.low, same.high, same.share, same.copying) == (1, 1, 1, 0, False)
    assert measure_memorization(one, zero, one, one).ratio == LARGEST
    assert measure_memorization(one, one, zero, one).ratio == LARGEST
    assert measure_memorization(one, one * 1e-320, one, one).ratio == LARGEST


def test_size_of_the_training_set():
    """More training images are nearer to samples and to held-out images alike: the ratio is still about 1."""
    fake, held = sample(500, 0), sample(500, 2)
    few, many = measure(fake, sample(500, 1), held), measure(fake, sample(5000, 1), held)
    assert few.ratio == pytest.approx(1, abs=0.07) and many.ratio == pytest.approx(1, abs=0.07)


def test_seed():
    """The seed decides the resamples, and only the interval depends on them."""
    distances = [np.abs(sample(500, seed, d=1))[:, 0] + 0.1 for seed in range(4)]
    first, again, other = (measure_memorization(*distances, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first._replace(low=0, high=0) == other._replace(low=0, high=0)
