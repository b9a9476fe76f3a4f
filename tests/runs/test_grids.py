import numpy as np
import pytest

from gan import images
from gan.runs.grids import Grids


@pytest.fixture
def grids(tmp_path):
    """The grids of a folder that does not exist yet."""
    return Grids(tmp_path / "run")


def test_grids_and_samples(grids):
    """Grids have enlarged samples; samples.npz has the samples of all grids in order of iteration."""
    faces = {
        iteration: np.random.default_rng(iteration).integers(0, 256, (5, 16, 16, 3), np.uint8)
        for iteration in (999_999, 0, 1_000_000, 150)
    }
    for iteration, images_ in faces.items():
        grids.save(iteration, images_)
    assert {path.name for path in grids.folder.iterdir()} == {"000000.png", "000150.png", "999999.png", "1000000.png"}
    grid = images.read_png(grids.folder / "000150.png")
    assert grid.shape == (2 * 48 + 2, 3 * 48 + 2 * 2, 3)  # 3 columns, 2 rows, 2 pixels between
    np.testing.assert_array_equal(grid[:48:3, 50:98:3], faces[150][1])
    (grids.folder / "loss.png").write_bytes(b"not a grid")
    grids.save_samples(16, 5)
    with np.load(grids.folder / "samples.npz") as samples:
        assert list(samples["iterations"]) == [0, 150, 999_999, 1_000_000]
        assert samples["images"].dtype == np.uint8
        np.testing.assert_array_equal(samples["images"], [faces[i] for i in sorted(faces)])


def test_samples_without_damaged_grids(grids):
    """Images that are damaged or have another layout are left out of samples.npz, each with a warning."""
    faces = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    grids.save(150, faces)
    images.write_png(grids.folder / "000007.png", np.zeros((48, 48, 3), np.uint8))
    (grids.folder / "000200.png").write_bytes((grids.folder / "000150.png").read_bytes()[:200])
    with pytest.warns(UserWarning, match=r"samples.npz is without .*000(007|200).png: ") as caught:
        grids.save_samples(16, 5)
    assert len(caught) == 2
    with np.load(grids.folder / "samples.npz") as samples:
        assert list(samples["iterations"]) == [150]
        np.testing.assert_array_equal(samples["images"], [faces])


def test_samples_without_grids(grids):
    """If all grids were removed, samples.npz is unchanged."""
    grids.folder.mkdir()
    (grids.folder / "samples.npz").write_bytes(b"as it was")
    grids.save_samples(16, 5)
    assert (grids.folder / "samples.npz").read_bytes() == b"as it was"
