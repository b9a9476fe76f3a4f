"""95% intervals: Wilson's and Newcombe's, by their formulas and as published."""

import numpy as np
import pytest

from gan.metrics.intervals import measure_share, share_interval, subtract


def test_share_as_published():
    """81 of 263 are 25.5% to 36.6%, 0 of 20 are 0 to 16.1%."""
    found = measure_share(np.arange(263) < 81)
    assert found == pytest.approx((81 / 263, 0.2553, 0.3662), abs=1e-4)
    assert measure_share(np.zeros(20, bool)) == pytest.approx((0, 0, 0.1611), abs=1e-4)


def test_share_by_hand():
    """z^2 = 3.841459. For 0 of 10: 0 to z^2 / (10 + z^2). For 5 of 10: 0.5 -+ z / 2 / sqrt(10 + z^2)."""
    assert share_interval(0, 10) == pytest.approx((0, 0, 3.841459 / 13.841459))
    assert share_interval(1, 10) == pytest.approx((1, 10 / 13.841459, 1))
    half = 1.959964 / 2 / np.sqrt(13.841459)
    assert share_interval(0.5, 10) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


def test_difference_as_published():
    """Newcombe's method 10, table II of 1998: 56 of 70 less 48 of 80 is 0.0524 to 0.3339."""
    assert subtract(share_interval(0.8, 70), share_interval(0.6, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
