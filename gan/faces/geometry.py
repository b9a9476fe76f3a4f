"""Geometry of faces: the similarity transform that brings eyes and mouth to fixed places, and cutting out by it.

    transform = fit_cut(face.points, size=64)  # from pixels of the cut to pixels of the photograph
    aligned = cut_out(photograph, transform, size=64)

A transform is float64 (2, 3): it maps (x, y) to transform[:, :2] @ (x, y) + transform[:, 2]. Coordinates are
continuous: the center of the first pixel is (0.5, 0.5).
"""

import math

import numpy as np
from PIL import Image

# Left eye and right eye (as seen), nose, left and right corner of the mouth, as shares of the side. These are the
# means of 201 of CelebA's aligned faces cut to 108 x 108, found by gan/faces/detector.py, the left and right averaged.
TEMPLATE = np.array([[0.3195, 0.525], [0.6805, 0.525], [0.5, 0.751], [0.3425, 0.9015], [0.6575, 0.9015]])
FIXED = [0, 1, 3, 4]  # the points that are brought to their places: the nose moves as a head turns
FINEST = 2.0  # an image is reduced first to no fewer pixels than this times those of the cut


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fits the rotation, scale and shift that bring points (n, 2) nearest to others, by least squares.

    Umeyama, 1991, "Least-squares estimation of transformation parameters between two point patterns".
    """
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    size = (a**2).sum()
    return similarity(
        (a * b).sum() / size, (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / size, source.mean(axis=0),
        target.mean(axis=0),
    )  # fmt: skip


def similarity(cosine: float, sine: float, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Returns the transform that turns and scales by (cosine, sine), and brings one point to another."""
    matrix = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([matrix, target - matrix @ source])


def transform_points(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points (..., 2) by a transform."""
    return points @ transform[:, :2].T + transform[:, 2]


def invert(transform: np.ndarray) -> np.ndarray:
    """Returns the transform that undoes a transform."""
    matrix = np.linalg.inv(transform[:, :2])
    return np.column_stack([matrix, -matrix @ transform[:, 2]])


def find_scale(transform: np.ndarray) -> float:
    """Returns by how much a similarity transform enlarges."""
    return math.hypot(transform[0, 0], transform[1, 0])


def find_angle(transform: np.ndarray) -> float:
    """Returns by how many degrees a similarity transform turns, from x towards y."""
    return math.degrees(math.atan2(transform[1, 0], transform[0, 0]))


def fit_cut(points: np.ndarray, size: int) -> np.ndarray:
    """Fits the transform from the pixels of a cut, `size` wide, to those of the photograph.

    Arguments:
        points: of the face in the photograph, (5, 2) in the order of `TEMPLATE`.
    """
    return fit_similarity(TEMPLATE[FIXED] * size, points[FIXED])


def cut_out(image: Image.Image, transform: np.ndarray, size: int) -> Image.Image:
    """Cuts out size x size pixels, antialiased. Outside of the image lies its reflection.

    Arguments:
        image: of mode RGB, L, I or F.
        transform: a similarity, from pixels of the cut to pixels of the image.
    """
    corners = transform_points(transform, np.array([[0, 0], [size, 0], [0, size], [size, size]], float))
    factor = max(1, int(find_scale(transform) / FINEST))
    margin = 2 * factor  # for the bicubic filter
    left, top = (int(x) for x in np.floor(corners.min(axis=0) - margin))
    right, bottom = (int(x) for x in np.ceil(corners.max(axis=0) + margin))
    part = crop_reflected(image, left, top, right, bottom).reduce(factor)
    inner = np.column_stack([transform[:, :2], transform[:, 2] - (left, top)]) / factor
    steps = math.ceil(find_scale(inner) - 1e-9)  # pixels of the part to one of the cut, in each direction
    fine = [*inner[0, :2] / steps, inner[0, 2], *inner[1, :2] / steps, inner[1, 2]]
    side = size * steps
    return part.transform((side, side), Image.Transform.AFFINE, fine, Image.Resampling.BICUBIC).reduce(steps)


def crop_reflected(image: Image.Image, left: int, top: int, right: int, bottom: int) -> Image.Image:
    """Crops an image; outside of it lies its reflection."""
    if left >= 0 and top >= 0 and right <= image.width and bottom <= image.height:
        return image.crop((left, top, right, bottom))
    rows, columns = reflect(np.arange(top, bottom), image.height), reflect(np.arange(left, right), image.width)
    return Image.fromarray(np.asarray(image)[rows[:, None], columns])


def reflect(numbers: np.ndarray, length: int) -> np.ndarray:
    """Maps integers to 0 .. length - 1 as mirrors at both ends do: -1 to 0, -2 to 1, length to length - 1."""
    numbers = np.mod(numbers, 2 * length)
    return np.minimum(numbers, 2 * length - 1 - numbers)


def share_outside(transform: np.ndarray, size: int, width: int, height: int) -> float:
    """Returns the share of a cut, `size` wide, that lies outside of an image of that width and height."""
    centers = (np.stack(np.meshgrid(np.arange(32), np.arange(32)), axis=-1) + 0.5) * size / 32
    points = transform_points(transform, centers)
    return float(((points < 0) | (points > [width, height])).any(axis=-1).mean())
