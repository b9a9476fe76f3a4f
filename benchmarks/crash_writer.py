"""Write what a training writes, without TensorFlow, so that a process that is killed costs milliseconds.

    write_run(Path("folder"))  # folder/output/it and folder/cache; after a kill, the same call goes on

The files come from the functions that train.py writes them with, in the same order. What is trained is one array, which
is a function of the iteration, and so are losses, scores and samples.
"""

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np

from gan import images
from gan.config import Config
from gan.datasets import cache
from gan.datasets.source import Source
from gan.gallery.page import Page
from gan.runs import checkpoints
from gan.runs.run_directory import Run

ITERATIONS = 12
IMAGES, SAMPLES, SIZE = 40, 4, 16


class Variable:
    """An array with the methods of a `tf.Variable` that checkpoints use."""

    def __init__(self, value):
        self.value = np.asarray(value)
        self.shape = self.value.shape

    def assign(self, value: np.ndarray) -> None:
        self.value = value


class Network:
    """A network of one array, with the method of a `keras.Model` that writes a file of it."""

    def __init__(self, weights: np.ndarray):
        self.weights = weights

    def save(self, path: Path) -> None:
        memory = io.BytesIO()
        np.save(memory, self.weights)
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("weights.npy", memory.getvalue())


def write_run(folder: Path) -> None:
    """Writes a run of `ITERATIONS` iterations into a folder, or goes on with it from its last checkpoint."""
    faces, report = build_cache(folder / "cache")
    run = Run(folder / "output" / "it")
    with run.lock():
        run.claim({**dataclasses.asdict(Config(run="it")), "faces": f"{len(faces)} of nothing"})
        run.write_data_report(report, [])
        state = {"iteration": Variable(0), "generator/000": Variable(sample_array(0, (64, 64)))}
        saved = checkpoints.restore(run.checkpoints, state)
        iteration = int(state["iteration"].value)
        run.tables.truncate(iteration)
        scores = run.tables.read_scores()
        run.keep_best_of([row["iteration"] for row in scores], iteration)
        write_outputs(run, state, bool(saved.get("grid_due", True)), scores)
        while iteration < ITERATIONS:
            iteration += 1
            train(run, state, iteration, scores)
        run.grids.save_samples(SIZE, SAMPLES)
        Page(run.folder.parent).refresh()


def train(run: Run, state: dict[str, Variable], iteration: int, scores: list[dict]) -> None:
    """Sets the state of an iteration, logs and scores it, saves a checkpoint, and writes the outputs."""
    rng = np.random.default_rng(iteration)
    penalty = {"penalty": rng.random()} if iteration % 3 == 0 else {}
    scalars = {"d_loss": rng.random(), "g_loss": rng.random(), **penalty}
    run.tables.append_log(
        [{"iteration": iteration, "images": iteration, "seconds": 1.0, **scalars, "images_per_second": 1.0}]
    )
    state["iteration"].assign(np.asarray(iteration))
    state["generator/000"].assign(sample_array(iteration, (64, 64)))
    numbers = dict.fromkeys(("kid_stderr", "face_rate", "diversity", "memorization", "copied", "eval_seconds"), 0.5)
    start = {"iteration": iteration, "images": iteration, "seconds": 1.0, "network": "none", "samples": 64}
    scores.append({**start, **numbers, "kid": 100 * rng.random(), "copying": 0})
    run.tables.append_score(scores[-1])
    run.tables.append_diagnostics([(iteration, "no failure", "ended", "")])
    arrays = {name: variable.value for name, variable in state.items()}
    checkpoints.save(run.checkpoints, iteration, {**arrays, "grid_due": np.bool_(iteration % 2)})
    write_outputs(run, state, iteration % 2 == 1, scores)


def write_outputs(run: Run, state: dict[str, Variable], grid: bool, scores: list[dict]) -> None:
    """Writes what `Trainer.write_outputs` does, but for the chart."""
    iteration = int(state["iteration"].value)
    if grid and not run.grids.path(iteration).exists():
        run.grids.save(iteration, images.to_uint8(sample_array(iteration, (SAMPLES, SIZE, SIZE, 3))))
    if iteration:
        generator = Network(state["generator/000"].value)
        run.save_generator(generator, iteration)
        best = min(scores, key=lambda row: row["kid"])
        if best["iteration"] == iteration != run.best_iteration():
            run.save_best(generator, best, {})
    Page(run.folder.parent).refresh()


def build_cache(folder: Path) -> tuple[np.ndarray, dict]:
    """Opens the cache of `IMAGES` images of noise, or builds it: uint8 (n, h, w, 3), and its report."""

    def read(i: int):
        image = images.from_array(images.to_uint8(sample_array(i, (SIZE, SIZE, 3))))
        return image, images.ImageInfo("RGB", image.size), bytes([i])

    source = Source("noise", "noise", [f"noise {i}" for i in range(IMAGES)], read, [])
    path = folder / f"{cache.compute_key(source.identity, SIZE)}.npy"
    faces, report, *_ = cache.open_or_build(path, lambda: (source, range(IMAGES)), SIZE)
    return faces, report


def sample_array(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Noise in [-1, 1), float32."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
