"""Distances between two sets of feature vectors: Frechet, KID, precision and recall, density and coverage.

    frechet_distance(real, fake)    # features (n, d) and (m, d), of any float type
    mean, std = kid(real, fake)

NumPy alone. All is computed in float64 and a block of rows at a time, so that a training set of 200,000 x 256 needs
little memory beyond its own.
"""

from collections.abc import Iterator

import numpy as np

BLOCK = 1024  # rows; the distances of two blocks take 8 MB


def frechet_distance(real: np.ndarray, fake: np.ndarray) -> float:
    """Computes the squared Frechet distance of two Gaussians, |m1 - m2|^2 + tr(S1 + S2 - 2 sqrt(S1 S2)).

    Of Inception's features it is the FID: arXiv:1706.08500, eq. 6. S are covariances over n - 1. Biased upwards in
    small sets, so compare only distances of equal n.
    """
    (real_mean, real_cov), (fake_mean, fake_cov) = _moments(real), _moments(fake)
    # S1 S2 has the eigenvalues of sqrt(S1) S2 sqrt(S1), which is symmetric: they are real, and cheaper to find.
    values, vectors = np.linalg.eigh(real_cov)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    product = np.linalg.eigvalsh(root @ fake_cov @ root)
    cross = np.sqrt(np.maximum(product, 0)).sum()
    distance = np.sum((real_mean - fake_mean) ** 2) + np.trace(real_cov) + np.trace(fake_cov) - 2 * cross
    return max(float(distance), 0.0)  # rounding may leave equal sets just below 0


