"""Distances of feature sets: numbers worked by hand, definitions written out, and other libraries' answers."""

import tracemalloc

import numpy as np
import pytest

from gan.metrics import distances

# Four points whose mean is 0 and whose covariance over n - 1 is the identity: 4 * (3 / 4) / 3 = 1.
CORNERS = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(3) / 2
LINE = np.array([[0.0], [1.0], [3.0], [7.0]])


def normal(n, d, seed=0, dtype=np.float32):
    """Samples correlated Gaussian rows away from the origin, as embeddings are."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) / np.sqrt(d) + 0.5).astype(dtype)


def pairwise(a, b):
    """Computes all distances by their definition."""
    return np.sqrt(((a[:, None].astype(np.float64) - b[None]) ** 2).sum(axis=2))


@pytest.mark.parametrize(
    ("stretch", "shift", "expected"),
    [
        ([[1, 0], [0, 1]], [0, 0], 0.0),
        ([[1, 0], [0, 1]], [3, 4], 25.0),
        # variances 4 and 9 against 1 and 1: (2 - 1)^2 + (3 - 1)^2, and 1 for the shift
        ([[2, 0], [0, 3]], [0, 1], 6.0),
        # one direction collapsed: (1 - 1)^2 + (0 - 1)^2
        ([[1, 0], [0, 0]], [0, 0], 1.0),
        # covariance [[2, 1], [1, 2]]: 2 + 4 - 2 (sqrt 3 + sqrt 1)
        ([[np.sqrt(2), 0], [np.sqrt(0.5), np.sqrt(1.5)]], [0, 0], 4 - 2 * np.sqrt(3)),
    ],
)
def test_frechet_by_hand(stretch, shift, expected):
    """Distance from a Gaussian of mean 0 and covariance 1: the numbers worked in the comments."""
    fake = CORNERS @ np.transpose(stretch) + shift
    assert distances.frechet_distance(CORNERS, fake) == pytest.approx(expected, abs=1e-12)
    assert distances.frechet_distance(fake, CORNERS) == pytest.approx(expected, abs=1e-12)


def test_frechet_of_covariances_that_do_not_commute():
    """S1 = diag(4, 1), S2 = [[2, 1], [1, 2]]: for 2x2, tr sqrt(M) is sqrt(tr M + 2 sqrt(det M)).

    S1 S2 = [[8, 4], [1, 2]] has trace 10 and determinant 12, so the distance is 5 + 4 - 2 sqrt(10 + 2 sqrt 12).
    """
    real = CORNERS @ np.diag([2, 1])
    fake = CORNERS @ np.array([[np.sqrt(2), np.sqrt(0.5)], [0, np.sqrt(1.5)]])
    np.testing.assert_allclose(np.cov(fake.T), [[2, 1], [1, 2]], atol=1e-12)
    assert distances.frechet_distance(real, fake) == pytest.approx(9 - 2 * np.sqrt(10 + 2 * np.sqrt(12)), abs=1e-12)


@pytest.mark.parametrize("n", [2000, 20])  # more rows than dimensions, and fewer
def test_frechet_by_eigenvalues_of_the_product(n):
    """Equals the textbook's formula, with the trace from the eigenvalues of S1 S2 itself."""
    real, fake = normal(n, 32), normal(n, 32, seed=1)
    s1, s2 = np.cov(real.T.astype(np.float64)), np.cov(fake.T.astype(np.float64))
    trace = np.sqrt(np.linalg.eigvals(s1 @ s2).astype(complex)).real.sum()
    mean = real.mean(axis=0, dtype=np.float64) - fake.mean(axis=0, dtype=np.float64)
    expected = mean @ mean + np.trace(s1 + s2) - 2 * trace
    assert distances.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-5)


def test_frechet_by_scipy():
    """Equals the formula with SciPy's matrix square root."""
    linalg = pytest.importorskip("scipy.linalg")
    real, fake = normal(500, 24), normal(3000, 24, seed=1)
    s1, s2 = np.cov(real.T.astype(np.float64)), np.cov(fake.T.astype(np.float64))
    mean = real.mean(axis=0, dtype=np.float64) - fake.mean(axis=0, dtype=np.float64)
    expected = mean @ mean + np.trace(s1 + s2 - 2 * linalg.sqrtm(s1 @ s2).real)
    assert distances.frechet_distance(real, fake) == pytest.approx(expected, rel=1e-9)


def test_frechet_invariants():
    """Zero for equal sets, even singular ones; unchanged by order, a common shift and a common rotation."""
    real, fake = normal(1500, 16, dtype=np.float64), normal(1200, 16, seed=1, dtype=np.float64)
    distance = distances.frechet_distance(real, fake)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(16, 16)))[0]
    assert distances.frechet_distance(real[::-1], fake) == pytest.approx(distance, rel=1e-9)
    assert distances.frechet_distance(real @ rotation + 50, fake @ rotation + 50) == pytest.approx(distance, rel=1e-9)
    assert 0 <= distances.frechet_distance(real, real) < 1e-9
    few = normal(10, 64)
    assert 0 <= distances.frechet_distance(few, few) < 1e-5
    assert distances.frechet_distance(np.ones((5, 3)), np.ones((7, 3))) == 0


