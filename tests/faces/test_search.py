"""The search for faces in all photographs, with a detector that finds what the test says."""

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


def find_file(tmp_path):
    (path,) = tmp_path.glob("faces-found-*")
    return path


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
    # One thread, as among several the one that is interrupted may have the first photograph.
    monkeypatch.setattr("gan.datasets.cache.count_cores", lambda: 1)
    monkeypatch.setattr(search, "CHUNK", 1)
    detector.limit = 4
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path)
    assert len(search.Memory(find_file(tmp_path)).known) == 4
    detector.calls, detector.limit = 0, 100
    run(source, tmp_path)
    assert detector.calls == 6


@pytest.mark.parametrize("content", [b"", b"\xff\n\n[]", b"KEY\n", b"KEY []x", b"KEY null", b"KEY [[1, 2]]", None])
def test_a_damaged_file_is_searched_again(source, detector, tmp_path, content):
    """Lines that are not those of a photograph do not stop the search, and it is found again in the next ones."""
    run(source, tmp_path)
    path = find_file(tmp_path)
    last = path.read_bytes().splitlines()[-1]
    path.write_bytes(last[:-20] if content is None else content.replace(b"KEY", last.partition(b" ")[0]))
    for calls in (10 + 10, 10 + 10):
        found = run(source, tmp_path)
        assert sum(len(photograph.candidates) for photograph in found) == 10
        assert detector.calls == calls


def test_what_others_found_is_kept(source, detector, tmp_path):
    """What another process adds meanwhile stays in the file; what is known is not added again."""
    run(source, tmp_path)
    path = find_file(tmp_path)
    one, other = search.Memory(path), search.Memory(path)
    one.add("one", [])
    other.add("other", [])
    one.save()
    other.save()
    content = path.read_bytes()
    found = search.Memory(path)
    assert found.read("one") == found.read("other") == [] and found.read("third") is None
    run(source, tmp_path)
    assert path.read_bytes() == content


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
    Image.fromarray(np.full((100, 100), 1e9, np.float32)).save(tmp_path / "photos/1.tif")  # of no known range
    _, unreadable = run(open_source(Request(str(tmp_path / "photos"), 64)), tmp_path)
    assert unreadable.reason and not unreadable.candidates
