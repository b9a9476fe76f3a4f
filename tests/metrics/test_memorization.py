import json

import numpy as np
import pytest

from gan.metrics.distances import nearest_neighbors
from gan.metrics.memorization import LARGEST, describe, measure_memorization, wilson_interval


def faces(n, seed, d=6):
    return np.random.default_rng(seed).normal(size=(n, d))


def measured(sample, train, held, **options):
    """From feature vectors to the finding, as a tool would."""
    return measure_memorization(
        nearest_neighbors(sample, train)[0],
        nearest_neighbors(sample, held)[0],
        nearest_neighbors(held, train)[0],
        nearest_neighbors(held, held, skip_self=True)[0],
        **options,
    )


def test_by_hand():
    """Samples' ratios 0.5, 1, 2 have median 1, those of 199 held-out faces 0.01, 0.02, ..., 1.99 have 1: ratio 1.

    The 1% quantile of the held-out faces is their second lowest, as a new face falls below it in 2 of 200 cases:
    0.02. None of the samples lies below it.
    """
    ones = np.ones(199)
    result = measure_memorization(np.array([1.0, 1, 4]), np.array([2.0, 1, 2]), np.arange(1, 200) / 100, ones)
    assert result.ratio == pytest.approx(1)
    assert 0.4 < result.low <= 0.5 and 2 <= result.high < 2.5  # three samples, any median, over about 1
    assert result.expected == 0.01
    assert result.share == 0 and result.share_low == 0 and not result.copying
    below = measure_memorization(np.array([0.015, 0.02, 0.025]), np.ones(3), np.arange(1, 200) / 100, ones)
    assert below.share == pytest.approx(1 / 3)


def test_without_an_interval():
    """Of no resamples there is none, and all else is the same."""
    given = np.array([1.0, 1, 4]), np.array([2.0, 1, 2]), np.arange(1, 200) / 100, np.ones(199)
    whole, bare = measure_memorization(*given)._asdict(), measure_memorization(*given, resamples=0)._asdict()
    assert np.isnan([bare.pop(name) for name in ("low", "high")]).all()
    assert bare == {name: whole[name] for name in bare} and whole["low"] < whole["high"]


def test_few_unseen_faces_widen_the_interval():
    """Sides of n and m faces of one law vary as 1 / n + 1 / m: 25 for 400 make the interval some three times wider."""
    draws = np.random.default_rng(5).uniform(0.5, 1.5, 825)
    widths = []
    for unseen in (draws[400:800], draws[800:]):
        result = measure_memorization(draws[:400], np.ones(400), unseen, np.ones(len(unseen)))
        widths.append(result.high - result.low)
    # sqrt((1 / 400 + 1 / 25) / (2 / 400)) = 2.9; twice as much and half as much are left to chance
    assert 1.5 < widths[1] / widths[0] < 6


def test_twins_are_to_be_expected():
    """Of 200 unseen faces one lies in the training set: 1 / 200, and 1% of the others, are no sign of copying.

    The threshold is that of the other 199, 0.02, so that twins do not hide copies.
    """
    ones, held_train = np.ones(200), np.concatenate([[0], np.arange(1, 200) / 100])
    result = measure_memorization(np.array([0, 0.015, 0.025, 1]), np.ones(4), held_train, ones)
    assert result.expected == pytest.approx(0.005 + 0.995 * 0.01)
    assert result.share == 0.5


def test_wilson_by_hand():
    """z^2 = 3.841459. For 0 of 10: 0 to z^2 / (10 + z^2). For 5 of 10: 0.5 -+ z / 2 / sqrt(10 + z^2)."""
    assert wilson_interval(0, 10) == pytest.approx((0, 3.841459 / 13.841459))
    assert wilson_interval(1, 10) == pytest.approx((10 / 13.841459, 1))
    half = 1.959964 / 2 / np.sqrt(13.841459)
    assert wilson_interval(0.5, 10) == pytest.approx((0.5 - half, 0.5 + half))


