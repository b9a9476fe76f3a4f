"""Whether images are aligned, and what becomes of their faces."""

import dataclasses
import errno
import json

import numpy as np
import pytest
from PIL import Image

import data
from gan import images
from gan.datasets import Request, cache, open_source
from gan.errors import RunError, UsageError
from gan.faces import alignment, geometry, search
from gan.faces.detector import Face
from gan.faces.search import Photograph
from gan.faces.selection import Candidate

RNG = np.random.default_rng(0)


class Detector:
    """Finds the faces that a test drew: squares of the highest red, level, whose cuts are as wide as these."""

    calls = 0

    def find(self, pixels, least):
        Detector.calls += 1
        faces, red = [], pixels[..., 0] == 255
        while red.any():
            top, left = np.argwhere(red)[0]
            side = int(red[top, left:].argmin()) or red.shape[1] - left
            red[top : top + side, left : left + side] = False
            if side >= least:
                faces.append(Face(geometry.TEMPLATE * side + [left, top], 0.99))
        return faces


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    """Puts a `Detector` in the place of the real one, and finds everything sharp."""
    Detector.calls = 0
    monkeypatch.setattr(search.LazyDetector, "load", lambda self: Detector())
    monkeypatch.setattr(search, "measure_sharpness", lambda pixels: 1.0)


