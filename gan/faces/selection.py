"""Selection of faces: which are large, sharp, whole and confident enough to be trained on, and which are copies.

    reason = find_flaw(candidate, min_face=48)  # "" where the face is used
    copies = mark_duplicates(thumbnails)        # bool (n,)

The limits were set by eye, on 814 faces of press photographs.
"""

from typing import NamedTuple

import numpy as np

CONFIDENT = 0.9  # of the detector
SHARP = 0.27  # of `measure_sharpness`
MOST_OUTSIDE = 0.2  # share of a cut that may lie outside of the photograph
PROFILE = 0.14  # share of the cut's side by which the nose may lie beside its middle: an eye is 0.18 beside it
COPY = 7.0  # root of the mean squared difference of two thumbnails, of 0..255, up to which one is a copy
SHARPNESS_SIDE = 64  # of the cuts that sharpness is measured on, in pixels
CORE = (slice(25, 61), slice(13, 51))  # rows and columns of eyes, nose and mouth in these
BLOCK = 1000  # thumbnails compared at once


class Candidate(NamedTuple):
    """A face that was found in a photograph.

    Arguments:
        points: float64 (5, 2), as of `gan.faces.detector.Face`.
        confidence: of the detector, to 1.
        side: of its cut, in pixels of the photograph.
        outside: share of its cut that lies outside of the photograph.
        nose: by how much of the cut's side the nose lies beside its middle.
        sharpness: as of `measure_sharpness`.
        thumbnail: uint8 (8, 8, 3) of its cut.
    """

    points: np.ndarray
    confidence: float
    side: float
    outside: float
    nose: float
    sharpness: float
    thumbnail: np.ndarray


def find_flaw(candidate: Candidate, min_face: int) -> str:
    """Returns why a face is not used, or "". What makes others meaningless comes first."""
    if candidate.confidence < CONFIDENT:
        return "found with little confidence"
    if candidate.side < min_face:
        return f"a face smaller than --min-face {min_face}"
    if candidate.outside > MOST_OUTSIDE:
        return "a face cut off by the edge"
    if candidate.nose > PROFILE:
        return "a face in profile"
    if candidate.sharpness < SHARP:
        return "a blurred face"
    return ""


def measure_sharpness(pixels: np.ndarray) -> float:
    """Measures how sharp eyes, nose and mouth are, whatever their contrast: the deviation of the Laplacian over theirs.

    Arguments:
        pixels: gray, (64, 64), of an aligned face.
    """
    gray = pixels.astype(np.float64)
    laplacian = 4 * gray
    for axis in (0, 1):
        laplacian -= np.roll(gray, 1, axis) + np.roll(gray, -1, axis)
    contrast = gray[CORE].std()
    return float(np.sqrt((laplacian[CORE] ** 2).mean()) / contrast) if contrast else 0.0


def mark_duplicates(thumbnails: np.ndarray) -> np.ndarray:
    """Finds the faces that are copies of an earlier one which is not a copy itself: bool (n,).

    Arguments:
        thumbnails: float32 (n, d), as of `gan.thumbnails.make_thumbnails`.
    """
    limit = COPY**2 * thumbnails.shape[1]
    squares = (thumbnails**2).sum(axis=1)
    copies = np.zeros(len(thumbnails), bool)
    for start in range(0, len(thumbnails), BLOCK):
        block = slice(start, min(start + BLOCK, len(thumbnails)))
        for other in range(0, block.stop, BLOCK):
            earlier = slice(other, min(other + BLOCK, block.stop))
            products = thumbnails[block] @ thumbnails[earlier].T
            near = squares[block, None] + squares[earlier] - 2 * products <= limit
            if earlier.start < block.start:
                copies[block] |= (near & ~copies[earlier]).any(axis=1)
            else:  # the block itself, whose rows depend on the rows before
                for row in np.flatnonzero(~copies[block]):
                    copies[start + row] = (near[row, :row] & ~copies[start : start + row]).any()
    return copies
