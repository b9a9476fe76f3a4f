"""Face detector: finds faces in photographs, turned by up to 45 degrees, and their eyes, noses and mouths.

    detector = FaceDetector()
    faces = detector.find(photograph, least=48)  # uint8 (h, w, 3) -> list of `Face`

The networks are those of MTCNN, arXiv:1604.02878: PNet proposes squares at many sizes, RNet and ONet test and correct
them. Here RNet also looks at each square turned to both sides. ONet looks three times: after the first, the face stands
upright in the middle of the square, as in most photographs that ONet was trained on.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from gan.faces import geometry
from gan.faces.geometry import FIXED
from gan.faces.networks import NETWORKS, load_network

CELL, STRIDE = 12, 2  # what PNet sees at one place, and the way to the next, in pixels
SHRINK = math.sqrt(0.5)  # from one size of the image to the next
RNET_SIDE, ONET_SIDE = 24, 48  # of the squares that these networks get, in pixels
ANGLES = (0.0, -20.0, 20.0)  # degrees by which squares are turned for RNet
PNET_CONFIDENCE, RNET_CONFIDENCE = 0.6, 0.6  # the least; mtcnn has 0.6, 0.7, and 0.8 for ONet
ONET_CONFIDENCE = (0.4, 0.6, 0.8)  # of its looks, one after the other
# Of two squares that overlap more, the less confident is dropped: those of one size, of all sizes, at last.
OVERLAP_OF_SIZE, OVERLAP, OVERLAP_OF_FACES = 0.5, 0.7, 0.4
PROPOSALS = 1000  # the most squares of one photograph
# What a network gets at once, so that memory does not grow with the photograph: pixels of a strip for PNet, squares.
PIXELS, BATCH = 1 << 18, 256
# Where the points lie in the squares that ONet was trained on, as shares of the side.
ONET_TEMPLATE = np.array([[0.31, 0.38], [0.69, 0.38], [0.5, 0.58], [0.35, 0.77], [0.65, 0.77]])
MIRRORED = [1, 0, 2, 4, 3]  # the numbers of the points in a mirrored face


class Face(NamedTuple):
    """A face in a photograph.

    Arguments:
        points: float64 (5, 2), x and y of left eye and right eye (as seen), nose, left and right corner of the mouth,
            in pixels.
        confidence: from `ONET_CONFIDENCE[-1]` to 1.
    """

    points: np.ndarray
    confidence: float


class FaceDetector:
    """Finds faces. Several threads may use it at once. Raises UsageError where mtcnn is not installed."""

    def __init__(self):
        pnet, rnet, onet = map(load_network, NETWORKS)
        self.pnet = compile_network(pnet, (1, None, None, 3))
        self.rnet = compile_network(rnet, (None, RNET_SIDE, RNET_SIDE, 3))
        self.onet = compile_network(onet, (None, ONET_SIDE, ONET_SIDE, 3))

    def find(self, pixels: np.ndarray, least: float) -> list[Face]:
        """Finds the faces of a photograph, uint8 (h, w, 3), that are about `least` pixels wide, or wider."""
        pyramid = Pyramid(pixels)
        return self.find_points(pyramid, self.refine(pyramid, self.propose(pyramid, max(least, CELL))))

    def propose(self, pyramid: "Pyramid", least: float) -> np.ndarray:
        """Finds boxes (n, 4) that may have a face: left, top, right and bottom."""
        boxes, scores, scale = [np.zeros((0, 4))], [np.zeros(0)], CELL / least
        while min(pyramid.width, pyramid.height) * scale >= CELL:
            level = pyramid.resize(round(pyramid.width * scale), round(pyramid.height * scale))
            offsets, confidence = self.scan(level)
            rows, columns = np.nonzero(confidence[..., 1] > PNET_CONFIDENCE)
            places = STRIDE * np.stack([columns, rows, columns, rows], axis=1) + [0, 0, CELL, CELL]
            found = (places + CELL * offsets[rows, columns]) / scale
            kept = suppress(found, confidence[rows, columns, 1], OVERLAP_OF_SIZE)
            boxes.append(found[kept])
            scores.append(confidence[rows, columns, 1][kept])
            scale *= SHRINK
        boxes, scores = np.concatenate(boxes), np.concatenate(scores)
        return boxes[suppress(boxes, scores, OVERLAP)[:PROPOSALS]]

    def scan(self, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Applies PNet at all places of an image, uint8 (h, w, 3), strip by strip: offsets and confidence by row."""
        height = max(2 * CELL, PIXELS // level.shape[1] // STRIDE * STRIDE)
        tops = range(0, len(level) - CELL + 1, height - (CELL - STRIDE))
        offsets, confidence = zip(*(self.pnet(level[None, top : top + height]) for top in tops), strict=True)
        return np.concatenate(offsets, axis=1)[0], np.concatenate(confidence, axis=1)[0]

    def refine(self, pyramid: "Pyramid", boxes: np.ndarray) -> list[np.ndarray]:
        """Returns the squares that have a face, upright or turned: transforms from ONet's pixels to the image's."""
        squares = [to_square(box, angle) for angle in ANGLES for box in boxes]  # from the unit square
        if not squares:
            return []
        offsets, confidence = self.rnet(pyramid.cut(squares, RNET_SIDE))
        scores = confidence[:, 1]
        found = [
            geometry.similarity(*shift_square(square, offset)) if score > RNET_CONFIDENCE else None
            for square, offset, score in zip(squares, offsets, scores, strict=True)
        ]
        numbers = [i for i, square in enumerate(found) if square is not None]
        kept = suppress(bounding_boxes([found[i] for i in numbers]), scores[numbers], OVERLAP)
        return [found[numbers[i]] for i in kept]

    def find_points(self, pyramid: "Pyramid", squares: list[np.ndarray]) -> list[Face]:
        """Finds the points of the faces in squares, and drops squares that have none."""
        faces = []
        for least in ONET_CONFIDENCE:
            faces = [face for face in self.look(pyramid, squares) if face.confidence > least]
            squares = [geometry.fit_similarity(ONET_TEMPLATE[FIXED], face.points[FIXED]) for face in faces]
        kept = suppress(bounding_boxes(squares), np.array([face.confidence for face in faces]), OVERLAP_OF_FACES)
        return [faces[i] for i in kept]

    def look(self, pyramid: "Pyramid", squares: list[np.ndarray]) -> list[Face]:
        """Finds five points in each square: the mean of what ONet sees in it and in its mirror image."""
        if not squares:
            return []
        patches = pyramid.cut(squares, ONET_SIDE)
        _, points, confidence = self.onet(np.concatenate([patches, patches[:, :, ::-1]]))
        seen, mirrored = np.split(points.reshape(-1, 2, 5).swapaxes(1, 2).astype(np.float64), 2)
        points = (seen + mirrored[:, MIRRORED] * [-1, 1] + [1, 0]) / 2
        confidence = np.minimum(*np.split(confidence[:, 1], 2))
        return [
            Face(geometry.transform_points(square, each), float(score))
            for square, each, score in zip(squares, points, confidence, strict=True)
        ]


class Pyramid:
    """A photograph at halves, quarters, ... of its size, from which small parts are cut without aliasing.

    Arguments:
        pixels: uint8 (h, w, 3).
    """

    def __init__(self, pixels: np.ndarray):
        self.levels = [Image.fromarray(pixels)]
        self.width, self.height = self.levels[0].size

    def find_level(self, scale: float) -> tuple[Image.Image, int]:
        """Returns the smallest image for parts that are reduced by `scale`, and by how much it is reduced itself."""
        number = int(math.log2(max(1.0, scale)))
        while len(self.levels) <= number:
            self.levels.append(self.levels[-1].reduce(2))
        return self.levels[number], 2**number

    def resize(self, width: int, height: int) -> np.ndarray:
        """Returns the whole photograph, uint8 (height, width, 3)."""
        image, _ = self.find_level(min(self.width / width, self.height / height))
        return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))

    def cut(self, squares: list[np.ndarray], side: int) -> np.ndarray:
        """Cuts out squares, uint8 (n, side, side, 3), gray outside of the photograph.

        Arguments:
            squares: transforms from the unit square to the pixels of the photograph.
        """
        patches = np.empty((len(squares), side, side, 3), np.uint8)
        for patch, square in zip(patches, squares, strict=True):
            image, factor = self.find_level(geometry.find_scale(square) / side)
            matrix = np.column_stack([square[:, :2] / side, square[:, 2]]) / factor
            patch[:] = image.transform(
                (side, side), Image.Transform.AFFINE, matrix.ravel().tolist(), Image.Resampling.BILINEAR,
                fillcolor=(128, 128, 128),
            )  # fmt: skip
        return patches