def kid(real: np.ndarray, fake: np.ndarray, subsets: int = 100, size: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Computes the kernel inception distance: mean and standard deviation of `mmd` over random subsets.

    A subset has `size` rows of each set, or as many as the smaller set has, chosen without replacement. Where that is
    all rows of both, every subset is the same and the deviation is 0. May be negative. arXiv:1801.01401.
    """
    size = min(size, len(real), len(fake))
    if size == len(real) == len(fake):
        return mmd(real, fake), 0.0
    generator = np.random.default_rng(seed)
    inside = [np.zeros((subsets, len(rows))) for rows in (real, fake)]  # 1 where a row is in a subset
    for i in range(subsets):
        for chosen in inside:
            chosen[i, generator.choice(chosen.shape[1], size, replace=False)] = 1
    distances = _mmds(real, fake, *inside)
    return float(np.mean(distances)), float(np.std(distances))


def mmd(real: np.ndarray, fake: np.ndarray) -> float:
    """Computes the unbiased squared maximum mean discrepancy of all rows under the kernel (x.y / d + 1)^3.

    0 on average where both sets have the same distribution, so it may be negative. arXiv:1801.01401.
    """
    return float(_mmds(real, fake, np.ones((1, len(real))), np.ones((1, len(fake))))[0])


def mmd_standard_error(real: np.ndarray, fake: np.ndarray) -> float:
    """Computes the standard error of `mmd` that comes of `fake` being a sample; 3 rows or more.

    To first order the variance of a U-statistic is 4 / m of the variance of what each row adds, which is its mean
    kernel with the other fakes less that with the reals. Hoeffding, 1948; arXiv:1611.04488, section 3.
    """
    own = (_kernel(fake, fake).sum(axis=0) - _kernel_diagonal(fake)) / (len(fake) - 1)
    return float(2 * np.std(own - _kernel(real, fake).mean(axis=0), ddof=1) / np.sqrt(len(fake)))


def _mmds(real: np.ndarray, fake: np.ndarray, inside_real: np.ndarray, inside_fake: np.ndarray) -> np.ndarray:
    """Computes `mmd` of subsets, given as ones and zeros (subsets, n) and (subsets, m), with one kernel for all."""
    n, m = inside_real.sum(axis=1), inside_fake.sum(axis=1)
    within_real = _kernel_sums(real, real, inside_real, inside_real) - inside_real @ _kernel_diagonal(real)
    within_fake = _kernel_sums(fake, fake, inside_fake, inside_fake) - inside_fake @ _kernel_diagonal(fake)
    across = _kernel_sums(real, fake, inside_real, inside_fake)
    return within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * across / (n * m)


def precision_recall(real: np.ndarray, fake: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Computes the share of fakes within the real manifold, and of reals within the fake one.

    A manifold is a union of balls, one around each row of a set, that reach the k-th nearest other row.
    arXiv:1904.06991, eq. 1 and 2.
    """
    _, around_fake = _count_in_balls(real, fake, k)
    _, around_real = _count_in_balls(fake, real, k)
    return float(np.mean(around_fake > 0)), float(np.mean(around_real > 0))


def density_coverage(real: np.ndarray, fake: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Computes the mean number of real balls that a fake lies in, over k, and the share of real balls with a fake.

    Density is 1 on average where both sets have the same distribution, and may be more; coverage is at most 1.
    arXiv:2002.09797, section 3.
    """
    within, around_fake = _count_in_balls(real, fake, k)
    return float(np.mean(around_fake)) / k, float(np.mean(within > 0))


def diversity(features: np.ndarray) -> float:
    """Computes the mean Euclidean distance of two different rows; reported relative to that of the real data."""
    n, total = len(features), 0.0
    for rows, columns, squared in _squared_distances(features, features):
        if rows == columns:
            np.fill_diagonal(squared, 0)
        total += float(np.sqrt(squared).sum())
    return total / (n * (n - 1))


def nearest_neighbors(
    features: np.ndarray, others: np.ndarray, skip_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the nearest row of `others` (m, d) for each row of `features` (n, d).

    With `skip_self`, `features` is `others` and row i may not find row i. The first of equally near rows counts.

    Returns:
        The Euclidean distances, float64 (n,), and the numbers of the nearest rows, int (n,).
    """
    if len(others) <= skip_self:
        raise ValueError(f"{len(others)} rows hold no neighbor")
    lowest, indices = np.full(len(features), np.inf), np.zeros(len(features), np.int64)
    for rows, columns, squared in _squared_distances(features, others):
        if skip_self and rows == columns:
            np.fill_diagonal(squared, np.inf)
        found = squared.argmin(axis=1)
        values = squared[np.arange(len(found)), found]
        nearer = values < lowest[rows]
        lowest[rows][nearer] = values[nearer]
        indices[rows][nearer] = found[nearer] + columns.start
    # Once more by differences: |x|^2 + |y|^2 - 2 x.y rounds the distance of equal rows to a little above 0.
    distances = np.empty(len(features))
    for rows in _blocks(len(features)):
        distances[rows] = np.linalg.norm(features[rows].astype(np.float64) - others[indices[rows]], axis=1)
    return distances, indices


def _blocks(length: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, length, BLOCK)]


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes the mean (d,) and covariance (d, d) of rows, as `np.cov` does, but without a copy of all of them."""
    mean = features.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((len(mean), len(mean)))
    for rows in _blocks(len(features)):
        centered = features[rows] - mean
        scatter += centered.T @ centered
    return mean, scatter / (len(features) - 1)


def _kernel_sums(a: np.ndarray, b: np.ndarray, inside_a: np.ndarray, inside_b: np.ndarray) -> np.ndarray:
    """Sums the kernel over all pairs inside each subset, (subsets,)."""
    total = np.zeros(len(inside_a))
    for rows in _blocks(len(a)):
        for columns in _blocks(len(b)):
            kernel = _kernel(a[rows], b[columns])
            total += np.sum((inside_a[:, rows] @ kernel) * inside_b[:, columns], axis=1)
    return total


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes (x.y / d + 1)^3 of all pairs: (n, d), (m, d) -> float64 (n, m)."""
    base = a.astype(np.float64) @ b.astype(np.float64).T / a.shape[1] + 1
    return base * base * base  # NumPy's own third power takes many times as long


def _kernel_diagonal(a: np.ndarray) -> np.ndarray:
    """Computes the kernel of each row with itself, (n,)."""
    return np.concatenate([(np.mean(a[r].astype(np.float64) ** 2, axis=1) + 1) ** 3 for r in _blocks(len(a))])


def _squared_distances(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yields a slice of the rows of a, one of b, and their squared distances, block by block."""
    center = b.mean(axis=0, dtype=np.float64)  # far from the origin, the difference below would lose its digits
    for rows in _blocks(len(a)):
        x = a[rows] - center
        for columns in _blocks(len(b)):
            y = b[columns] - center
            squared = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T
            yield rows, columns, np.maximum(squared, 0)


def _squared_radii(features: np.ndarray, k: int) -> np.ndarray:
    """Computes the squared distance of each row to its k-th nearest other row, (n, d) -> (n,)."""
    if not 1 <= k < len(features):
        raise ValueError(f"k is {k}, but each of {len(features)} rows has {len(features) - 1} others")
    lowest = np.full((len(features), k), np.inf)
    for rows, columns, squared in _squared_distances(features, features):
        if rows == columns:
            np.fill_diagonal(squared, np.inf)
        lowest[rows] = np.partition(np.hstack([lowest[rows], squared]), k - 1, axis=1)[:, :k]
    return lowest.max(axis=1)


def _count_in_balls(centers: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts the `others` that the ball of each center holds, and the balls that each of them lies in: ints (n,), (m,).

    A ball reaches the k-th nearest other center. A point on its edge is inside, as in arXiv:1904.06991; the authors of
    arXiv:2002.09797 leave it outside.
    """
    radii = _squared_radii(centers, k)
    within, around = np.zeros(len(centers), np.int64), np.zeros(len(others), np.int64)
    for rows, columns, squared in _squared_distances(centers, others):
        inside = squared <= radii[rows, None]
        within[rows] += inside.sum(axis=1)
        around[columns] += inside.sum(axis=0)
    return within, around
