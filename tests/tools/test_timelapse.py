"""A run's pictures as an animation."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import images
from gan.generation.animation import STRIP, add_caption
from gan.runs.run_directory import Run
from tools import timelapse


def test_whole(tiny, capsys):
    """Three pictures, the last one for long, each above its iteration; with all faces where they fit."""
    assert timelapse.main([str(tiny), "--out", "lapse.webp"]) == 0
    with Image.open("lapse.webp") as image:
        assert image.size == (8 * 50 - 2, 8 * 50 - 2 + STRIP)
        assert image.n_frames == 3 or image.n_frames == 2 + timelapse.LAST
    assert capsys.readouterr().out.startswith("3 pictures, 8 x 8 faces each, ")


def test_small(tiny, capsys):
    """Fewer faces, then fewer frames; and it is said where even that is too large."""
    assert timelapse.main([str(tiny), "--megabytes", "0.01"]) == 0
    with Image.open(tiny / "timelapse.gif") as image:
        assert image.size[0] == 4 * 50 - 2
    told = capsys.readouterr().out
    assert told.startswith("2 of 3 pictures, ")
    assert "4 x 4 faces each" in told
    assert ("which is more than 0.01 MB" in told) == ((tiny / "timelapse.gif").stat().st_size > 10_000)


def test_captions(tiny):
    """Iterations and images, from the picture's name and the run's batch."""
    from gan.config import Config

    picture = images.read_png(tiny / "000002.png")
    frames = timelapse.frames({2: picture}, Config(image_size=16, batch_size=8), 4)
    assert frames.shape == (1, 4 * 50 - 2 + STRIP, 4 * 50 - 2, 3)
    np.testing.assert_array_equal(frames[0], add_caption(picture[:198, :198], "iteration 2: 16 images"))
    np.testing.assert_array_equal(frames[0, :-STRIP], picture[:198, :198])


def test_the_last_picture_stays(tiny):
    """However few of 40 pictures fit, the first and the last are among them; what cannot be read is left out."""
    rng = np.random.default_rng(0)
    for path in tiny.glob("0*.png"):
        path.unlink()
    for iteration in range(40):
        faces = rng.integers(0, 256, (64, 16, 16, 3), np.uint8) if 0 < iteration < 39 else np.full((64, 16, 16, 3), 9)
        Run(tiny).save_grid(iteration, faces.astype(np.uint8))
    (tiny / "000041.png").write_text("torn")
    (tiny / "000042.png").write_bytes((tiny / "loss.png").read_bytes())
    with pytest.warns(UserWarning, match="left out .*00004[12].png") as caught:
        pictures = timelapse.readable(Run(tiny), Run(tiny).load_config())
    assert len(caught) == 2 and sorted(pictures) == [*range(40)]
    for iteration in (41, 42):
        Run(tiny).grid_path(iteration).unlink()
    assert timelapse.main([str(tiny), "--out", "lapse.webp", "--megabytes", "0.1"]) == 0
    assert Path("lapse.webp").stat().st_size <= 100_000
    with Image.open("lapse.webp") as image:
        shown = []
        for i in range(image.n_frames):
            image.seek(i)
            shown.append(np.asarray(image.convert("RGB"))[:-STRIP])
    assert 2 <= len(shown) < 40 and shown[0].std() < 60 and shown[-1].std() < 60


def test_nothing_there(tiny, capsys):
    """No run, and a run without pictures."""
    assert timelapse.main(["output/none"]) == 2
    for path in Path(tiny).glob("0*.png"):
        path.unlink()
    assert timelapse.main([str(tiny)]) == 2
    assert "has no pictures. Its training goes on and makes some with: python train.py --" in capsys.readouterr().err
