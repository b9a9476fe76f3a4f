"""A trained generator: noise or seeds to images, and what is known of the run that it comes from.

generator = experiment.load_generator(Run("output/RUN"))
images = generator.generate_seeds(range(64))       # uint8 (64, h, w, 3), the same for every call
images = generator(generator.sample_noise([7]))    # the image of seed 7, by way of its noise
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.config import Config
from gan.errors import UsageError, summarize
from gan.files import damage_as_value_error
from gan.generation import noise as noises
from gan.images import to_uint8
from gan.runs.run_directory import format_iteration

BATCH_SIZE = 100  # images generated at once
NOISE_BATCH = 10 * BATCH_SIZE  # seeds whose noise is in memory at once


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
        """The distribution of the noise: "normal" or "uniform"."""
        return self.config.noise_distribution

    @property
    def size(self) -> int:
        """The side of an image in pixels."""
        return self.network.output_shape[1]

    @property
    def description(self) -> str:
        """The file and the iteration, for a person."""
        return f"{self.source} of iteration {format_iteration(self.iteration)}"

    def __call__(self, noise: np.ndarray) -> np.ndarray:
        """Generates images, uint8 (n, size, size, 3), from noise (n, *noise_shape)."""
        return np.concatenate([to_uint8(batch) for batch in self.generate_batches(noise)])

    def generate_batches(self, noise: np.ndarray) -> Iterator[np.ndarray]:
        """Yields batches of images, float32 in [-1, 1], for noise (n, *noise_shape)."""
        for i in range(0, len(noise), BATCH_SIZE):
            yield self.generate(noise[i : i + BATCH_SIZE]).numpy()

    def generate(self, noise):
        """Computes images from noise in one batch: a float32 tensor in [-1, 1], through which gradients flow."""
        return self.network(noise, training=False)

    def sample_noise(self, seeds, truncation: float = 1.0) -> np.ndarray:
        """Computes the noise of some seeds, float32 (n, *noise_shape); see `gan.generation.noise.sample_noise`."""
        return noises.sample_noise(seeds, self.noise_shape, self.noise_distribution, truncation)

    def generate_seeds(self, seeds, truncation: float = 1.0) -> np.ndarray:
        """Generates the images of some seeds, uint8 (n, size, size, 3), a part at a time so that memory suffices."""
        parts = (seeds[i : i + NOISE_BATCH] for i in range(0, len(seeds), NOISE_BATCH))
        return np.concatenate([self(self.sample_noise(part, truncation)) for part in parts])


def load_model(path: Path):
    """Loads the Keras model in a file, in safe mode, which runs no code of the file's.

    Raises UsageError where it cannot be loaded.
    """
    import keras

    try:
        with damage_as_value_error():
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError) as error:
        reason = summarize(str(error.__cause__ or error).split("\n\n")[-1], 300)
        raise UsageError(f"{path} is not a generator that can be opened ({reason})") from error
