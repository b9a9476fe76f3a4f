"""A trained generator: noise -> images, with what is known of the run that it comes from.

generator = experiment.load_generator(Run("output/RUN"))
noise = sample_noise(range(64), generator.noise_shape, generator.noise_distribution)
images = generator(noise)  # uint8 (64, h, w, 3)
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.config import Config
from gan.errors import UsageError
from gan.images import to_uint8
from gan.runs import checkpoints
from gan.runs.run_directory import format_iteration

BATCH_SIZE = 100  # images generated at once


@dataclass(frozen=True)
class Generator:
    """Generates images from noise.

    Arguments:
        network: a Keras model, noise (n, *noise_shape) -> images (n, h, w, 3) in [-1, 1].
        config: the configuration of the run.
        source: the file that the network comes from.
        iteration: the iteration that it was saved at, or None where that is unknown.
    """

    network: object
    config: Config
    source: Path
    iteration: int | None

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the noise of one image: (128,), or (32, 32, 3)."""
        return tuple(self.network.input_shape[1:])

    @property
    def noise_distribution(self) -> str:
        """The distribution of the noise: normal or uniform."""
        return self.config.noise_distribution

    @property
    def size(self) -> int:
        """The side of an image in pixels."""
        return self.network.output_shape[1]

    def __call__(self, noise: np.ndarray) -> np.ndarray:
        """Noise (n, *noise_shape) -> images uint8 (n, size, size, 3)."""
        return np.concatenate([to_uint8(batch) for batch in self.generate_batches(noise)])

    def generate_batches(self, noise: np.ndarray):
        """Noise (n, *noise_shape) -> an iterator of batches of images, float32 in [-1, 1]."""
        for i in range(0, len(noise), BATCH_SIZE):
            yield self.generate(noise[i : i + BATCH_SIZE]).numpy()

    def generate(self, noise):
        """Noise -> images, float32 in [-1, 1], a tensor that gradients flow through."""
        return self.network(noise, training=False)

    @property
    def description(self) -> str:
        """The file and the iteration, for a person."""
        return f"{self.source} of iteration {format_iteration(self.iteration)}"


def load_model(path: Path):
    """The Keras model in a file; safe mode runs no code from it. Raises UsageError where it cannot be loaded."""
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (*checkpoints.READ_ERRORS, TypeError) as error:
        reason = " ".join(str(error).split("\n\n")[-1].split())[:300]
        raise UsageError(f"{path} is not a generator that can be opened ({reason})") from error