def test_new_faces_are_not_copies():
    """Samples of the same law as both sets: a ratio of about 1, about 1% below the threshold, no alarm."""
    result = measured(faces(2000, 0), faces(4000, 1), faces(1000, 2))
    assert result.low < 1 < result.high and result.high - result.low < 0.1
    assert 0.003 < result.share < 0.025
    assert not result.copying
    assert describe(result) == (
        f"no sign of copying: {result.share:.1%} of samples are closer to a training face than 99% of unseen faces "
        "are (1% expected)"
    )


def test_some_copies_are_found():
    """12% of samples near a training face are counted and named, though the median hardly moves."""
    sample, train = faces(1000, 0), faces(4000, 1)
    sample[:120] = train[:120] + 0.001 * faces(120, 3)
    result = measured(sample, train, faces(1000, 2))
    assert result.copying and 0.12 <= result.share < 0.15 and result.ratio > 0.8
    assert describe(result).startswith(f"copying: {result.share:.1%} of samples are closer")


def test_exact_copies():
    """A generator that only repeats its training set: ratio 0, share 1, and numbers that JSON can hold."""
    train = faces(400, 1)
    result = measured(train[:64], train, faces(20, 2))
    assert result.ratio == result.low == result.high == 0
    assert result.share == result.share_high == 1 and result.copying is True
    json.dumps(result._asdict(), allow_nan=False)


def test_few_faces_raise_no_false_alarm():
    """Of 20 held-out faces the nearest is a poor threshold, one in 21 of new faces passes it: no alarm for that.

    40 draws of 20 faces, each judged with 2,000 samples of the same law.
    """
    train, sample = faces(400, 0, d=3), faces(2000, 1, d=3)
    results = [measured(sample, train, faces(20, seed, d=3), resamples=0) for seed in range(2, 42)]
    assert np.mean([result.share_low > 0.03 for result in results]) > 0.25  # what 3% alone would say
    assert sum(result.copying for result in results) <= 1
    assert np.mean([result.share for result in results]) == pytest.approx(1 / 21, abs=0.03)
    assert "closer to a training face than 95% of unseen faces are (5% expected)" in describe(results[0])


@pytest.mark.parametrize("samples", [1, 64])
def test_works_with_little(samples):
    """64 samples, or one, and 20 held-out faces."""
    result = measured(faces(samples, 0), faces(100, 1), faces(20, 2))
    assert 0 < result.low <= result.ratio <= result.high
    assert not result.copying


def test_distances_of_zero():
    """0 / 0 counts as 1; x / 0 as a large number; a median of 0 among held-out faces does not stop the count."""
    zero, one = np.zeros(30), np.ones(30)
    same = measure_memorization(zero, zero, zero, zero)
    assert (same.ratio, same.low, same.high, same.share, same.copying) == (1, 1, 1, 0, False)
    assert measure_memorization(one, zero, one, one).ratio == LARGEST
    assert measure_memorization(one, one, zero, one).ratio == LARGEST
    assert measure_memorization(one, one * 1e-320, one, one).ratio == LARGEST


def test_larger_training_set_is_taken_out():
    """More training faces lie nearer to everything, to samples and unseen faces alike: the ratio stays about 1."""
    sample, held = faces(500, 0), faces(500, 2)
    few, many = measured(sample, faces(500, 1), held), measured(sample, faces(5000, 1), held)
    assert few.ratio == pytest.approx(1, abs=0.07) and many.ratio == pytest.approx(1, abs=0.07)


def test_repeats():
    """The seed decides the resamples, and nothing but the interval depends on them."""
    distances = [np.abs(faces(500, seed, d=1))[:, 0] + 0.1 for seed in range(4)]
    first, again, other = (measure_memorization(*distances, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first._replace(low=0, high=0) == other._replace(low=0, high=0)
