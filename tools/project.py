"""Finds the face of a generator that is nearest to a photograph, and changes it.

    python -m tools.project output/RUN --photo me.jpg            # project.png: the photograph, and the way to the face
    python -m tools.project output/RUN                           # of a face that the run held out
    python -m tools.project output/RUN --photo me.jpg --edit     # and edits.png: the face with glasses, longer hair ...

The face should sit in the photograph as in those that the run trained on; --crop cuts its centre. What drawn faces
have is told by a small network that knows it; of photographs, kinds that look alike are found, and have no names.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import platformdirs

from gan import cli, experiment, images, progress
from gan.errors import RunError, UsageError
from gan.files import atomic_write
from gan.generation import animation, latent_directions, noise
from gan.generation.generator import Generator
from gan.runs.run_directory import Run

SHOWN = 128  # pixels a face
SAMPLES, KINDS = 2000, 8  # faces that ways are found in; how many kinds of photographs
DRAWN, TIMES = "avatars", 3  # the data whose attributes are known, of which more are looked at: it takes little time
NUMBERS = 20_000_000  # of noise, at most: 500 MB while it is drawn


def main(argv: list[str] | None = None) -> int:
    """Projects, and edits where it is asked to. Returns the exit code."""
    parser = cli.run_parser("project", __doc__, "project.png")
    parser.add_argument("--photo", default="", metavar="FILE", help="a photograph (a face that the run held out)")
    parser.add_argument("--crop", type=cli.in_range(int, 8, 100_000), default=0, metavar="N", help="its centre N x N")
    parser.add_argument("--seed", type=cli.in_range(int, 0, 2**32 - 1), default=0, metavar="N", help="of the start (0)")
    parser.add_argument("--network", choices=("onet", "vgg"), default="onet", help="what compares the faces (onet)")
    parser.add_argument("--edit", action="store_true", help="change the face, in edits.png")
    arguments = parser.parse_args(argv)
    return cli.run_command("project", lambda: project(arguments))


def project(arguments: argparse.Namespace) -> None:
    """Writes the photograph and the faces beside it; the noise of the last one in a .npz."""
    run, path = Run(arguments.run), cli.output_path(arguments, "project.png")
    photo = read(Path(arguments.photo), run.load_config().image_size, arguments.crop) if arguments.photo else None
    generator = experiment.load_generator(run, arguments.weights == "best")
    photo = held_out(run, arguments.seed) if photo is None else photo
    from gan.generation import projection
    from gan.metrics import feature_extractors

    print(f"{generator.description} looks for the face ...", flush=True)
    found = projection.project(generator, feature_extractors.load_extractor(arguments.network), photo, arguments.seed)
    scale = max(1, SHOWN // generator.size)
    images.write_png(path, images.make_grid(np.stack([photo, *found.faces]), len(found.faces) + 1, scale=scale))
    kept = path.with_name(f"{path.stem}-noise.npz") if arguments.out else path.with_suffix(".npz")
    with atomic_write(kept) as file:
        np.savez_compressed(file, noise=found.noise[0], image=found.faces[-1])
    steps = ", ".join(f"{far:.2f} after {step}" for step, far in zip(projection.STEPS, found.distances, strict=True))
    print(f"Distance, 1 being a face at random: {steps} steps. {path}, its noise in {kept}")
    if arguments.edit:
        edit(generator, found.noise[0], path.with_name("edits.png" if not arguments.out else f"{path.stem}-edits.png"))


def read(path: Path, size: int, crop: int) -> np.ndarray:
    """A photograph as the generator's faces are: uint8 (size, size, 3)."""
    try:
        return np.asarray(images.resize_image(images.crop_square(images.read_image(path)[0], crop), size))
    except images.UnreadableImage as error:
        raise UsageError(f"--photo {path}: {error}") from None


def held_out(run: Run, seed: int) -> np.ndarray:
    """A face of the run's data that it did not train on, or any where it trained on all."""
    try:
        faces = experiment.reload_data(run)
    except (UsageError, RunError) as error:
        raise UsageError(f"without --photo FILE it takes a face that the run held out, and {error}") from None
    rows, held = faces.split(run.load_config().holdout)
    rows = held if len(held) else rows
    return np.asarray(faces.images[rows[seed % len(rows)]])


def edit(generator: Generator, face: np.ndarray, path: Path) -> None:
    """A row for each way, its name below it."""
    count = min(SAMPLES * (TIMES if generator.config.data == DRAWN else 1), NUMBERS // face.size)
    others = noise.sample_noise(np.arange(1, count), generator.noise_shape, generator.noise_distribution)
    found = ways(generator, np.concatenate([face[None], others]))
    if not found:
        raise RunError("samples are too much alike to find out in what faces differ: train for longer")
    rows = latent_directions.edit_paths(face, list(found.values()), generator.noise_distribution)
    scale = max(1, SHOWN // 2 // generator.size)
    strips = [images.make_grid(generator(row), len(row), scale=scale) for row in rows]
    images.write_png(path, np.concatenate([animation.add_caption(*both) for both in zip(strips, found, strict=True)]))
    print(f"{len(found)} ways to change it, each from left to right: {path}")


def ways(generator: Generator, points: np.ndarray) -> dict[str, np.ndarray]:
    """Where to go from the first point, by name: towards what drawn faces can have, or kinds of photographs."""
    from gan.metrics import avatar_classifier, feature_extractors

    faces, config = generator(points), generator.config
    if config.data == DRAWN:
        cache = Path(config.cache_dir or platformdirs.user_cache_dir("dcgan-faces"))
        classifier = avatar_classifier.load_classifier(generator.size, cache, progress.track_task)
        return latent_directions.attribute_directions(
            points, avatar_classifier.most_likely_values(classifier.predict(faces))
        )
    return latent_directions.cluster_directions(points, feature_extractors.load_extractor("onet").embed(faces), KINDS)


if __name__ == "__main__":
    sys.exit(main())
