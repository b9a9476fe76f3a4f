import errno
import gc
import importlib.util
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from data_files import encode_png, open_data, save_video
from PIL import Image

from gan.datasets import video
from gan.errors import UsageError
from gan.images import UnreadableImage

av = pytest.importorskip("av")
FRAMES = np.stack([np.full((48, 64, 3), (12 * i, 100, 255 - 12 * i), np.uint8) for i in range(20)])  # 5 seconds


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        *((name, 1.0) for name in ("a.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a", "a.mpegts")),
        *(("a.mp4", seconds) for seconds in (0.25, 2.1)),
    ],
)
def test_frames(tmp_path, name, seconds):
    """The frame that is shown every few seconds is read, in any order, from files of all usual kinds."""
    path = save_video(tmp_path / name, FRAMES)
    opened = open_data(path, seconds_between_frames=seconds)
    assert opened.names[:2] == [f"{name}[0 s]", f"{name}[{seconds:g} s]"]
    numbers = [int(i * seconds * 4) for i in range(len(opened.names))]
    assert len(numbers) == {0.25: 20, 1.0: 5, 2.1: 3}[seconds]
    for i in [*range(len(numbers)), len(numbers) - 1, 0, len(numbers) // 2]:
        image, info, content = opened.read(i)
        assert info == ("RGB", (64, 48)) and content == image.tobytes()
        assert np.abs(np.asarray(image)[24, 32] - FRAMES[numbers[i]][0, 0].astype(int)).max() <= 5


def test_many_threads(tmp_path):
    """Eight threads that read two videos at once get what one does."""
    videos = [save_video(tmp_path / "1.mp4", FRAMES), save_video(tmp_path / "2.mp4", FRAMES[::-1])]
    opened = [open_data(path, seconds_between_frames=0.25) for path in videos]
    jobs = [(n, i) for i in range(20) for n in range(2)]
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda job: opened[job[0]].read(job[1])[2], jobs))
    assert read == [opened[n].read(i)[2] for n, i in jobs]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux lists them")
def test_videos_are_closed(tmp_path):
    """Of many videos in a folder, one is open, in each thread that reads."""
    for i in range(8):
        save_video(tmp_path / f"{i}.mp4", FRAMES[:5])
    gc.disable()  # it closes files, too, at some time
    try:
        before = len(os.listdir("/proc/self/fd"))
        opened = open_data(tmp_path)
        for i in [*range(16), 0, 15]:
            opened.read(i)
        assert len(os.listdir("/proc/self/fd")) - before <= 1
    finally:
        gc.enable()


def test_identity_has_the_interval(tmp_path):
    """Other frames are other images."""
    path = save_video(tmp_path / "a.mp4", FRAMES)
    assert open_data(path).identity == open_data(path).identity
    assert open_data(path).identity != open_data(path, seconds_between_frames=2.0).identity


def test_parts_are_groups(tmp_path, monkeypatch):
    """Frames of some seconds of one film are alike; those of another film, and images beside it, are not."""
    path = save_video(tmp_path / "a.mp4", FRAMES)
    shutil.copy(path, tmp_path / "b.mp4")
    Image.new("RGB", (16, 16)).save(tmp_path / "c.png")
    assert open_data(path).groups == ["part 0"] * 5
    groups = open_data(tmp_path).groups
    assert len(set(groups[:5])) == len(set(groups[5:10])) == 1 and len(set(groups)) == 3 and groups[10] is None
    monkeypatch.setattr(video, "ALIKE", 2)
    assert open_data(path).groups == ["part 0", "part 0", "part 1", "part 1", "part 2"]


def test_turned_upright(tmp_path):
    """A video of a phone that was held upright: its left becomes its top."""
    left = np.zeros((4, 48, 64, 3), np.uint8)
    left[:, :, :32] = 255
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write it")
        stream.set_display_rotation(-90)
        for frame in left:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    image, info, _ = open_data(tmp_path / "a.mp4").read(0)
    assert info.size == image.size == (48, 64)
    assert image.getpixel((24, 5))[0] > 250 and image.getpixel((24, 58))[0] < 5