def photo(*squares, size=(200, 160), textured=False):
    """Draws a photograph with red squares (left, top, side), and something of its own in each."""
    pixels = RNG.integers(0, 200, (size[1], size[0], 3)).astype(np.uint8)
    for left, top, side in squares:
        pixels[top : top + side, left : left + side] = [255, 0, 0]
        if textured:
            block = RNG.integers(0, 256, (side // 10 + 1, side // 10 + 1, 2)).astype(np.uint8)
            texture = block.repeat(10, axis=0).repeat(10, axis=1)[:side, :side]
            pixels[top : top + side, left : left + side, 1:] = texture
    return Image.fromarray(pixels)


def save(folder, photos):
    """Saves photographs as 0.png, 1.png and so on, and returns the folder's path as --data has it."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(photos):
        image.save(folder / f"{i}.png")
    return str(folder)


def decide(folder, tmp_path, **settings):
    source = open_source(Request(folder, 64))
    return alignment.decide(source, range(len(source.names)), min_face=48, folder=tmp_path, **settings)


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (lambda: [photo((10 + 8 * i, 5 + 5 * i, 60 + 4 * i)) for i in range(10)], True),  # in different places
        (lambda: [photo((60, 40, 80)) for _ in range(10)], False),  # in one place
        (lambda: [photo((60 + i % 2, 40, 80 + i % 3)) for i in range(10)], False),  # nearly
        (lambda: [photo((10 + 8 * i, 5 + 5 * i, 60 + 4 * i) if i < 3 else (0, 0, 5)) for i in range(10)], False),  # few
        (lambda: [photo() for _ in range(10)], False),
        (lambda: [photo((2 + i, 0, 40), size=(80, 70)) for i in range(10)], False),  # too small for photographs
    ],
)
def test_decide(photos, expected, tmp_path):
    """Photographs are aligned where most have a face, in different places; small images are not even searched."""
    decision = decide(save(tmp_path / "photos", photos()), tmp_path)
    assert decision.align is expected
    small = photos()[0].width < 96
    assert (Detector.calls == 0) is small
    assert bool(decision.reason) is not small


def test_a_decision_is_made_once(tmp_path):
    """The cache knows the answer until the images are others, or its file is damaged."""
    folder = save(tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60)) for i in range(10)])
    first = decide(folder, tmp_path)
    (path,) = tmp_path.glob("alignment-*.json")
    for each in tmp_path.glob("faces-found-*"):
        each.unlink()
    calls = Detector.calls
    assert decide(folder, tmp_path) == first and Detector.calls == calls
    path.write_text("{")
    assert decide(folder, tmp_path) == first and Detector.calls > calls
    save(tmp_path / "photos", [photo((60, 40, 80)) for _ in range(10)])
    assert decide(folder, tmp_path).align is False


def test_decided_anew_where_other_files_can_be_read(tmp_path, load):
    """Photographs that --max-pixels refuses decide nothing for a command that reads them."""
    folder = save(tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60)) for i in range(10)])
    with pytest.raises(RunError):
        load(folder, 32, align="auto", max_pixels=100)
    assert load(folder, 32, align="auto").report["aligned"]


def test_where_nothing_can_be_searched(tmp_path, monkeypatch):
    """Without the detector images are left as they are, with the reason, until it is installed."""
    folder = save(tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60)) for i in range(10)])

    def load(self):
        raise UsageError("pip install mtcnn")

    with monkeypatch.context() as patch:
        patch.setattr(search.LazyDetector, "load", load)
        decision = decide(folder, tmp_path)
        assert not decision.align and "pip install mtcnn" in decision.reason
        with pytest.raises(UsageError, match="pip install mtcnn"):
            align(folder, tmp_path)
    assert decide(folder, tmp_path).align
    (tmp_path / "file").touch()
    decision = decide(folder, tmp_path / "file")
    assert not decision.align and "--cache-dir" in decision.reason


def test_one_photograph_has_no_place(tmp_path):
    """The faces of one photograph do not lie at one place."""
    assert decide(save(tmp_path / "photos", [photo((60, 40, 80))]), tmp_path).align


def test_only_a_sample_is_searched(tmp_path, monkeypatch):
    """Of many images no more than the sample are read."""
    monkeypatch.setattr(alignment, "SAMPLE", 7)
    decide(save(tmp_path / "photos", [photo((60, 40, 80)) for _ in range(20)]), tmp_path)
    assert Detector.calls == 7


def align(folder, tmp_path, size=64, min_face=48, keep_copies=True):
    source = open_source(Request(folder, 64))
    return alignment.align(
        source, range(len(source.names)), size, min_face=min_face, keep_copies=keep_copies, folder=tmp_path
    )


def test_align(tmp_path):
    """Each face becomes an image whose pixels are those of its square; what is not used is named with its place."""
    folder = save(tmp_path / "photos", [photo((20, 30, 64), (120, 40, 70)), photo((50, 10, 40)), photo()])
    (tmp_path / "photos/damaged.jpg").write_bytes(b"\xff\xd8\xff damaged")
    faces = align(folder, tmp_path)
    assert faces.names == ["0.png at 20,30 (64 pixels)", "0.png at 120,40 (70 pixels)", "damaged.jpg"]
    reasons = dict(faces.left_out)
    assert list(reasons) == ["1.png at 50,10 (40 pixels)", "2.png"]
    assert "--min-face 48" in reasons["1.png at 50,10 (40 pixels)"]
    contents = set()
    for i in range(2):
        image, info, content = faces.read(i)
        assert image.size == (64, 64) and info.size == (200, 160)
        assert abs(np.asarray(image)[2:-2, 2:-2].astype(int) - [255, 0, 0]).max() <= 2
        contents.add(content)
    assert len(contents) == 1  # that of their photograph, so that they are held out together
    with pytest.raises(images.UnreadableImage):
        faces.read(2)


def test_a_photograph_is_read_once(tmp_path, monkeypatch):
    """Its faces are cut out of one image, which is in memory no longer than the next ones."""
    folder = save(tmp_path / "photos", [photo((20, 30, 64), (120, 40, 70)) for _ in range(2)])
    calls, open_image = [], images.open_image
    faces = align(folder, tmp_path)
    monkeypatch.setattr(images, "open_image", lambda *args: calls.append(args) or open_image(*args))
    for i in range(4):
        faces.read(i)
    assert len(calls) == 2


def candidate(**changes):
    """A good candidate, whose thumbnail is its own."""
    thumbnail = RNG.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return Candidate(RNG.normal(size=(5, 2)), 0.99, 60.0, 0.0, 0.0, 1.0, thumbnail)._replace(**changes)


def test_choose_faces_and_copies():
    """A copy is left out, unless copies are kept; a copy of a face that is not used is used."""
    first, blurred = candidate(), candidate(sharpness=0.1)
    copy, copy_of_blurred = candidate(thumbnail=first.thumbnail), candidate(thumbnail=blurred.thumbnail)
    photographs = [Photograph([first, blurred]), Photograph([copy, copy_of_blurred]), Photograph([])]
    entries, left_out = alignment.choose_faces(photographs, 48, keep_copies=False)
    assert [(i, points is first.points) for i, points in entries] == [(0, True), (1, False)]
    assert entries[1][1] is copy_of_blurred.points
    assert [i for i, _, _ in left_out] == [0, 2, 1]
    assert "copy" in left_out[-1][2] and "without a face" in left_out[1][2]
    entries, _ = alignment.choose_faces(photographs, 48, keep_copies=True)
    assert len(entries) == 3


def test_load(tmp_path):
    """`data.load` counts photographs, faces and what is left out, and gives the same from the cache."""
    folder = save(
        tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60), (150, 0, 20), textured=True) for i in range(10)]
    )
    for _ in range(2):
        faces = data.load(folder, 32, align="auto", cache_dir=tmp_path / "cache")
        assert faces.images.shape == (10, 32, 32, 3)
        assert faces.report["aligned"] is True and faces.report["crop"] == alignment.ALIGNED
        assert (faces.report["align"], faces.report["used"]) == ("yes", 10)
        assert (faces.report["found"], faces.report["chosen"]) == (10, 10)
        assert "10 faces" in "\n".join(faces.describe())
    calls = Detector.calls
    kept = data.load(folder, 32, align="yes", min_face=16, cache_dir=tmp_path / "cache")
    assert Detector.calls > calls and kept.report["skipped"].get("left_out", 0) + len(kept.images) == 20


def test_load_leaves_others_alone(tmp_path):
    """Where nothing is to be aligned, "auto" gives the images and the cache of "no"."""
    folder = save(tmp_path / "photos", [photo((60, 40, 80)) for _ in range(10)])
    left = data.load(folder, 32, align="no", cache_dir=tmp_path / "cache")
    auto = data.load(folder, 32, align="auto", cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(left.images, auto.images)
    assert left.report["key"] == auto.report["key"] and auto.report["align"] == "no" and left.digest == auto.digest


def test_load_of_several_sources(tmp_path):
    """Photographs are aligned, and images that are aligned are not, in one run; numbers choose among all."""
    photos = save(tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60), textured=True) for i in range(10)])
    aligned = save(tmp_path / "aligned", [photo(size=(64, 64)) for _ in range(6)])
    settings = {"align": "auto", "cache_dir": tmp_path / "cache"}
    faces = data.load([photos, aligned], 32, **settings)
    assert faces.images.shape[0] == 16 and faces.report["aligned"] and faces.report["align"] == "auto"
    alone = data.load(aligned, 32, **settings)
    np.testing.assert_array_equal(faces.images[10:], alone.images)
    assert len(data.load([photos, aligned], 32, limit=12, **settings).images) == 12
    assert len(data.load([photos, aligned], 32, sample=8, seed=1, **settings).images) == 8
    assert any(line.startswith("photos: faces found in 10 of 10") for line in faces.describe())


def test_labels_of_faces(tmp_path):
    """A face has the labels of its photograph, of which there may be several faces, and none of another's."""
    squares = [[(10, 5 + 5 * i, 60), (110, 20, 61 + i)] for i in range(6)]
    squares[2] = []
    photos = save(tmp_path / "photos", [photo(*each, textured=True) for each in squares])
    other = save(tmp_path / "other", [photo((20 + i, 30, 64), textured=True) for i in range(4)])
    rows = [f"photos/{i}.png,{i % 2},{'ab'[i // 4]}" for i in range(5)] + [f"other/{i}.png,1,c" for i in range(4)]
    (tmp_path / "list.csv").write_text("\n".join(["file,Happy,hair", *rows]))
    settings = {"align": "yes", "labels": str(tmp_path / "list.csv"), "cache_dir": tmp_path / "cache"}
    expected = [[0, 0]] * 2 + [[1, 0]] * 4 + [[0, 1]] * 2 + [[-1, -1]] * 2
    for _ in range(2):  # and from the cache
        faces = data.load([photos, other], 32, **settings)
        assert faces.labels.codes.tolist() == expected + [[1, 2]] * 4 and "origins" not in faces.report
        assert [reason for name, reason in faces.skipped if name == "photos/5.png"] == ["no label"] * 2
        assert [name for name, reason in faces.skipped if reason == "no label"] == ["photos/5.png"] * 2
        counts = [line for line in faces.describe() if "faces; left out" in line]
        assert counts[0].startswith("14 faces") and "no label" not in counts[0]  # which 14 includes
        assert data.load(photos, 32, **settings).labels.codes.tolist() == expected


def test_all_reasons_are_counted(tmp_path, monkeypatch):
    """The summary has each reason, and photographs are what the share of unreadable ones is of."""
    folder = save(tmp_path / "photos", [photo((20 + i, 30, 64), textured=True) for i in range(10)])
    for i in range(3):
        (tmp_path / f"photos/damaged-{i}.jpg").write_bytes(b"\xff\xd8\xff damaged")
    for i in range(50):
        (tmp_path / f"photos/empty-{i}.png").write_bytes((tmp_path / "photos/0.png").read_bytes())
    reasons = [f"reason {letter}" for letter in "abcdefghi"]
    monkeypatch.setattr(alignment.selection, "find_flaw", lambda *_: reasons.pop() if reasons else "")
    faces = data.load(folder, 32, align="yes", cache_dir=tmp_path / "cache")
    lines = faces.describe()
    assert faces.report["skipped"]["unreadable"] == 3  # of 63, but of fewer faces
    assert sum(f"(reason {letter})" in "\n".join(lines) for letter in "abcdefghi") == 9


def test_load_of_photographs_without_faces(tmp_path):
    """Where no face can be used, the error says why."""
    folder = save(tmp_path / "photos", [photo() for _ in range(3)])
    with pytest.raises(RunError, match=r"without a face.*--align no"):
        data.load(folder, 32, align="yes", cache_dir=tmp_path / "cache")
    with pytest.raises(UsageError, match="--crop 50"):
        data.load(folder, 32, align="yes", crop=50, cache_dir=tmp_path / "cache")


def test_built_in_datasets_are_not_searched(tmp_path):
    """The avatars come through "auto" without a search."""
    assert len(data.load("avatars", 32, limit=20, align="auto", cache_dir=tmp_path).images) == 20
    assert Detector.calls == 0


def test_wide_photographs(tmp_path):
    """Photographs of 16 bits are cut out with all their bits, and scaled by the range of all."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        values = np.full((120, 120), 4095 * i // 2, np.uint16)
        Image.fromarray(values).save(folder / f"{i}.png")
    source = open_source(Request(str(folder), 64))
    points = geometry.TEMPLATE * 64 + 20
    entry = Candidate(points, 0.99, 64.0, 0.0, 0.0, 1.0, np.zeros((8, 8, 3), np.uint8))
    found = [Photograph([entry], size=(120, 120))] * 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "search", lambda *_, **__: found)
        faces = alignment.align(source, range(2), 32, min_face=48, keep_copies=True, folder=tmp_path)
    image, info, _ = faces.read(1)
    assert image.mode == "I" and np.asarray(image).min() == np.asarray(image).max() == 2047
    cache.build(tmp_path / f"{'0' * 24}.npy", faces, 32, numbers=range(2))
    report = json.loads((tmp_path / f"{'0' * 24}.json").read_text())[0]
    assert report["used"] == 2 and dataclasses.is_dataclass(faces) and info.size == (120, 120)


def test_align_largest():
    """Of several faces the largest is cut out; without one, None is returned."""
    cut = alignment.align_largest(photo((10, 10, 50), (90, 50, 90)), 32)
    assert abs(np.asarray(cut)[2:-2, 2:-2].astype(int) - [255, 0, 0]).max() <= 2
    assert alignment.align_largest(photo(), 32) is None


@pytest.mark.parametrize("start", ["small", "damaged"])
def test_the_first_images_do_not_decide(tmp_path, start):
    """Where the first third of a folder is of another kind, the other images decide."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(30):
        photo((10 + 4 * i, 5 + 3 * i, 60)).save(folder / f"{i:02}.png")
    for i in range(10):
        if start == "small":
            photo(size=(40, 40)).save(folder / f"{i:02}.png")
        else:
            (folder / f"{i:02}.png").write_bytes(b"damaged")
    assert decide(str(folder), tmp_path).align


def test_no_image_that_can_be_read(tmp_path):
    """The reason says so, and it is decided again when they can be read."""
    folder = save(tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60)) for i in range(10)])
    source = open_source(Request(folder, 64, max_pixels=100))
    decision = alignment.decide(source, range(10), min_face=48, folder=tmp_path)
    assert not decision.align and "None of 10 images" in decision.reason
    assert decide(folder, tmp_path).align


def test_failures_that_may_pass(tmp_path, monkeypatch):
    """Neither the decision nor the faces are made from what could be read before a share went away."""
    folder = save(tmp_path / "photos", [photo((10 + 8 * i, 5 + 5 * i, 60)) for i in range(10)])

    def fail(path):
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(images, "_read_file", fail)
        for work in (decide, align):
            with pytest.raises(RunError, match=r"0\.png in photos cannot be read now \(stale file handle\)"):
                work(folder, tmp_path)
    assert not list(tmp_path.glob("alignment-*")) and decide(folder, tmp_path).align