def test_mmd_by_hand():
    """Real 0 and 1, fake 1 and 2, d = 1, kernel (x y + 1)^3.

    Within real: k(0, 1) = 1. Within fake: k(1, 2) = 27. Across: k(0, 1) + k(0, 2) + k(1, 1) + k(1, 2) = 1 + 1 + 8
    + 27 = 37, whose mean is 9.25. So 1 + 27 - 2 * 9.25 = 9.5.
    """
    assert distances.mmd(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(9.5)


def test_mmd_by_pairs():
    """Equals the definition's sum over pairs i != j, for sets of several blocks and of unequal size."""
    real, fake = normal(1500, 5), normal(1100, 5, seed=1)

    def mean(a, b, drop):
        kernel = (a.astype(np.float64) @ b.astype(np.float64).T / 5 + 1) ** 3
        return kernel[~np.eye(len(a), dtype=bool)].mean() if drop else kernel.mean()

    expected = mean(real, real, True) + mean(fake, fake, True) - 2 * mean(real, fake, False)
    assert distances.mmd(real, fake) == pytest.approx(expected, rel=1e-9)


def test_kid_is_unbiased_and_repeatable():
    """KID of two samples of one distribution is near 0, of a shifted one far from it; a seed repeats its subsets."""
    samples = np.random.default_rng(0).normal(size=(2, 1000, 8))
    mean, std = distances.kid(*samples, subsets=30, size=100)
    assert abs(mean) < std and std > 0
    shifted, _ = distances.kid(samples[0], samples[1] + 0.5, subsets=30, size=100)
    assert shifted > 5 * std
    assert distances.kid(*samples, subsets=3, size=50) == distances.kid(*samples, subsets=3, size=50)
    assert distances.kid(*samples, subsets=3, size=50) != distances.kid(*samples, subsets=3, size=50, seed=1)


def test_kid_by_subsets():
    """Equals the mean and deviation of each subset's own MMD, chosen in turn from the real set and the fake one."""
    real, fake = normal(1300, 5), normal(60, 5, seed=1)
    rng = np.random.default_rng(3)
    chosen = [(rng.choice(1300, 50, replace=False), rng.choice(60, 50, replace=False)) for _ in range(20)]
    each = [distances.mmd(real[rows], fake[columns]) for rows, columns in chosen]
    expected = (np.mean(each), np.std(each))
    assert distances.kid(real, fake, subsets=20, size=50, seed=3) == pytest.approx(expected, rel=1e-9)


def test_kid_of_small_sets():
    """Where `size` is more than there are rows, every subset is the whole set: the mean is the MMD."""
    real, fake = normal(40, 6), normal(40, 6, seed=1)
    mean, std = distances.kid(real, fake, subsets=4)
    assert mean == pytest.approx(distances.mmd(real, fake)) and std == pytest.approx(0, abs=1e-9)


def test_precision_recall_by_hand():
    """On a line, k = 1. Real 0, 1, 3, 7 have radii 1, 1, 2, 4: the balls [-1, 1], [0, 2], [1, 5], [3, 11].

    Of the fakes -2, 0.5, 11 and 30 the second and, on the edge, the third lie inside: precision 2 / 4. Their radii
    are 2.5, 2.5, 10.5 and 19: [-4.5, 0.5], [-2, 3], [0.5, 21.5], [11, 49] hold all of LINE: recall 1.
    """
    fake = np.array([[-2.0], [0.5], [11.0], [30.0]])
    assert distances.precision_recall(LINE, fake, k=1) == (0.5, 1.0)
    assert distances.precision_recall(fake, LINE, k=1) == (1.0, 0.5)


def test_density_coverage_by_hand():
    """The same balls: 0.5 lies in two of them, 11 in one, -2 and 30 in none, so density is 3 / 4.

    [-1, 1] and [0, 2] hold 0.5, [3, 11] holds 11, [1, 5] holds none: coverage 3 / 4. With k = 2 the radii are 3, 2,
    3, 6, the balls [-3, 3], [-1, 3], [0, 6], [1, 13]: 1 + 3 + 1 + 0 of them over 4 fakes and k, and all covered.
    """
    fake = np.array([[-2.0], [0.5], [11.0], [30.0]])
    assert distances.density_coverage(LINE, fake, k=1) == (0.75, 0.75)
    assert distances.density_coverage(LINE, fake, k=2) == (0.625, 1.0)


def test_manifolds_by_definition():
    """Sets of several blocks give the same as full tables of distances."""
    real, fake = normal(1300, 4), normal(1100, 4, seed=1) * np.float32(1.3)
    table, k = pairwise(real, fake), 3
    real_radii = np.sort(pairwise(real, real), axis=1)[:, k]  # column 0 is the row itself
    fake_radii = np.sort(pairwise(fake, fake), axis=1)[:, k]
    inside = table <= real_radii[:, None]
    assert distances.precision_recall(real, fake) == (
        pytest.approx(inside.any(axis=0).mean()),
        pytest.approx((table <= fake_radii).any(axis=1).mean()),
    )
    assert distances.density_coverage(real, fake, k=3) == (
        pytest.approx(inside.sum() / (k * len(fake))),
        pytest.approx(inside.any(axis=1).mean()),
    )


def test_collapse_and_noise():
    """Samples near one real row are precise, but recall and cover little; distant ones have nothing."""
    real = normal(400, 8)
    collapsed = real[:1] + np.random.default_rng(1).normal(size=(300, 8)) * 1e-3
    precision, recall = distances.precision_recall(real, collapsed)
    density, coverage = distances.density_coverage(real, collapsed)
    assert precision == 1 and recall < 0.02 and density > 0.5 and coverage < 0.1
    assert distances.precision_recall(real, collapsed + 100) == (0, 0)
    assert distances.density_coverage(real, collapsed + 100) == (0, 0)


def test_density_of_equal_distributions():
    """Two samples of one distribution: density about 1, coverage about 1 - 2^-k (arXiv:2002.09797, section 3.3)."""
    real, fake = np.random.default_rng(0).normal(size=(2, 2000, 4))
    density, coverage = distances.density_coverage(real, fake, k=5)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 2**-5, abs=0.02)


