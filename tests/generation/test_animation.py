"""Animations, read back by Pillow and by PyAV."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

from gan.errors import UsageError
from gan.generation import animation

# Twelve frames of one color each, so that no encoder merges two.
FRAMES = np.repeat(np.linspace(0, 255, 12).astype(np.uint8), 32 * 48 * 3).reshape(12, 32, 48, 3)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_pillow_reads_it(tmp_path, suffix):
    """All frames are there, with size, duration, an endless loop, and colors up to the format's loss."""
    path = tmp_path / f"walk{suffix}"
    animation.save(path, FRAMES, 0.05)
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["loop"]) == (12, (48, 32), 0)
        for i in (0, 6, 11):
            image.seek(i)
            image.load()
            assert image.info["duration"] == 50
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - FRAMES[i]).max() <= 6


def test_gif_has_the_right_total_duration(tmp_path):
    """GIF counts hundredths of seconds: 12 frames at 40 a second take 0.3 s, each 0.02 or 0.03."""
    animation.save(tmp_path / "walk.gif", FRAMES, 1 / 40)
    with Image.open(tmp_path / "walk.gif") as image:
        times = []
        for i in range(image.n_frames):
            image.seek(i)
            times.append(image.info["duration"])
    assert sum(times) == 300 and set(times) == {20, 30}


@pytest.mark.skipif(not importlib.util.find_spec("av"), reason="needs PyAV: pip install av")
def test_mp4(tmp_path):
    """An odd size is cut to an even one, which the codec needs; PyAV reads the frames back."""
    import imageio.v3 as iio

    animation.save(tmp_path / "walk.mp4", np.pad(FRAMES, ((0, 0), (0, 1), (0, 1), (0, 0))), 0.1)
    found = iio.imread(tmp_path / "walk.mp4", plugin="pyav")
    assert found.shape == FRAMES.shape and np.abs(found[::5].astype(int) - FRAMES[::5]).max() < 12


def test_unsupported_suffixes(tmp_path, monkeypatch):
    """The error of another suffix names those allowed; that of MP4 without PyAV, what to install."""
    with pytest.raises(UsageError, match=r"walk\.avi.*\.gif, \.webp or \.mp4"):
        animation.check_suffix(tmp_path / "walk.avi")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install av"):
        animation.check_suffix(tmp_path / "walk.MP4")
    animation.check_suffix(tmp_path / "walk.GIF")


def test_caption():
    """Black letters on white appear below the image, which is unchanged."""
    captioned = animation.add_caption(FRAMES[3], "7")
    assert captioned.shape == (32 + animation.CAPTION_HEIGHT, 48, 3)
    np.testing.assert_array_equal(captioned[:32], FRAMES[3])
    assert captioned[32:].max() == 255 and captioned[32:].min() < 60


def test_enlarge():
    """Pixels become squares exactly; smoothly, there are values between, and nothing happens at scale 1."""
    image = np.zeros((1, 4, 4, 3), np.uint8)
    image[:, :, 2:] = 200
    squares, smooth = (animation.enlarge(image, 3, smooth) for smooth in (False, True))
    assert squares.shape == smooth.shape == (1, 12, 12, 3)
    np.testing.assert_array_equal(squares[:, ::3, ::3], image)
    assert set(np.unique(squares)) == {0, 200} and len(np.unique(smooth)) > 4
    assert animation.enlarge(image, 1, True) is image
