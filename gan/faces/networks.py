"""The three networks of MTCNN, which find faces. arXiv:1604.02878; mtcnn 1.0.0 on PyPI, which brings their weights.

onet = load_network("onet")
"""

import contextlib
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import keras

from gan.errors import UsageError

PACKAGE = "mtcnn==1.0.0"
# The weights are pickles, which may run code: they are opened only if they are, to the bit, those of 1.0.0.
WEIGHTS = {
    "pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
}


NETWORKS = ("pnet", "rnet", "onet")  # in the order in which they look at a photograph


def load_network(name: str) -> keras.Model:
    """Loads one of `NETWORKS`, which computes in float32. Raises UsageError where mtcnn is not whole, or not there."""
    return load_stage(name)._model


def load_stage(name: str):
    """Loads the stage of mtcnn's detector that has one of `NETWORKS`. Raises UsageError as `load_network`."""
    try:
        from mtcnn.stages import StageONet, StagePNet, StageRNet
    except ImportError:
        raise UsageError(f"The face detector is not installed, or not whole: pip install {PACKAGE}") from None
    stage = {"pnet": StagePNet, "rnet": StageRNet, "onet": StageONet}[name]
    with float32_policy():
        return stage(weights=find_weights(f"{name}.lz4"))


def find_weights(name: str) -> str:
    """Finds a weight file of mtcnn and checks its hash. By its bare name, one in the current folder would be opened."""
    path = Path(importlib.util.find_spec("mtcnn").submodule_search_locations[0]) / "assets" / "weights" / name
    if (found := hashlib.sha256(path.read_bytes()).hexdigest()) != WEIGHTS[name]:
        raise UsageError(f"{path} is not the file of mtcnn 1.0.0 (its SHA-256 is {found}): pip install {PACKAGE}")
    return str(path)


@contextlib.contextmanager
def float32_policy() -> Iterator[None]:
    """Sets Keras's precision to float32 within the block, as a training around it may have another."""
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("float32")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(policy)
