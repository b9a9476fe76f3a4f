"""Time-lapses of a run's grids."""

import io

import numpy as np
import pytest
from PIL import Image

from gan import images
from gan.config import Config
from gan.generation.animation import CAPTION_HEIGHT, add_caption
from gan.generation.timelapse import build_frames, build_timelapse, load_grids
from gan.labels import Attribute, Labels
from gan.runs.run_directory import Run


def test_frames_have_captions(tiny):
    """A frame is the corner of a grid, above its iteration and the number of images seen."""
    grid = images.read_png(tiny / "000002.png")
    frames = build_frames({2: grid}, Config(image_size=16, batch_size=8), 4)
    assert frames.shape == (1, 4 * 50 - 2 + CAPTION_HEIGHT, 4 * 50 - 2, 3)
    np.testing.assert_array_equal(frames[0], add_caption(grid[:198, :198], "iteration 2: 16 images"))
    np.testing.assert_array_equal(frames[0, :-CAPTION_HEIGHT], grid[:198, :198])


def test_names_of_rows_are_kept(tiny):
    """The margin with the names of the rows stays beside as many of them as a frame has; the widest fits all."""
    Labels((Attribute("a"),), np.zeros((8, 1), np.int32)).save(tiny / "labels.json")
    for iteration, names in ((0, "ab"), (2, "ab"), (4, ["a long name", "b"])):
        named = images.name_rows(np.zeros((398, 398, 3), np.uint8), [*names] * 4)
        images.write_png(tiny / f"{iteration:06d}.png", named)
    grids, narrow = load_grids(Run(tiny)), images.read_png(tiny / "000000.png")
    assert sorted(grids) == [0, 2, 4] and 398 < narrow.shape[1] < named.shape[1]
    first, _, last = build_frames(grids, Config(image_size=16, batch_size=8), 4)
    np.testing.assert_array_equal(last[:-CAPTION_HEIGHT], named[:198, : named.shape[1] - 200])
    margin = named.shape[1] - narrow.shape[1]
    np.testing.assert_array_equal(first[:-CAPTION_HEIGHT, margin:], narrow[:198, : narrow.shape[1] - 200])
    assert (first[:-CAPTION_HEIGHT, :margin] == 255).all()


def test_first_and_last_grid_are_kept():
    """However few of 40 grids fit, the first and the last, which are uniform, are among them."""
    rng = np.random.default_rng(0)
    grids = {i: rng.integers(0, 256, (398, 398, 3), np.uint8) for i in range(40)}
    grids[0][:] = grids[39][:] = 9
    lapse = build_timelapse(grids, Config(image_size=16), ".webp", 5, 100_000)
    assert len(lapse.content) <= 100_000 and 2 <= lapse.grids < 40 and lapse.columns == 4
    with Image.open(io.BytesIO(lapse.content)) as image:
        frames = []
        for i in range(image.n_frames):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB"))[:-CAPTION_HEIGHT])
    assert 2 <= len(frames) < 40 and frames[0].std() < 60 and frames[-1].std() < 60


def test_unreadable_grids_are_skipped(tiny):
    """Damaged files, and pictures of another size, are skipped with a warning that names them."""
    (tiny / "000041.png").write_text("torn")
    images.write_png(tiny / "000042.png", np.zeros((30, 40, 3), np.uint8))
    with pytest.warns(UserWarning, match=r"00004[12]\.png") as warned:
        grids = load_grids(Run(tiny))
    assert len(warned) == 2 and sorted(grids) == [0, 2, 4]
