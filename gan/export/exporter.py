"""Export of a run's generator to a folder: files in several formats, each verified, a model card and samples.

for result in export(run, generator, ["keras", "onnx"], Path("output/RUN/export")):
    print(result.name, result.failure or result.path)
"""

import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan import images
from gan.errors import RunError, UsageError, summarize
from gan.export import model_card
from gan.export.formats import FORMATS
from gan.files import atomic_write
from gan.generation.generator import Generator
from gan.runs.run_directory import Run

MAX_DIFFERENCE = 1e-4  # between images in [-1, 1] of a format and of Keras
SAMPLE_COUNT = 64  # in samples.png
VERIFIED = 16  # samples that are compared


class Result(NamedTuple):
    """The export to one format: its path and the largest difference from Keras's images, or why it failed."""

    name: str
    path: Path
    difference: float | None = None
    failure: str = ""


def export(run: Run, generator: Generator, names: list[str], folder: Path) -> Iterator[Result]:
    """Exports a generator to each of the named formats, with a model card and samples.png beside them.

    Yields a result once a format is complete or has failed; a failure does not affect the others. Raises UsageError,
    before anything is written, where the folder has files that export would replace but did not write.
    """
    files = find_exports(folder, [FORMATS[name].file for name in names])
    folder.mkdir(parents=True, exist_ok=True)
    seeds = np.arange(SAMPLE_COUNT)
    inputs = generator.list_inputs(generator.sample_noise(seeds), generator.draw_codes(seeds))
    grid = images.make_grid(generator(*inputs), scale=images.display_scale(generator.size))
    for name in names:
        complete = files | {FORMATS[name].file: model_card.digest_weights(generator)}
        # Before the export, so that a failure leaves no file that no card lists.
        card = model_card.format_card(run, generator, complete)
        try:
            path, difference = export_format(generator, name, folder, [each[:VERIFIED] for each in inputs])
        except Exception as error:  # converters of other packages fail with any exception
            yield Result(name, folder / FORMATS[name].file, failure=summarize(error))
            continue
        files = complete
        with atomic_write(folder / model_card.FILE) as file:
            file.write(card.encode("utf-8", "replace"))  # names of files may be undecodable
        images.write_png(folder / model_card.SAMPLES_FILE, grid)
        yield Result(name, path, difference)


def export_format(generator: Generator, name: str, folder: Path, inputs: list[np.ndarray]) -> tuple[Path, float]:
    """Exports a generator to one format; returns the path and the largest difference from Keras's images.

    Images are generated from `inputs`, as from `Generator.list_inputs`, in one batch and one by one, which shows
    that any batch size works. Raises RunError, and leaves nothing behind, where they differ by more than
    `MAX_DIFFERENCE`.
    """
    chosen = FORMATS[name]
    expected = generator.generate(*inputs).numpy()  # first, because Keras exports no network that was never called
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as temporary:
        path = Path(temporary) / chosen.file
        chosen.save(generator, path)
        generate = chosen.load(path)
        rows = [[each[i : i + 1] for each in inputs] for i in range(len(inputs[0]))]
        batches = [generate(*inputs), np.concatenate([generate(*row) for row in rows])]
        difference = max(float(np.abs(batch - expected).max()) for batch in batches)
        if not difference <= MAX_DIFFERENCE:  # NaN included
            raise RunError(f"its images differ from Keras's by {difference:.1e}, more than {MAX_DIFFERENCE:.0e}")
        return replace(path, folder / chosen.file), difference


def find_exports(folder: Path, names: list[str]) -> dict[str, str]:
    """Returns the files of earlier exports to a folder, name -> weights' digest.

    Raises UsageError where the card, the samples or a file of one of `names` is there, but not from an export.
    """
    files = model_card.read_files(folder)
    own = {*files, model_card.FILE, model_card.SAMPLES_FILE} if files else set()
    names = [model_card.FILE, model_card.SAMPLES_FILE, *names]
    if foreign := [name for name in names if name not in own and (folder / name).exists()]:
        raise UsageError(
            f"{folder} has {' and '.join(foreign)}, which no export wrote, as far as a model card there says:"
            " move that away, or give --out another folder."
        )
    return {name: digest for name, digest in files.items() if (folder / name).exists()}


def missing_packages(name: str) -> list[str]:
    """Returns the packages that must be installed before a format can be exported."""
    packages = FORMATS[name].packages.items()
    return [package for module, package in packages if importlib.util.find_spec(module) is None]


def require_packages(name: str) -> None:
    """Raises UsageError where a package of a format is missing."""
    if missing := missing_packages(name):
        raise UsageError(f"{name} needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def replace(path: Path, target: Path) -> Path:
    """Moves a file or folder to `target`, in place of an older one."""
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(path, target)
    return target
