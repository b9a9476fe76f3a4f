"""Find the image of a run's generator that is nearest to a photograph, and edit it.

    python -m tools.project output/RUN --photo me.jpg            # project.png: the photograph, and steps of the search
    python -m tools.project output/RUN                           # for a held-out image of the run's data
    python -m tools.project output/RUN --photo me.jpg --edit     # also edits.png: with glasses, with longer hair, ...

Where the run's training images were aligned, the largest face of the photograph is cut out likewise. Otherwise the face
should lie in it as in these images; --crop cuts out the center. Edits of a run with labels change one label each. Of
other runs, edits of avatars are named by a classifier of their attributes; edits of photographs lead to clusters of
similar samples, without names.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

if not __package__:  # run as a file: python tools/project.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli, experiment, images
from gan.errors import RunError, UsageError
from gan.files import atomic_write, cache_folder
from gan.generation import animation, latent_directions
from gan.generation.generator import Generator
from gan.generation.noise import SEEDS
from gan.runs.run_directory import Run

PROJECTION_SIZE, EDIT_SIZE = 128, 64  # pixels of an image in project.png and in edits.png


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = cli.run_parser("project", __doc__, "project.png")
    parser.add_argument(
        "--photo",
        type=cli.path_argument,
        metavar="FILE",
        help="a photograph (default: a held-out image of the run's data)",
    )
    parser.add_argument(
        "--crop", type=cli.in_range(int, 8, 100_000), default=0, metavar="N",
        help="cut out its center N x N first (default: the largest square)",
    )  # fmt: skip
    parser.add_argument(
        "--seed",
        type=cli.in_range(int, 0, SEEDS - 1),
        default=0,
        metavar="N",
        help="first seed of the search (default: 0)",
    )
    parser.add_argument(
        "--network", choices=("onet", "vgg"), default="onet", help="network that compares images (default: onet)"
    )
    parser.add_argument("--edit", action="store_true", help="edit the image found, in edits.png")
    cli.add_cache_argument(parser)
    arguments = parser.parse_args(argv)
    if arguments.crop and not arguments.photo:
        parser.error("argument --crop: it needs --photo FILE")
    return cli.run_command("project", lambda: project(arguments))


def project(arguments: argparse.Namespace) -> None:
    """Writes the photograph beside the nearest images, and the noise of the last one in an .npz file."""
    run, path = Run(arguments.run), cli.output_path(arguments, "project.png")
    photo = read_photo(run, Path(arguments.photo), arguments.crop) if arguments.photo else None
    generator = experiment.load_generator(run, arguments.weights == "best")
    cache = cache_folder(arguments.cache_dir or generator.config.cache_dir)
    photo = load_held_out(run, arguments.seed, cache) if photo is None else photo
    from gan.generation import projection
    from gan.metrics.feature_extractors import load_extractor

    print(f"Searching with {generator.description} ...", flush=True)
    found = projection.project(generator, load_extractor(arguments.network), photo, arguments.seed)
    images.write_png(path, make_row(np.stack([photo, *found.images]), PROJECTION_SIZE))
    noise_path = path.with_name(f"{path.stem}-noise.npz") if arguments.out else path.with_suffix(".npz")
    with atomic_write(noise_path) as file:
        labels = {}
        if found.codes is not None:
            vector, columns = generator.labels.encode(found.codes)[0], np.array(generator.labels.columns)
            labels = {"labels": vector, "columns": columns}
        np.savez_compressed(file, noise=found.noise[0], image=found.images[-1], **labels)
    pairs = zip(projection.STEPS, found.distances, strict=True)
    distances = ", ".join(f"{distance:.2f} after {step}" for step, distance in pairs)
    print(f"Distance, where 1 is that of a random image: {distances} steps. {path}, its noise in {noise_path}")
    if arguments.edit:
        name = f"{path.stem}-edits.png" if arguments.out else "edits.png"
        if found.codes is None:
            edit(generator, found.noise[0], path.with_name(name), cache)
        else:
            edit_labels(generator, found.noise[0], found.codes[0], path.with_name(name))


def edit(generator: Generator, noise: np.ndarray, path: Path, cache: Path) -> None:
    """Writes a row of images for each latent direction, with its name below. Raises RunError where there is none."""
    directions = latent_directions.find_directions(generator, noise, cache)
    if not directions:
        raise RunError("samples are too similar to find directions in which they differ: train for longer")
    paths = latent_directions.edit_paths(noise, [*directions.values()], generator.noise_distribution)
    rows = [make_row(generator(points), EDIT_SIZE) for points in paths]
    captioned = [animation.add_caption(row, name) for row, name in zip(rows, directions, strict=True)]
    images.write_png(path, np.concatenate(captioned))
    print(f"{len(directions)} edits, one a row, from left to right: {path}")


def edit_labels(generator: Generator, noise: np.ndarray, codes: np.ndarray, path: Path) -> None:
    """Writes a row of images for each attribute: the noise stays, and its label becomes the most frequent other one."""
    rows, names = [], []
    for number, (attribute, shares) in enumerate(
        zip(generator.labels.attributes, generator.labels.shares, strict=True)
    ):
        other = codes.copy()
        other[number] = np.argmax(np.where(np.array(attribute.codes) == codes[number], -1, shares))
        start, end = generator.labels.encode(np.stack([codes, other]))
        vectors = np.linspace(start, end, latent_directions.STEPS, dtype=np.float32)
        rows.append(make_row(generator(np.stack([noise] * len(vectors)), vectors), EDIT_SIZE))
        names.append(f"{attribute.describe(codes[number])} to {attribute.describe(other[number])}")
    captioned = [animation.add_caption(row, name) for row, name in zip(rows, names, strict=True)]
    images.write_png(path, np.concatenate(captioned))
    print(f"{len(rows)} edits, one a row, from left to right: {path}")


def make_row(samples: np.ndarray, size: int) -> np.ndarray:
    """Lays out images, uint8 (n, h, w, 3), in one row, each enlarged to at most `size` pixels."""
    return images.make_grid(samples, len(samples), scale=max(1, size // samples.shape[1]))


def read_photo(run: Run, path: Path, crop: int) -> np.ndarray:
    """Reads a photograph as the run's training images were read: uint8 (size, size, 3). Raises UsageError."""
    config, report = run.load_config(), run.read_data_report() or {}
    try:
        photo = images.read_image(path, max(config.max_pixels, images.MAX_PIXELS))[0]
        if not report.get("aligned") or crop:
            return np.asarray(images.resize_image(images.crop_square(photo, crop), config.image_size))
    except images.UnreadableImage as error:
        raise UsageError(f"--photo {path}: {error}") from None
    from gan.faces.alignment import align_largest

    aligned = align_largest(photo, config.image_size)
    if aligned is None:
        raise UsageError(f"--photo {path}: no face is found in it; --crop N uses the central N x N as it is.")
    return np.asarray(aligned)


def load_held_out(run: Run, seed: int, cache: Path) -> np.ndarray:
    """Loads a held-out image of the run's data, or any where none was held out: uint8 (size, size, 3)."""
    try:
        faces = experiment.reload_data(run, cache)
    except (UsageError, RunError) as error:
        raise UsageError(f"without --photo FILE, a held-out image is projected, and {error}") from None
    rows, held_out = faces.split(run.load_config().holdout)
    rows = held_out if len(held_out) else rows
    return np.asarray(faces.images[rows[seed % len(rows)]])


if __name__ == "__main__":
    sys.exit(main())
