"""tools.interpolate, as typed at a command line."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan import experiment, images
from gan.generation import animation, noise
from gan.runs.run_directory import Run
from tools import generate, interpolate


def read_frames(path):
    """Reads all frames, int (t, h, w, 3)."""
    with Image.open(path) as image:
        found = []
        for i in range(image.n_frames):
            image.seek(i)
            found.append(np.asarray(image.convert("RGB")).astype(int))
    return np.stack(found)


def test_defaults(tiny, monkeypatch, capsys):
    """Without flags, eight seeds with 20 frames from each to the next; a PNG has a row of steps for each."""
    saved, save = [], animation.save

    def save_some(path, frames, seconds):  # a GIF of all takes ten times as long as the rest
        saved.append((frames.shape, seconds))
        save(path, frames[:10], seconds)

    monkeypatch.setattr(animation, "save", save_some)
    assert interpolate.main([str(tiny)]) == 0
    assert saved == [((8 * 20, 192, 192, 3), 0.05)]
    with Image.open(tiny / "walk.gif") as image:
        assert image.size == (192, 192) and sum(frame_durations(image)) == pytest.approx(10 * 50, rel=0.05)
    grid = images.read_png(tiny / "walk.png")
    assert grid.shape == (8 * 66 - 2, 8 * 66 - 2, 3)
    assert generate.main([str(tiny), "--count", "8", "--columns", "1", "--scale", "4", "--out", "faces.png"]) == 0
    faces = images.read_png("faces.png")
    assert np.abs(grid[:, :64].astype(int) - faces).max() <= 1  # each row starts with the image of its seed
    assert "0, 1, 2, 3, 4, 5, 6, 7" in capsys.readouterr().out


def frame_durations(image):
    """Yields the milliseconds of each frame; equal frames are merged."""
    for i in range(image.n_frames):
        image.seek(i)
        yield image.info["duration"]


def test_options(tiny):
    """Seeds, frames, scale, format and path are as given."""
    flags = ["--seeds", "7", "12", "--frames", "5", "--fps", "10", "--scale", "3", "--out", "there/way.webp"]
    assert interpolate.main([str(tiny), *flags]) == 0
    assert read_frames("there/way.webp").shape == (10, 48, 48, 3)
    assert images.read_png("there/way-faces.png").shape == (2 * 66 - 2, 8 * 66 - 2, 3)


def test_around(tiny):
    """Frames around a seed are nearer to its image than those through other seeds."""
    flags = ["--frames", "4", "--scale", "1"]
    assert interpolate.main([str(tiny), "--around", "3", "--distance", "0.1", *flags, "--out", "near.webp"]) == 0
    assert interpolate.main([str(tiny), "--seeds", *map(str, range(4, 12)), *flags, "--out", "far.webp"]) == 0
    assert generate.main([str(tiny), "--seed", "3", "--count", "1", "--separate", "--out", "face"]) == 0
    face = images.read_png("face/face-000003.png").astype(int)
    near, far = (np.abs(read_frames(f"{name}.webp") - face).mean() for name in ("near", "far"))
    assert near < far


def test_usage_errors(tiny, capsys):
    """One seed alone, and an unknown format, are refused before anything is generated."""
    with pytest.raises(SystemExit):
        interpolate.main([str(tiny), "--seeds", "7"])
    printed = capsys.readouterr().err
    assert "argument --seeds" in printed and "--around N" in printed
    assert interpolate.main([str(tiny), "--out", "walk.avi"]) == 2
    printed = capsys.readouterr().err
    assert "walk.avi" in printed and ".gif, .webp or .mp4" in printed
    assert not Path("walk.avi").exists()


def test_labels(labelled):
    """Labels move with the noise, or alone: then each row begins with one label and ends with the other."""
    generator = experiment.load_generator(Run(labelled))
    for label in ([], ["--label", "skin=dark"]):
        assert interpolate.main([str(labelled), "--seeds", "1", "2", "--frames", "3", *label]) == 0
        rows = images.split_grid(images.read_png(labelled / "walk.png"), 16, 16, 8, scale=4).reshape(2, 8, 16, 16, 3)
        requested = generator.parse_labels("".join(label[1:]))
        np.testing.assert_array_equal(rows[:, 0], generator.generate_seeds([1, 2], requested=requested))
        vectors = generator.labels.encode(generator.draw_codes([1, 2], requested))
        points = noise.interpolation_rows(generator.sample_noise([1, 2]), 8, "normal")[4:5]
        np.testing.assert_array_equal(rows[0, 4:5], generator(points, vectors.mean(axis=0, keepdims=True)))
    flags = ["--from-label", "skin=pale,glasses=none", "--to-label", "glasses=round", "--frames", "4"]
    assert interpolate.main([str(labelled), "--seeds", "1", "2", "3", *flags, "--out", "labels.gif"]) == 0
    rows = images.split_grid(images.read_png("labels-faces.png"), 16, 24, 8, scale=4).reshape(3, 8, 16, 16, 3)
    z, first = generator.sample_noise([1, 2, 3]), generator.draw_codes([1, 2, 3], generator.parse_labels(flags[1]))
    last = first.copy()
    last[:, 1] = generator.labels.attributes[1].values.index("round")
    np.testing.assert_array_equal(rows[:, 0], generator(z, first))
    np.testing.assert_array_equal(rows[:, -1], generator(z, last))
    assert interpolate.main([str(labelled), "--seeds", "2", *flags, "--out", "one.gif"]) == 0
    row = images.split_grid(images.read_png("one-faces.png"), 16, 8, 8, scale=4)
    np.testing.assert_array_equal(row, rows[1])
    with pytest.raises(SystemExit):
        interpolate.main([str(labelled), "--from-label", "skin=pale"])


def test_labels_of_a_run_without_labels(tiny, capsys):
    """They are refused before anything is written."""
    assert interpolate.main([str(tiny), "--from-label", "skin=pale", "--to-label", "skin=dark"]) == 2
    assert "without labels" in capsys.readouterr().err and not (tiny / "walk.gif").exists()
