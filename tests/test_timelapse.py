"""A run's pictures as an animation."""

from pathlib import Path

import numpy as np
from PIL import Image

from gan.animations import STRIP
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
    assert "4 x 4 faces each" in told
    assert ("which is more than 0.01 MB" in told) == ((tiny / "timelapse.gif").stat().st_size > 10_000)


def test_captions(tiny):
    """Iterations and images, from the picture's name and the run's batch."""
    from gan.config import Config

    frames = timelapse.frames([tiny / "000002.png"], Config(image_size=16, batch_size=8), 4)
    assert frames.shape == (timelapse.LAST, 4 * 50 - 2 + STRIP, 4 * 50 - 2, 3)
    assert (np.diff(frames, axis=0) == 0).all() and frames[0, -STRIP:].min() < 60


def test_nothing_there(tiny, capsys):
    """No run, and a run without pictures."""
    assert timelapse.main(["output/none"]) == 2
    for path in Path(tiny).glob("0*.png"):
        path.unlink()
    assert timelapse.main([str(tiny)]) == 2
    assert "has no pictures yet" in capsys.readouterr().err
