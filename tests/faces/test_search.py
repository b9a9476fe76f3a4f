"""The search for faces in all photographs, with a detector that finds what the test says."""

import json

import numpy as np
import pytest
from PIL import Image

from gan.datasets import Request, open_source
from gan.errors import UsageError
from gan.faces import geometry, search
from gan.faces.detector import Face
from gan.faces.search import Photograph


class Detector:
    """Finds one level face in the middle of each photograph, half as wide as that; counts its calls."""

    def __init__(self):
        self.calls, self.limit = 0, 10**9

    def find(self, pixels, least):
        self.calls += 1
        if self.calls > self.limit:
            raise KeyboardInterrupt
        height, width, _ = pixels.shape
        side = min(height, width) / 2
        return [Face(geometry.TEMPLATE * side + (np.array([width, height]) - side) / 2, 0.987654321)]


@pytest.fixture
def detector(monkeypatch):
    """Puts a `Detector` in the place of the real one."""
    detector = Detector()
    monkeypatch.setattr(search.LazyDetector, "load", lambda self: detector)
    return detector


@pytest.fixture
def source(tmp_path):
    """Ten photographs and a file that is damaged, in a folder."""
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        Image.fromarray(rng.integers(0, 256, (100, 120, 3), np.uint8)).save(tmp_path / f"photos/{i}.png")
    (tmp_path / "photos/damaged.jpg").write_bytes(b"\xff\xd8\xff damaged")
    return open_source(Request(str(tmp_path / "photos"), 64))


def run(source, tmp_path, min_face=48):
    return search.search(source, range(len(source.names)), min_face=min_face, folder=tmp_path)


def test_search(source, detector, tmp_path):
    """Each photograph has its face, with where and how large it is; the damaged one has a reason."""
    *found, damaged = run(source, tmp_path)
    assert damaged.candidates == [] and damaged.reason
    assert len(found) == 10
    for photograph in found:
        (candidate,) = photograph.candidates
        assert photograph.size == (120, 100)
        assert candidate.side == pytest.approx(50, abs=0.01)
        assert candidate.confidence == pytest.approx(0.987654321, abs=1e-4)
        assert candidate.outside == 0 and candidate.nose < 0.001
        assert candidate.thumbnail.shape == (8, 8, 3)


def test_a_second_search_remembers(source, detector, tmp_path):
    """What was found once is found again without the detector, and is the same; another least size is sought anew."""
    first = run(source, tmp_path)
    assert detector.calls == 10
    again = run(source, tmp_path)
    assert detector.calls == 10
    for one, other in zip(first, again, strict=True):
        assert one.reason == other.reason and one.size == other.size
        assert search_entries(one) == search_entries(other)
    run(source, tmp_path, min_face=30)
    assert detector.calls == 20


def search_entries(photograph: Photograph) -> list:
    return [search.pack(candidate) for candidate in photograph.candidates]


def test_a_stopped_search_goes_on(source, detector, tmp_path, monkeypatch):
    """After Ctrl-C, what was found before is not sought again."""
    monkeypatch.setattr(search, "CHUNK", 1)
    detector.limit = 4
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path)
    (path,) = tmp_path.glob("faces-found-*.json")
    known = len(json.loads(path.read_text()))
    assert 1 <= known <= 4
    detector.calls, detector.limit = 0, 100
    run(source, tmp_path)
    assert detector.calls == 10 - known


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "null"])
def test_a_damaged_memory_is_begun_anew(source, detector, tmp_path, content):
    """A file that is no memory, or has entries that are none, does not stop the search."""
    run(source, tmp_path)
    (path,) = tmp_path.glob("faces-found-*.json")
    keys = list(json.loads(path.read_text()))
    path.write_text(content)
    if content.startswith('{"x'):
        path.write_text(json.dumps({keys[0]: [[1, 2]], keys[1]: "x", keys[2]: [[[1] * 10, 1, 1, 1, 1, 1, "AA=="]]}))
    found = run(source, tmp_path)
    assert sum(len(photograph.candidates) for photograph in found) == 10


def test_what_others_found_is_kept(source, detector, tmp_path):
    """What another process wrote meanwhile stays in the file."""
    run(source, tmp_path)
    (path,) = tmp_path.glob("faces-found-*.json")
    memory = search.Memory(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"other": []}))
    memory.add("new", [])
    memory.save()
    assert {"other", "new"} <= json.loads(path.read_text()).keys()


def test_a_cache_that_cannot_be_written(source, detector, tmp_path):
    """The error names the folder and the flag."""
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--cache-dir"):
        run(source, tmp_path / "file")


def test_photographs_of_16_bits(detector, tmp_path):
    """A photograph of 16 bits is searched, scaled by its own range."""
    (tmp_path / "photos").mkdir()
    values = np.random.default_rng(0).integers(0, 4096, (100, 100)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "photos/0.png")
    (photograph,) = run(open_source(Request(str(tmp_path / "photos"), 64)), tmp_path)
    assert photograph.candidates[0].sharpness > 0.5
    assert np.ptp(photograph.candidates[0].thumbnail) > 10