def compile_network(network, shape: tuple) -> Callable:
    """Compiles a network, once, for float32 images of a shape, some of whose sizes may be open.

    Returns a function from uint8 images to the network's outputs, which are computed batch by batch.
    """
    graph = tf.function(lambda images: network(images), autograph=False)
    graph = graph.get_concrete_function(tf.TensorSpec(shape, tf.float32))

    def compute(pixels: np.ndarray) -> list[np.ndarray]:
        parts = [graph(normalize(pixels[i : i + BATCH])) for i in range(0, len(pixels), BATCH)]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    return compute


def normalize(pixels: np.ndarray) -> tf.Tensor:
    """Converts uint8 to what the networks of MTCNN take, float32."""
    return tf.constant((pixels.astype(np.float32) - 127.5) / 128)


def to_square(box: np.ndarray, angle: float) -> np.ndarray:
    """Returns the transform from the unit square to the square around a box, turned by `angle` degrees."""
    side, radians = max(box[2] - box[0], box[3] - box[1]), math.radians(angle)
    center = (box[:2] + box[2:]) / 2
    return geometry.similarity(side * math.cos(radians), side * math.sin(radians), np.array([0.5, 0.5]), center)


def shift_square(square: np.ndarray, offsets: np.ndarray) -> tuple[float, float, np.ndarray, np.ndarray]:
    """Corrects a square by the offsets of its left, top, right and bottom, as shares of its side.

    Returns the arguments of `geometry.similarity`.
    """
    low, high = offsets[:2], 1 + offsets[2:]
    growth = float((high - low).max())
    center = geometry.transform_points(square, (low + high) / 2)
    return growth * square[0, 0], growth * square[1, 0], np.array([0.5, 0.5]), center


def bounding_boxes(squares: list[np.ndarray]) -> np.ndarray:
    """Returns boxes (n, 4) with the centers and the sides of squares, as if these stood upright."""
    centers = np.array([geometry.transform_points(square, np.array([0.5, 0.5])) for square in squares]).reshape(-1, 2)
    halves = np.array([geometry.find_scale(square) / 2 for square in squares]).reshape(-1, 1)
    return np.concatenate([centers - halves, centers + halves], axis=1)


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Returns the numbers of the boxes to keep, the most confident first: greedy non-maximum suppression."""
    if not len(boxes):
        return np.zeros(0, np.int64)
    boxes, scores = boxes.astype(np.float32), scores.astype(np.float32)
    return tf.image.non_max_suppression(boxes, scores, len(boxes), overlap).numpy()
