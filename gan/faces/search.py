"""Search for faces in all photographs of a source, in parallel; what was found is kept for the next time.

    found = search(source, range(len(source.names)), min_face=48, folder=cache_folder())
    found[0]  # of the first photograph: its `Candidate`s, or why it cannot be read

What was found is kept in a file in the cache, by the content of the photograph, and added to every half a minute, so a
search that was stopped goes on where it was.
"""

import base64
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan import files, images
from gan.datasets.cache import map_in_order
from gan.datasets.source import Source
from gan.devices import setup_devices
from gan.errors import UsageError
from gan.faces import geometry
from gan.faces.selection import SHARPNESS_SIDE, Candidate, measure_sharpness
from gan.progress import track_task
from gan.thumbnails import SIDE

VERSION = 1  # raise it when the same photographs would give other candidates
MARGIN = 0.8  # the detector looks for faces of this times the least side, as its sizes are coarse
CHUNK = 4  # photographs that one task searches
SECONDS_BETWEEN_SAVES = 30.0


class Photograph(NamedTuple):
    """What was found in a photograph: faces, or why it cannot be read; its width and height."""

    candidates: list[Candidate]
    reason: str = ""
    size: tuple[int, int] = (0, 0)


def search(source: Source, numbers: Sequence[int], *, min_face: int, folder: Path) -> list[Photograph]:
    """Searches photographs for faces whose cuts are at least about `min_face` pixels wide.

    Arguments:
        numbers: the photographs, as numbers in the source.
        folder: of the cache.

    Raises:
        UsageError: if the detector is not installed, or the cache cannot be written.
    """
    memory = Memory(folder / f"faces-found-{VERSION}-{min_face}.txt")
    detector = LazyDetector()
    source.prepare()

    def work(number: int) -> tuple[Photograph, str]:
        """Returns what is in a photograph, and the key to remember it by; "" where it is known, or cannot be read."""
        try:
            image, info, content = source.read(numbers[number])
            key = hashlib.blake2b(content, digest_size=12).hexdigest()
            if (known := memory.read(key)) is not None:
                return Photograph(known, size=image.size), ""
            image = images.scale_by_own_range(image, info)
        except images.UnreadableImage as error:
            return Photograph([], str(error)), ""
        found = find_candidates(detector.load(), image, MARGIN * min_face)
        candidates = [unpack(pack(candidate)) for candidate in found]  # rounded, as they are when they are remembered
        return Photograph(candidates, size=image.size), key

    found, title = [], f"Searching {len(numbers):,} images of {source.title} for faces"
    results = contextlib.closing(map_in_order(work, len(numbers), CHUNK))
    with track_task(title) as tick, memory.saving(), results as photographs:
        for photograph, key in photographs:
            if key:
                memory.add(key, photograph.candidates)
            found.append(photograph)
            tick(len(found), len(numbers))
    return found


def find_candidates(detector, image: Image.Image, least: float) -> list[Candidate]:
    """Finds the faces of a photograph, and measures them.

    Arguments:
        detector: a `gan.faces.detector.FaceDetector`.
        image: of mode RGB.
        least: about the least width of a face, in pixels.
    """
    candidates = []
    for face in detector.find(np.asarray(image), least):
        transform = geometry.fit_cut(face.points, SHARPNESS_SIDE)
        cut = geometry.cut_out(image, transform, SHARPNESS_SIDE)
        nose = geometry.transform_points(geometry.invert(transform), face.points[2])[0] / SHARPNESS_SIDE
        candidates.append(
            Candidate(
                face.points, face.confidence, geometry.find_scale(transform) * SHARPNESS_SIDE,
                geometry.share_outside(transform, SHARPNESS_SIDE, *image.size), abs(nose - 0.5),
                measure_sharpness(np.asarray(cut.convert("L"))), np.asarray(cut.reduce(SHARPNESS_SIDE // SIDE)),
            )
        )  # fmt: skip
    return candidates


class Memory:
    """The candidates of photographs, by the content of these, in a file to which lines are added: a key, and JSON.

    Lines that cannot be read are passed over, such as the last one of a process that was killed.
    """

    def __init__(self, path: Path):
        self.path, self.known, self.new, self.saved_at = path, {}, [], time.monotonic()
        with contextlib.suppress(OSError):  # there is no file yet; one that cannot be read cannot be written either
            lines = path.read_bytes().splitlines()
            self.known = {key: content for key, _, content in (line.partition(b" ") for line in lines if line)}

    def read(self, key: str) -> list[Candidate] | None:
        """Returns the candidates of a photograph, or None where these are not known."""
        try:
            return [unpack(entry) for entry in json.loads(self.known[key.encode()])]
        except (KeyError, TypeError, ValueError, RecursionError):
            return None

    def add(self, key: str, candidates: list[Candidate]) -> None:
        """Adds those of another photograph, and saves what was added from time to time."""
        self.new.append(f"{key} {json.dumps([pack(candidate) for candidate in candidates])}\n")
        if time.monotonic() - self.saved_at > SECONDS_BETWEEN_SAVES:
            self.save()

    def save(self) -> None:
        """Adds to the file what is new, in one piece, as other processes may be adding to it. Raises UsageError."""
        if self.new:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with open(self.path, "ab") as file:
                    file.write("".join(["\n", *self.new]).encode())  # the last line of the file may not be whole
                    files.flush_to_disk(file)
            except OSError as error:
                reason = f"{self.path.parent} cannot be written ({error.strerror or error})"
                raise UsageError(f"The cache {reason}; choose another with --cache-dir.") from error
        self.new, self.saved_at = [], time.monotonic()

    @contextlib.contextmanager
    def saving(self):
        """Saves at the end of the block, which may be an error or Ctrl-C."""
        try:
            yield
        finally:
            self.save()


def pack(candidate: Candidate) -> list:
    """Converts a candidate to what JSON has."""
    points, *numbers, thumbnail = candidate
    thumbnail = base64.b64encode(thumbnail.tobytes()).decode()
    return [[round(float(x), 2) for x in points.ravel()], *(round(float(x), 4) for x in numbers), thumbnail]


def unpack(entry: list) -> Candidate:
    """Inverts `pack`. Raises TypeError or ValueError for anything else."""
    points, *numbers, thumbnail = entry
    pixels = np.frombuffer(base64.b64decode(thumbnail, validate=True), np.uint8).reshape(SIDE, SIDE, 3)
    return Candidate(np.array(points, float).reshape(5, 2), *map(float, numbers), pixels)


class LazyDetector:
    """The detector, loaded when the first photograph needs it, for all threads."""

    def __init__(self):
        self.lock, self.detector = threading.Lock(), None

    def load(self):
        """Returns a `gan.faces.detector.FaceDetector`."""
        with self.lock:
            if self.detector is None:
                setup_devices("float32")  # before TensorFlow is used
                from gan.faces.detector import FaceDetector

                self.detector = FaceDetector()
            return self.detector