def test_too_few_rows_for_k():
    """Three rows have no third other row: an error, not an infinite radius."""
    with pytest.raises(ValueError, match="k is 3"):
        distances.precision_recall(LINE[:3], LINE)


def test_diversity():
    """The mean of 1, 3, 7, 2, 6, 4 is 23 / 6; equal rows have 0; twice as wide is twice as diverse."""
    assert distances.diversity(LINE) == pytest.approx(23 / 6)
    assert distances.diversity(np.full((1200, 3), 0.1)) < 1e-9
    features = normal(1100, 7)
    expected = pairwise(features, features).sum() / (1100 * 1099)
    assert distances.diversity(features) == pytest.approx(expected, rel=1e-9)
    assert distances.diversity(2 * features) == pytest.approx(2 * expected, rel=1e-6)


def test_nearest_by_hand():
    """Nearest of 0, 1, 3, 7: the first of two equally near; exactly 0 for a row that is there itself."""
    found, indices = distances.nearest_neighbors(np.array([[2.0], [7.0], [-4.0], [6.0]]), LINE)
    assert found.tolist() == [1, 0, 4, 1] and indices.tolist() == [1, 3, 0, 3]
    found, indices = distances.nearest_neighbors(LINE, LINE, skip_self=True)
    assert found.tolist() == [1, 1, 2, 4] and indices.tolist() == [1, 0, 1, 2]
    with pytest.raises(ValueError, match="1 rows"):
        distances.nearest_neighbors(LINE[:1], LINE[:1], skip_self=True)


def test_nearest_by_definition():
    """Sets of several blocks give the same as a full table, with and without the row itself."""
    features, others = normal(1100, 6), normal(1300, 6, seed=1)
    table = pairwise(features, others)
    found, indices = distances.nearest_neighbors(features, others)
    np.testing.assert_array_equal(indices, table.argmin(axis=1))
    np.testing.assert_allclose(found, table.min(axis=1), rtol=1e-12)
    table = pairwise(others, others)
    np.fill_diagonal(table, np.inf)
    found, indices = distances.nearest_neighbors(others, others, skip_self=True)
    np.testing.assert_array_equal(indices, table.argmin(axis=1))
    np.testing.assert_allclose(found, table.min(axis=1), rtol=1e-12)


def test_nearest_copy():
    """A copied row is found, at exactly 0, even far from the origin; of a set that holds each row twice, the twin."""
    others = normal(1500, 20) + np.float32(1000)
    found, indices = distances.nearest_neighbors(others[[1400, 3]], others)
    assert found.tolist() == [0, 0] and indices.tolist() == [1400, 3]
    twice = np.concatenate([others, others])
    found, indices = distances.nearest_neighbors(twice, twice, skip_self=True)
    assert not found.any()
    np.testing.assert_array_equal(indices, np.roll(np.arange(3000), 1500))


def test_memory():
    """Neither distances to a large set nor its covariance need the memory of a table or of a float64 copy."""
    large, small = np.zeros((40_000, 64), np.float32), np.zeros((300, 64), np.float32)  # 10 MB; the table: 96 MB
    tracemalloc.start()
    distances.nearest_neighbors(small, large)
    distances.frechet_distance(small, large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 15e6


def test_mmd_standard_error():
    """The deviation of 400 distances, each of a sample of 100 rows from the same real rows, is their standard error."""
    rng = np.random.default_rng(3)
    real, fakes = rng.normal(size=(250, 8)), rng.normal(0.3, 1.2, size=(400, 100, 8))
    deviation = np.std([distances.mmd(real, fake) for fake in fakes], ddof=1)
    assert np.mean([distances.mmd_standard_error(real, fake) for fake in fakes]) == pytest.approx(deviation, rel=0.1)
