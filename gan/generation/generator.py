"""A run's generator, ready to draw: whatever state the run is in, as long as it has weights.

generator = opened(Run("output/RUN"), build=train.build)
faces = generator(noise.drawn(range(64), generator.noise_shape, generator.noise_distribution))  # uint8 (64, h, w, 3)
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from gan import devices
from gan.config import Config
from gan.errors import RunError, UsageError
from gan.generation.noise import DISTRIBUTIONS
from gan.images import to_uint8
from gan.runs import checkpoints
from gan.runs.run_directory import Run, format_iteration

BATCH_SIZE = 100  # faces drawn at once


@dataclass(frozen=True)
class Generator:
    """Draws faces from noise; `network` is a Keras model, `source` its file, of an `iteration` that may be unknown."""

    network: object
    config: Config
    source: Path
    iteration: int | None

    @property
    def noise_shape(self) -> tuple[int, ...]:
        """Of one face: (128,), or (32, 32, 3)."""
        return tuple(self.network.input_shape[1:])

    @property
    def noise_distribution(self) -> str:
        """The noise's distribution: normal or uniform."""
        return self.config.noise_distribution

    @property
    def size(self) -> int:
        """A face's side in pixels."""
        return self.network.output_shape[1]

    def __call__(self, noise: np.ndarray) -> np.ndarray:
        """Noise (n, *noise_shape) -> faces uint8 (n, size, size, 3)."""
        return np.concatenate([to_uint8(part) for part in self.parts(noise)])

    def parts(self, noise: np.ndarray):
        """Noise -> float32 faces in [-1, 1], a batch at a time."""
        for i in range(0, len(noise), BATCH_SIZE):
            yield self.draw(noise[i : i + BATCH_SIZE]).numpy()

    def draw(self, noise):
        """Noise -> faces, float32 in [-1, 1], as a tensor through which gradients can flow."""
        return self.network(noise, training=False)

    @property
    def description(self) -> str:
        """What draws, for a person."""
        return f"{self.source} of iteration {format_iteration(self.iteration)}"


def load_generator(run: Run, build: Callable, best: bool = True) -> Generator:
    """The generator of a run's best score, or its last: from its file, or else out of its newest checkpoint.

    `build(config)` makes the game that a checkpoint belongs to. Raises UsageError where the folder is no run's, or
    there is no generator that can be opened.
    """
    config = run.load_config()
    if config.noise_distribution not in DISTRIBUTIONS:
        known = " and ".join(DISTRIBUTIONS)
        raise UsageError(f"{run.folder}'s noise is {config.noise_distribution!r}: this version has {known}")
    devices.setup_devices("float32")
    if not best or run.best_iteration() is None:
        missing = not (run.folder / "generator.keras").exists()
        if missing and checkpoints.list_paths(run.checkpoints):
            return rebuild_generator(run, config, build)
    path, iteration = run.find_generator(best)
    return Generator(load_model(path), config, path, iteration)


def load_model(path: Path):
    """The Keras model in a file, without running what a stranger may have put there; UsageError where it is none."""
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (*checkpoints.READ_ERRORS, TypeError) as error:
        reason = " ".join(str(error).split("\n\n")[-1].split())[:300]
        raise UsageError(f"{path} is not a generator that can be opened ({reason})") from error


def rebuild_generator(run: Run, config: Config, build: Callable) -> Generator:
    """The averaged generator out of a run's newest whole checkpoint, settled as the run would have.

    Nothing else of the checkpoint is looked at, so that it may be of a version that trained in another way.
    """
    from gan.training.ema import calibrate
    from models.portable import to_stock_keras

    try:
        game = build(dataclasses.replace(config, precision="float32"))
    except (KeyError, ValueError) as error:  # a network that another version has
        told = " ".join(str(error).split())[:200]
        raise UsageError(f"{run.folder}/config.json asks for what this version has not: {told}") from None
    part = "averaged/" if config.ema_half_life else "generator/"
    variables = {name: variable for name, variable in game.state().items() if name.startswith(part)}
    path, arrays = checkpoints.load_newest(run.checkpoints, variables)
    if path is None:
        raise RunError(f"No checkpoint in {run.checkpoints} holds a generator as {run.folder}/config.json has it.")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    game.rest(partial(calibrate, real=float(arrays.get("spread", 0.0))))
    return Generator(to_stock_keras(game.shown), config, path, int(path.stem))
