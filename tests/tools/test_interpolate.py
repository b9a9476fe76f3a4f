"""Walks as a person asks for them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import images
from tools import generate, interpolate


def frames(path):
    """All frames, RGB."""
    with Image.open(path) as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append(np.asarray(image.convert("RGB")).astype(int))
    return np.stack(found)


def test_a_walk(tiny, capsys):
    """With no flag: eight faces, 20 frames from each to the next; a row of in-betweens for each in a PNG."""
    assert interpolate.main([str(tiny)]) == 0
    with Image.open(tiny / "walk.gif") as image:
        assert image.size == (192, 192) and sum(duration(image)) == pytest.approx(8 * 20 * 50, rel=0.05)
    picture = images.read_png(tiny / "walk.png")
    assert picture.shape == (8 * 66 - 2, 8 * 66 - 2, 3)
    assert generate.main([str(tiny), "--count", "8", "--columns", "1", "--scale", "4", "--out", "faces.png"]) == 0
    faces = images.read_png("faces.png")
    assert np.abs(picture[:, :64].astype(int) - faces).max() <= 1  # each row begins with the face of that number
    assert "walked past faces 0, 1, 2, 3, 4, 5, 6, 7: " in capsys.readouterr().out


def duration(image):
    """Milliseconds of each frame; frames that do not differ are one."""
    for i in range(image.n_frames):
        image.seek(i)
        yield image.info["duration"]


def test_some_seeds(tiny):
    """As many legs as faces, frames as asked for, another format and place."""
    flags = ["--seeds", "7", "12", "--frames", "5", "--fps", "10", "--scale", "3", "--out", "there/way.webp"]
    assert interpolate.main([str(tiny), *flags]) == 0
    assert frames("there/way.webp").shape == (10, 48, 48, 3)
    assert images.read_png("there/way-faces.png").shape == (2 * 66 - 2, 8 * 66 - 2, 3)


def test_around(tiny):
    """Stays nearer to its face than a walk through others does."""
    flags = ["--frames", "4", "--scale", "1"]
    assert interpolate.main([str(tiny), "--around", "3", "--distance", "0.1", *flags, "--out", "near.webp"]) == 0
    assert interpolate.main([str(tiny), "--seeds", *map(str, range(4, 12)), *flags, "--out", "far.webp"]) == 0
    assert generate.main([str(tiny), "--seed", "3", "--count", "1", "--separate", "--out", "face"]) == 0
    face = images.read_png("face/face-000003.png").astype(int)
    near, far = (np.abs(frames(f"{name}.webp") - face).mean() for name in ("near", "far"))
    assert near < far


def test_mistakes(tiny, capsys):
    """A walk of one face; a format that is none, before anything is drawn."""
    with pytest.raises(SystemExit):
        interpolate.main([str(tiny), "--seeds", "7"])
    assert "a walk needs two faces or more; --around N stays near one" in capsys.readouterr().err
    assert interpolate.main([str(tiny), "--out", "walk.avi"]) == 2
    assert capsys.readouterr().err == "interpolate: walk.avi: its name must end in .gif, .webp or .mp4\n"
    assert not Path("walk.avi").exists()
