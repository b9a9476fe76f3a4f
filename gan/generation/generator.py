"""A trained generator: noise or seeds to images, and what is known of the run that it comes from.

generator = experiment.load_generator(Run("output/RUN"))
images = generator.generate_seeds(range(64))       # uint8 (64, h, w, 3), the same for every call
images = generator(generator.sample_noise([7]))    # the image of seed 7, by way of its noise
"""

import json
import math
import re
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.config import Config
from gan.errors import UsageError, summarize
from gan.files import damage_as_value_error
from gan.generation import noise as noises
from gan.images import to_uint8
from gan.labels import Labels
from gan.runs.run_directory import format_iteration

MEMBERS = ["config.json", "metadata.json", "model.weights.h5"]  # of the archive that a .keras file is
LARGEST = 4096  # side of an image, and of noise that is one
BATCH_SIZE = 100  # images generated at once
NOISE_BATCH = 10 * BATCH_SIZE  # seeds whose noise is in memory at once


@dataclass(frozen=True)
class Generator:
    """Generates images from noise.

    Arguments:
        network: a Keras model, noise (n, *noise_shape) -> images (n, h, w, 3) in [-1, 1], or, with labels, the same of
            a list [noise, labels (n, k)].
        config: the configuration of the run.
        source: the file that the network comes from.
        iteration: the iteration that it was saved at, or None where that is unknown.
        labels: the labels that it was trained with; None: none.

    Methods that take noise take `codes` as well, where the generator has labels: int32 (n, attributes), or vectors
    float32 (n, labels.width), between those of several codes; None: labels as the training images have them.
    """

    network: object
    config: Config
    source: Path
    iteration: int | None
    labels: Labels | None = None

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """The shape of the noise of one image: (128,), or (32, 32, 3)."""
        shape = self.network.input_shape
        return tuple((shape[0] if self.labels else shape)[1:])

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

    def __call__(self, noise: np.ndarray, codes: np.ndarray | None = None) -> np.ndarray:
        """Generates images, uint8 (n, size, size, 3), from noise (n, *noise_shape)."""
        return np.concatenate([to_uint8(batch) for batch in self.generate_batches(noise, codes)])

    def generate_batches(self, noise: np.ndarray, codes: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Yields batches of images, float32 in [-1, 1], for noise (n, *noise_shape)."""
        codes = self.draw_codes(np.arange(len(noise))) if codes is None and self.labels else codes
        for i in range(0, len(noise), BATCH_SIZE):
            part = slice(i, i + BATCH_SIZE)
            yield self.generate(noise[part], None if codes is None else codes[part]).numpy()

    def generate(self, noise, codes: np.ndarray | None = None):
        """Computes images from noise in one batch: a float32 tensor in [-1, 1], through which gradients flow."""
        inputs = self.list_inputs(noise, codes)
        return self.network(inputs if self.labels else inputs[0], training=False)

    def list_inputs(self, noise, codes: np.ndarray | None = None) -> list:
        """Lists what the network takes for noise: [noise], or [noise, labels float32 (n, width)]."""
        if self.labels is None:
            return [noise]
        codes = self.draw_codes(np.arange(noise.shape[0])) if codes is None else codes
        is_vector = np.asarray(codes).dtype.kind == "f"
        return [noise, np.asarray(codes, np.float32) if is_vector else self.labels.encode(codes)]

    def parse_labels(self, text: str | None) -> dict[int, int]:
        """The labels that a text asks for (see `gan.labels.Labels.parse`). Raises UsageError where there are none."""
        if not text:
            return {}
        if self.labels is None:
            raise UsageError(f"{text}: {self.source} was trained without labels. train.py --labels trains with them.")
        requested = self.labels.parse(text)
        if not requested:
            raise UsageError(f"{text!r} names no label: give some such as {self.labels.attributes[0].name}=...")
        return requested

    def draw_codes(
        self, seeds, requested: dict[int, int] | None = None, labels: Labels | None = None
    ) -> np.ndarray | None:
        """Draws labels for seeds, int32 (n, attributes), a function of each seed; None for a generator without labels.

        What `requested` (see `gan.labels.Labels.parse`) does not name is drawn as in training, or as `labels` have it,
        which have the same attributes.
        """
        if self.labels is None:
            return None
        return (labels or self.labels).draw(noises.uniform(np.asarray(seeds), 1, noises.LABEL_STREAM)[:, 0], requested)

    def sample_noise(self, seeds, truncation: float = 1.0) -> np.ndarray:
        """Computes the noise of some seeds, float32 (n, *noise_shape); see `gan.generation.noise.sample_noise`."""
        return noises.sample_noise(seeds, self.noise_shape, self.noise_distribution, truncation)

    def generate_seeds(self, seeds, truncation: float = 1.0, requested: dict[int, int] | None = None) -> np.ndarray:
        """Generates the images of some seeds, uint8 (n, size, size, 3), a part at a time so that memory suffices.

        Arguments:
            truncation: as for `gan.generation.noise.sample_noise`.
            requested: as for `draw_codes`.
        """
        parts = (seeds[i : i + NOISE_BATCH] for i in range(0, len(seeds), NOISE_BATCH))
        return np.concatenate(
            [self(self.sample_noise(part, truncation), self.draw_codes(part, requested)) for part in parts]
        )


def load_model(path: Path):
    """Loads the Keras model in a file, in safe mode, which runs no code of the file's.

    Raises UsageError where it cannot be loaded, or is not a generator's.
    """
    import keras

    try:
        with damage_as_value_error():
            # In a thread, as what Keras notes of variables without values is kept for each thread.
            with ThreadPoolExecutor(1) as pool:
                pool.submit(_require_generator, path).result()
            return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError) as error:
        # Keras writes pages, partly in bold, of which this part is the reason.
        parts = re.sub(r"\x1b\[\d*m", "", str(error.__cause__ or error)).split("\n\n")
        reason = summarize([part for part in parts if not part.startswith("Arguments received")][-1], 300)
        raise UsageError(f"{path} is not a generator that can be opened ({reason})") from error


def _require_generator(path: Path) -> None:
    """Raises an error unless a .keras file is a generator whose weights it holds, before any memory is taken for them.

    Keras allocates what the configuration says before it reads the weights, and unpacks other members of the archive to
    a temporary folder.
    """
    import keras

    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
        if sorted(archive.namelist()) != MEMBERS or not stored:
            raise ValueError("it was not saved by Keras, or has more in it than a generator")
        content = json.loads(archive.read("config.json"))
    with keras.StatelessScope(initialize_variables=False):
        network = keras.saving.deserialize_keras_object(content, safe_mode=True)
    if not isinstance(network, keras.Model):
        raise ValueError("it holds no network")
    first, *labels = [tuple(tensor.shape) for tensor in network.inputs]
    inputs, outputs = first, network.output_shape
    if len(labels) > 1 or any(len(shape) != 2 or not 0 < shape[1] <= LARGEST**2 for shape in labels):
        raise ValueError(f"it has inputs of shapes {labels} beside its noise")
    if len(inputs) not in (2, 4) or not all(0 < side <= LARGEST**2 for side in inputs[1:]):
        raise ValueError(f"its input has shape {inputs}, which is not that of noise")
    if len(outputs) != 4 or outputs[1] != outputs[2] or outputs[3] != 3 or not 0 < outputs[1] <= LARGEST:
        raise ValueError(f"its output has shape {outputs}, which is not that of images")
    weights = sum(math.prod(variable.shape) * np.dtype(variable.dtype).itemsize for variable in network.variables)
    if weights > entries["model.weights.h5"].file_size:
        raise ValueError("its weights are not all in the file")
