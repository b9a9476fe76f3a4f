"""Killed workers: the comparison at the end finds a difference."""

import numpy as np
import pytest

from benchmarks import worker_kills
from gan.errors import RunError


def save(folder, **arrays):
    """Saves the checkpoint of a run in a folder."""
    path = folder / "output/it/checkpoints/000000004.npz"
    path.parent.mkdir(parents=True)
    np.savez(path, **arrays)
    return folder


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"kernel": [1.0, 2.0], "seconds": 3.0}, ""),
        ({"kernel": [1.0, 2.5], "seconds": 2.0}, "differs from .* in kernel"),
        ({"kernel": [1.0, 2.0], "seconds": 2.0, "bias": 0.0}, "in its arrays"),
    ],
)
def test_compare(tmp_path, arrays, words):
    """Weights have to be equal, and times need not be."""
    runs = save(tmp_path / "a", kernel=[1.0, 2.0], seconds=2.0), save(tmp_path / "b", **arrays)
    if not words:
        worker_kills.compare(*runs)
        return
    with pytest.raises(RunError, match=words):
        worker_kills.compare(*runs)
