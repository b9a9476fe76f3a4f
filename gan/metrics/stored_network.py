"""Small networks that are trained on first use and stored, with what was measured then.

measured, digest = load_or_train(path, network, train, {"accuracy": (11,)})  # train() -> {"accuracy": array}
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from gan import files, images
from gan.runs import checkpoints

SIDE = 32  # larger images are reduced to this, which is enough for attributes of faces


def reduce_images(pixels: np.ndarray) -> np.ndarray:
    """Reduces uint8 images (n, h, w, 3) to SIDE x SIDE pixels at most."""
    if pixels.shape[1] <= SIDE:
        return np.asarray(pixels)
    return np.stack([np.asarray(images.resize_image(Image.fromarray(image), SIDE)) for image in pixels])


def load_or_train(
    path: Path, network: keras.Model, train: Callable[[], dict[str, np.ndarray]], shapes: dict[str, tuple[int, ...]]
) -> tuple[dict[str, np.ndarray], str]:
    """Sets a network's weights from its file. Where there is none, or it is damaged, trains it and writes the file.

    Arguments:
        path: the .npz file.
        train: a function that trains the network, and returns arrays that are stored beside its weights.
        shapes: the shapes of these arrays, by their names.

    Returns:
        These arrays, and 12 hexadecimal digits of the weights.
    """
    weights = {f"weight/{i:02d}": weight for i, weight in enumerate(network.weights)}
    if path.exists():
        try:
            return _read(path, weights, shapes)
        except (OSError, ValueError) as error:
            print(f"The cache file {path} is damaged ({error}): training it again.", file=sys.stderr)
    measured = train()
    with files.atomic_write(path) as file:
        np.savez(file, **measured, **{name: weight.numpy() for name, weight in weights.items()})
    return _read(path, weights, shapes)


def _read(path: Path, weights: dict, shapes: dict[str, tuple[int, ...]]) -> tuple[dict[str, np.ndarray], str]:
    """Assigns `weights` from a file. Raises OSError or ValueError before any is assigned."""
    arrays = checkpoints.load(path, weights)
    with files.damage_as_value_error():
        measured = {name: np.asarray(arrays[name], float) for name in shapes}
        if wrong := [name for name, shape in shapes.items() if measured[name].shape != shape]:
            raise ValueError(f"{wrong[0]} has another shape")
    digest = hashlib.blake2b(digest_size=6)
    for name, weight in weights.items():
        weight.assign(arrays[name])
        digest.update(arrays[name].tobytes())
    return measured, digest.hexdigest()
