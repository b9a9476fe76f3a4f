"""The face detector, on pages of drawn faces, and on real photographs where there are some."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan.datasets import avatars
from gan.faces import detector as detector_module
from gan.faces import geometry
from gan.faces.detector import FaceDetector, suppress, to_square

NUMBERS = [3, 7, 8, 19, 24, 28]  # of avatars that the networks, trained on photographs, take for faces
EYES = np.array([[48.5, 57], [80.5, 57]]) / 128  # where all avatars have them, as shares of the side
PHOTOS = Path(os.environ.get("PHOTOS", Path(__file__).parents[3] / "shared/data/photos"))
LANDMARKS = "training_with_face_landmarks.xml"


@pytest.fixture(scope="module")
def detector():
    """The detector, loaded once."""
    return FaceDetector()


@pytest.fixture(scope="module")
def drawn():
    """Avatars of 256 x 256 that are found."""
    pixels = avatars.draw(max(NUMBERS) + 1, 256, seed=0)[0]
    return [Image.fromarray(pixels[number]) for number in NUMBERS]


def make_page(drawn, sides, angles):
    """Pastes faces of these sizes, turned by these degrees, on one page, and returns it with their eyes (n, 2, 2)."""
    page, eyes = Image.new("RGB", (900, 620), (190, 190, 180)), []
    for i, (face, side, angle) in enumerate(zip(drawn, sides, angles, strict=True)):
        center = np.array([150 + i % 3 * 300, 160 + i // 3 * 300])
        turned = face.convert("RGBA").resize((side, side)).rotate(angle, Image.Resampling.BICUBIC, expand=True)
        left, top = (center - np.array(turned.size) // 2).tolist()
        page.paste(turned, (left, top), turned)
        radians = np.radians(-angle)
        transform = geometry.similarity(
            side * np.cos(radians), side * np.sin(radians), np.array([0.5, 0.5]),
            np.array([left, top]) + np.array(turned.size) / 2,
        )  # fmt: skip
        eyes.append(geometry.transform_points(transform, EYES))
    return page, np.array(eyes)


def match(faces, eyes):
    """The distances of the eyes of the nearest face, over the distance between the eyes, (n, 2); and its tilt, (n,)."""
    between = np.linalg.norm(eyes[:, 1] - eyes[:, 0], axis=1)
    found = np.array([face.points[:2] for face in faces])
    distances = np.linalg.norm(found[None] - eyes[:, None], axis=-1) / between[:, None, None]
    nearest = distances.max(axis=-1).argmin(axis=1)
    across = [points[:, 1] - points[:, 0] for points in (found[nearest], eyes)]
    tilts = [np.degrees(np.arctan2(each[:, 1], each[:, 0])) for each in across]
    return distances[np.arange(len(eyes)), nearest], abs(tilts[0] - tilts[1])


@pytest.mark.parametrize(
    ("sides", "angles"),
    [
        ([250, 200, 150, 120, 100, 90], [0, 0, 0, 0, 0, 0]),
        ([160, 180, 140, 160, 180, 150], [15, -15, 25, -25, 30, -30]),
    ],
)
def test_faces_on_a_page(detector, drawn, sides, angles):
    """Faces of many sizes and tilts on one page are all found, each once, with their eyes and their tilt."""
    page, eyes = make_page(drawn, sides, angles)
    faces = detector.find(np.asarray(page), 30)
    distances, tilts = match(faces, eyes)
    assert len(faces) == 6
    assert distances.max() < 0.12
    assert tilts.max() < 5
    assert all(0.8 < face.confidence <= 1 for face in faces)


def test_small_faces_are_not_sought(detector, drawn):
    """Faces that are much narrower than asked for are not found; a page without faces has none, nor a tiny one."""
    page, _ = make_page(drawn, [100] * 6, [0] * 6)
    assert detector.find(np.asarray(page), 200) == []
    assert detector.find(np.full((100, 100, 3), 128, np.uint8), 20) == []
    assert detector.find(np.full((8, 8, 3), 128, np.uint8), 20) == []


def test_same_faces_piece_by_piece(detector, drawn, monkeypatch):
    """In narrow strips and small batches, which bound the memory, the same faces are found."""
    page = np.asarray(make_page(drawn, [150] * 6, [0] * 6)[0])[:310, :501]
    whole = detector.find(page, 60)
    monkeypatch.setattr(detector_module, "PIXELS", 2000)
    monkeypatch.setattr(detector_module, "BATCH", 7)
    pieces = detector.find(page, 60)
    assert len(pieces) == len(whole) >= 2
    for one, other in zip(pieces, whole, strict=True):
        np.testing.assert_allclose(one.points, other.points, atol=1e-3)


def test_same_faces_in_threads(detector, drawn):
    """Two threads at once find what one finds alone."""
    from concurrent.futures import ThreadPoolExecutor

    pages = [np.asarray(make_page(drawn[i:] + drawn[:i], [150] * 6, [0] * 6)[0])[:310] for i in range(2)]
    alone = [detector.find(page, 60) for page in pages]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda page: detector.find(page, 60), pages))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal([face.points for face in one], [face.points for face in other])


def test_to_square():
    """The square around a box 10 wide and 20 high has its middle and its height; turned, its corner moves around it."""
    square = to_square(np.array([10.0, 0, 20, 20]), 0)
    np.testing.assert_allclose(geometry.transform_points(square, np.array([[0.0, 0], [1, 1]])), [[5, 0], [25, 20]])
    turned = to_square(np.array([10.0, 0, 20, 20]), 90)
    np.testing.assert_allclose(geometry.transform_points(turned, np.array([0.0, 0])), [25, 0], atol=1e-9)


def test_suppress():
    """Of two boxes that overlap by 9 / 11, the less confident goes; one apart stays; the most confident is first."""
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [20, 0, 30, 10]])
    assert suppress(boxes, np.array([0.5, 0.7, 0.6]), 0.5).tolist() == [1, 2]
    assert suppress(boxes, np.array([0.5, 0.7, 0.6]), 0.9).tolist() == [1, 2, 0]
    assert suppress(boxes[:0], np.zeros(0), 0.5).tolist() == []


def read_landmarks():
    """Photographs with landmarks: path -> eyes (n, 2, 2), the means of the six points around each."""
    found = {}
    for image in ElementTree.parse(PHOTOS / LANDMARKS).getroot().iter("image"):
        faces = []
        for box in image.iter("box"):
            points = {int(p.get("name")): (int(p.get("x")), int(p.get("y"))) for p in box.iter("part")}
            faces.append([np.mean([points[i] for i in numbers], axis=0) for numbers in (range(36, 42), range(42, 48))])
        found[PHOTOS / image.get("file")] = np.array(faces)
    return found


@pytest.mark.skipif(not (PHOTOS / LANDMARKS).exists(), reason="needs photographs with landmarks, named by PHOTOS")
@pytest.mark.parametrize(("angle", "lost"), [(0, 0), (30, 1), (-15, 1)])
def test_photographs_with_landmarks(detector, angle, lost):
    """Of 18 faces all are found, turned all but one, nine in ten eyes within 12% of the distance between them."""
    distances, tilts = [], []
    for path, eyes in read_landmarks().items():
        image = Image.open(path).convert("RGB")
        turned = image.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        radians = np.radians(-angle)
        transform = geometry.similarity(
            np.cos(radians), np.sin(radians), np.array(image.size) / 2, np.array(turned.size) / 2
        )
        found = match(detector.find(np.asarray(turned), 0.8 * 30), geometry.transform_points(transform, eyes))
        distances.append(found[0])
        tilts.append(found[1])
    distances, tilts = np.concatenate(distances), np.concatenate(tilts)
    near = distances.max(axis=1) < 0.4
    assert len(near) == 18
    assert (~near).sum() <= lost
    assert np.percentile(distances[near], 90) < 0.12
    assert np.percentile(tilts[near], 90) < 5


@pytest.mark.skipif(not (PHOTOS / "dogs.jpg").exists(), reason="needs photographs, named by PHOTOS")
def test_dogs_have_no_faces(detector):
    """Of two dogs none is a face."""
    assert detector.find(np.asarray(Image.open(PHOTOS / "dogs.jpg").convert("RGB")), 0.8 * 30) == []
