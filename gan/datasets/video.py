"""Frames of videos, one every few seconds.

source = open_video(Request("film.mp4", size=64, seconds_between_frames=10))
"""

import contextlib
import importlib.util
import math
import threading
from fractions import Fraction
from pathlib import Path

from PIL import Image

from gan import images
from gan.datasets.source import MOST_IMAGES, Request, Source, digest, file_identity
from gan.errors import UsageError, summarize
from gan.files import expand_path

# Formats of FFmpeg; others can name files and addresses that it would then open.
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg"
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
UNSPECIFIED, HDR = 2, {16, 18}  # values of FFmpeg's colorspace, and of its color_trc: PQ and HLG
HD = (1280, 720)  # width or height from which players take colors without a tag for those of BT.709
ALIKE = 10  # seconds of a video whose frames are held out together, or trained on
NEAR = 10  # seconds that are decoded on the way to a frame; to one further on, the file is searched
# How a frame is turned upright: degrees counterclockwise -> Pillow's operation.
ROTATIONS = {
    90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, -180: Image.Transpose.ROTATE_180,
    -90: Image.Transpose.ROTATE_270,
}  # fmt: skip


def open_video(request: Request) -> Source:
    """Opens a video: the frame at its start, and one every `request.seconds_between_frames`.

    Raises UsageError if PyAV is not installed, if the file cannot be read, or if there is no video in it.
    """
    path, step = expand_path(request.data), request.seconds_between_frames
    if importlib.util.find_spec("av") is None:
        raise UsageError(f"--data {request.data}: a video, which needs PyAV: pip install av.")
    try:
        with contextlib.closing(_Video(path)) as video:
            images.require_few_pixels(*video.size, request.max_pixels)  # before a frame is decoded
            seconds = video.measure_seconds()
    except Exception as error:  # FFmpeg's errors are of several kinds
        raise UsageError(f"--data {request.data}: not a video that can be read ({_summarize(error)}).") from error
    count = max(1, math.ceil(seconds / step))
    if count > MOST_IMAGES:
        raise UsageError(f"--data {request.data}: it says that it takes {seconds:,.0f} seconds, which cannot be.")
    identity = file_identity(path)

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        try:
            video = _get_video(path, identity)
            frame = video.find_frame(i * step)
            if i * step - video.get_time(frame) > max(step, NEAR):
                raise images.UnreadableImage(f"the video ends after {video.get_time(frame):,.0f} seconds")
            width = _find_width(frame.width, video.stream.sample_aspect_ratio)
            images.require_few_pixels(max(width, frame.width), frame.height, request.max_pixels)
            image = frame.to_image(src_colorspace=_find_colorspace(frame))
        except images.UnreadableImage:
            raise
        except Exception as error:  # as above
            _LOCAL.identity = None  # it is opened anew
            reason = f"damaged in the video: {_summarize(error)}"
            raise images.UnreadableImage(reason) from (error if isinstance(error, MemoryError) else _find_failure(path))
        if width != frame.width:
            image = image.resize((width, frame.height), Image.Resampling.BILINEAR)
        if operation := ROTATIONS.get(frame.rotation):
            image = image.transpose(operation)
        images.require_size(*image.size)
        mode = "RGB, HDR not converted" if getattr(frame, "color_trc", None) in HDR else "RGB"  # not in PyAV 15
        return image, images.ImageInfo(mode, image.size), image.tobytes()

    names = [f"{path.name}[{i * step:.10g} s]" for i in range(count)]
    parts = [f"part {i * step // ALIKE:.0f}" for i in range(count)]
    return Source(path.name, digest(identity, step), names, read, [], groups=parts)


class _Video:
    """A video that is being decoded. Raises what PyAV does, LookupError, ValueError and EOFError."""

    def __init__(self, path: Path):
        self.path, self.container = path, None
        self.open()
        self.size = self.stream.codec_context.width, self.stream.codec_context.height
        self.start = float((self.stream.start_time or 0) * self.stream.time_base)

    def open(self) -> None:
        """Starts from the first frame."""
        import av

        self.close()
        self.container = av.open(str(self.path), options=OPTIONS)
        self.stream = next(
            (each for each in self.container.streams.video if "ATTACHED_PIC" not in str(each.disposition).upper()), None
        )
        if self.stream is None:
            self.close()
            raise LookupError("there are no moving pictures in it")
        self.shown = self.next = None  # frames

    def close(self) -> None:
        """Closes the file, which Python alone would do later, as its objects refer to each other."""
        if self.container:
            self.container.close()

    def measure_seconds(self) -> float:
        """The length of the video, from the headers, or else from all packets."""
        if self.stream.duration:
            return float(self.stream.duration * self.stream.time_base)
        if self.container.duration:
            return self.container.duration / 1e6
        times = [packet.pts for packet in self.container.demux(self.stream) if packet.pts is not None]
        return float(max(times, default=0) * self.stream.time_base) - self.start

    def get_time(self, frame) -> float:
        """The seconds from the start of the video to a frame."""
        time = frame.dts if frame.pts is None else frame.pts
        if time is None:
            raise ValueError("its frames have no times")
        return float(time * self.stream.time_base) - self.start

    def find_frame(self, seconds: float):
        """Decodes the frame that is shown at a time: the last one that is not after it."""
        seconds += 1e-6  # times are fractions of other numbers
        if self.shown is None or not 0 <= seconds - self.get_time(self.shown) <= NEAR:
            if seconds <= NEAR:
                self.open()  # as some formats cannot be searched exactly
            else:
                self.container.seek(int((self.start + seconds) / self.stream.time_base), stream=self.stream)
            self.frames = self.container.decode(self.stream)
            self.shown = self.next = next(self.frames, None)
            if self.shown is None:
                raise EOFError("it ends before this frame")
        while self.next and self.get_time(self.next) <= seconds:
            self.shown, self.next = self.next, next(self.frames, None)
        return self.shown


def _find_width(width: int, aspect: Fraction | None) -> int:
    """Returns the width in which a frame is shown; `aspect` is that of its pixels, None where it is unknown."""
    return max(1, round(width * aspect)) if aspect and aspect > 0 else width


def _find_colorspace(frame) -> str | None:
    """Returns the colors of HD video without a tag, which FFmpeg takes for those before HD; None: as tagged."""
    is_large = frame.width >= HD[0] or frame.height >= HD[1]
    return "ITU709" if frame.colorspace == UNSPECIFIED and is_large else None


def _find_failure(path: Path) -> OSError | None:
    """Returns why the system cannot read a file, or None where it can: FFmpeg has the same errors for damaged ones."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        return error
    return None


def _summarize(error: Exception) -> str:
    return summarize(getattr(error, "strerror", "") or error)  # without the number and the path


_LOCAL = threading.local()  # the video that a thread read last, which it goes on to read


def _get_video(path: Path, identity: str) -> _Video:
    if getattr(_LOCAL, "identity", None) != identity:
        if video := getattr(_LOCAL, "video", None):
            video.close()
        _LOCAL.identity = _LOCAL.video = None
        _LOCAL.video, _LOCAL.identity = _Video(path), identity
    return _LOCAL.video