def test_a_video_that_is_cut_off(tmp_path):
    """What is there is read; frames that are missing are unreadable."""
    path = save_video(tmp_path / "a.mkv", FRAMES.repeat(20, axis=0))  # 100 seconds
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    opened = open_data(path)
    assert np.abs(np.asarray(opened.read(0)[0])[9, 9] - FRAMES[0][0, 0].astype(int)).max() <= 5
    with pytest.raises(UnreadableImage, match="the video"):
        opened.read(len(opened.names) - 1) if len(opened.names) > 60 else opened.read(10**6)


def test_limit_of_pixels(tmp_path):
    """A video of larger frames is refused before one is decoded."""
    path = save_video(tmp_path / "a.mp4", FRAMES)
    assert open_data(path, max_pixels=64 * 48).read(0)[1].size == (64, 48)
    with pytest.raises(UsageError, match=r"3,072 .* 3,071"):
        open_data(path, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"....ftypisom", b"\x1a\x45\xdf\xa3", encode_png(FRAMES[0]),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nother.mp4\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
    ],
)  # fmt: skip
def test_not_a_video(tmp_path, content):
    """Damaged files are refused, and so are lists of other files, which are not opened."""
    save_video(tmp_path / "other.mp4", FRAMES)
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.mp4: not a video") as caught:
        open_data(tmp_path / "a.mp4")
    assert "Errno" not in str(caught.value)


def test_sound_alone(tmp_path):
    """A file without pictures is refused."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(UsageError, match="no moving pictures"):
        open_data(tmp_path / "a.mp4")


def test_without_pyav(tmp_path, monkeypatch):
    """The error says what to install."""
    path = save_video(tmp_path / "a.mp4", FRAMES[:4])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install av"):
        open_data(path)


def write_video(path, frames, **settings):
    """Writes frames of PyAV with H.264, and settings of its encoder."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=4)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def make_frame(width, height, y, u, v):
    """Makes a frame of one color."""
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, value in zip(frame.planes, (y, u, v), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


@pytest.mark.parametrize(("aspect", "size"), [("4/3", (85, 48)), ("1/2", (32, 48)), ("1", (64, 48)), ("0", (64, 48))])
def test_pixels_that_are_not_square(tmp_path, aspect, size):
    """A frame is as wide as it is shown; the limit of pixels is that of the wider one."""
    frames = [av.VideoFrame.from_ndarray(frame, "rgb24") for frame in FRAMES[:4]]
    path = write_video(tmp_path / "a.mp4", frames, sample_aspect_ratio=Fraction(aspect))
    image, info, _ = open_data(path).read(0)
    assert image.size == info.size == size
    if size[0] > 64:
        with pytest.raises(UnreadableImage, match="4,080"):
            open_data(path, max_pixels=64 * 48).read(0)


@pytest.mark.parametrize(
    ("size", "color"), [((64, 48), (81, 90, 240)), ((64, 720), (63, 102, 240)), ((1280, 48), (63, 102, 240))]
)
def test_colors_without_a_tag(tmp_path, size, color):
    """Red by BT.601 is red in small videos, red by BT.709 in HD ones: the values are those of the two standards."""
    path = write_video(tmp_path / "a.mp4", [make_frame(*size, *color)] * 2)
    assert np.abs(np.subtract(open_data(path).read(0)[0].getpixel((9, 9)), (255, 0, 0))).max() <= 4


@pytest.mark.parametrize(("curve", "more"), [(18, ", HDR not converted"), (16, ", HDR not converted"), (1, "")])
def test_hdr_is_counted(tmp_path, curve, more):
    """Frames of HLG and PQ have a mode of their own, which the report counts."""
    frame = make_frame(64, 48, 81, 90, 240)
    if not hasattr(frame, "color_trc"):
        pytest.skip("this PyAV cannot read it")
    path = write_video(tmp_path / "a.mp4", [frame] * 2, color_trc=curve)
    assert open_data(path).read(0)[1].mode == f"RGB{more}"


def test_failures_of_the_system(tmp_path, monkeypatch):
    """FFmpeg's errors are damage, unless the system cannot read the file: then its error is the cause."""
    opened = open_data(save_video(tmp_path / "a.mp4", FRAMES[:4]))

    def fail(*_):
        raise av.error.OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(video, "_get_video", fail)
    with pytest.raises(UnreadableImage) as caught:
        opened.read(0)
    assert caught.value.__cause__ is None
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(UnreadableImage) as caught:
        opened.read(0)
    assert isinstance(caught.value.__cause__, FileNotFoundError)
