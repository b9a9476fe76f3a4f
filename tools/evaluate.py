"""Scores of finished runs, against faces that they never trained on; 250 of those, or all, chose best.keras.

    python -m tools.evaluate output/RUN                       # all that works offline
    python -m tools.evaluate output/RUN --network onet        # in seconds
    python -m tools.evaluate output/RUN --network inception   # FID and KID; downloads 90 MB once
    python -m tools.evaluate output/A output/B                # side by side, if measured alike

Adds to scores.json in the run's folder, and draws nearest.png: the samples that are nearest to training faces.
"""

import argparse
import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import platformdirs

from data import FEWEST_HELD
from gan import cli, experiment, progress
from gan.config import Config
from gan.errors import RunError, UsageError
from gan.files import write_json
from gan.generation.generator import Generator
from gan.images import make_grid, write_png
from gan.metrics import evaluation, memorization, report
from gan.metrics.evaluation import HELD_OUT, MAX_HELD_OUT, ImageSubset, protocol_differences
from gan.runs import checkpoints
from gan.runs.run_directory import Run

SAMPLES, LEAST = 2000, 64


@dataclass(frozen=True)
class Case:
    """A run, and the real faces that its samples are held against.

    Networks compare them with `reference`: the held-out faces, or those of --reference. Whether they are copies, and
    what is in them, is told beside `unseen`: the run's own held-out faces too, unless there are too few of those.
    """

    run: Run
    config: Config
    cache: Path
    drawn: bool
    crop: str  # of the reference
    training: ImageSubset
    reference: ImageSubset
    unseen: ImageSubset

    def say(self, text: str) -> None:
        """Tells whoever waits what is being done."""
        print(f"{self.run.folder}: {text} ...", flush=True)


def main(argv: list[str] | None = None) -> int:
    """Evaluates each run, then shows them side by side where that is fair. Returns the exit code."""
    arguments = parse(argv)
    return cli.run_command(
        "evaluate",
        lambda: report.print_scores(evaluate_all(arguments), arguments.anyway),
        stopped="stopped. Runs that were done have their scores.json.",
    )


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="output/RUN", help="folders of runs")
    parser.add_argument("--samples", type=int, default=SAMPLES, metavar="N", help=f"faces to make ({SAMPLES})")
    parser.add_argument(
        "--network", nargs="+", choices=("onet", "vgg", "inception"), help="what looks at them (all that is installed)"
    )
    parser.add_argument("--inception", default="", metavar="PATH", help="the Inception graph, if it is here already")
    parser.add_argument("--reference", default="", metavar="DATA", help="score against these faces (the held-out ones)")
    parser.add_argument("--weights", choices=("best", "last"), default="best", help="which generator (best)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the noise (0)")
    parser.add_argument("--cache-dir", default="", metavar="NAME", help="where faces and features are kept")
    parser.add_argument("--anyway", action="store_true", help="show runs side by side that were measured differently")
    arguments = parser.parse_args(argv)
    if arguments.samples < LEAST:
        parser.error(f"argument --samples: {arguments.samples} is not at least {LEAST}")
    if not 0 <= arguments.seed < 2**32:
        parser.error(f"argument --seed: {arguments.seed} is not from 0 to {2**32 - 1}")
    if arguments.inception and "inception" not in (arguments.network or ()):
        parser.error("argument --inception: it is looked at with --network inception only")
    return arguments


def evaluate_all(arguments: argparse.Namespace) -> dict[str, dict]:
    """The scores of each run, by its name; all that may be missing is asked for before any work."""
    for run in map(Run, arguments.runs):  # a mistyped name need not wait for the faces of the runs before it
        run.load_config()
        if not checkpoints.list_paths(run.checkpoints):  # out of which one can be had, too
            run.find_generator(arguments.weights == "best")
    cases = {run: opened_run(Run(run), arguments) for run in arguments.runs}
    networks = opened_networks(arguments, next(iter(cases.values())).cache)
    return {run: evaluate(case, networks, arguments) for run, case in cases.items()}


def opened_run(run: Run, arguments: argparse.Namespace) -> Case:
    """A run's data, the faces that its samples are held against, and those that it trained on."""
    config = run.load_config()
    cache = Path(arguments.cache_dir or config.cache_dir or platformdirs.user_cache_dir("dcgan-faces"))
    run.read_evaluations()  # where it is damaged, that is said before the work
    faces = experiment.reload_data(run, cache)
    rows, others = faces.split(config.holdout)
    reference = held = ImageSubset(faces.images, others, HELD_OUT)
    crop = faces.report["crop"]
    if arguments.reference:
        other = dataclasses.replace(config, data=arguments.reference, limit=0)
        try:
            other = experiment.load_data(dataclasses.replace(other, cache_dir=str(cache)))
        except (UsageError, RunError) as error:
            told = str(error).removeprefix(f"--data {arguments.reference}: ")
            raise type(error)(f"--reference {arguments.reference}: {told}") from error
        unseen = ~np.isin(other.digests, faces.digests[rows])
        reference, crop = ImageSubset(other.images, np.flatnonzero(unseen), arguments.reference), other.report["crop"]
    if len(reference) < FEWEST_HELD:
        whose = f"--reference {arguments.reference} has" if arguments.reference else f"{run.folder} held out"
        raise UsageError(
            f"{whose} {len(reference)} faces that it never trained on, and a score needs {FEWEST_HELD} or more."
            " Give others to score against: --reference DATA"
        )
    unseen = held if len(held) >= FEWEST_HELD else reference
    drawn, training = bool(faces.attributes), ImageSubset(faces.images, rows)
    return Case(
        run, config, cache, drawn, crop, training, reference.subsample(MAX_HELD_OUT), unseen.subsample(MAX_HELD_OUT)
    )


def opened_networks(arguments: argparse.Namespace, cache: Path) -> list:
    """The networks that look at faces, each ready, so that a download that fails loses no work."""
    from gan import devices

    devices.setup_devices("float32")
    from gan.metrics import feature_extractors, inception

    if not feature_extractors.is_installed("onet"):  # with which comes what looks for faces
        raise feature_extractors.missing_package_error("onet")
    graph, networks = Path(arguments.inception).expanduser() if arguments.inception else None, []
    for name in dict.fromkeys(arguments.network or feature_extractors.installed_extractors()):
        if name == "inception":
            graph = graph or inception.fetch(cache, progress.track_task)
        networks.append(feature_extractors.load_extractor(name, graph))
    return networks


def evaluate(case: Case, networks: list, arguments: argparse.Namespace) -> dict:
    """Scores one run, keeps the scores in its folder, and returns {protocol, generator, scores}."""
    generator = experiment.load_generator(case.run, arguments.weights == "best")
    case.say(f"{generator.source.name} draws {arguments.samples:,} samples")
    fake, found = made(generator, arguments.samples, arguments.seed), {}
    for network in networks:
        case.say(f"{network.name} looks at {len(fake):,} samples")
        found |= distances(case, fake, network, arguments.seed)
    found |= resemblance(case, fake, arguments.seed)
    case.say("a classifier tells what the faces are made of" if case.drawn else "a detector looks for faces")
    own = case.unseen if case.unseen.name == HELD_OUT else case.training.subsample(MAX_HELD_OUT)  # not --reference's
    by, content = evaluation.detect_content(fake, own, case.drawn, case.cache, progress.track_task)
    result = {
        "protocol": protocol(case, networks, arguments) | {"face rate": by},
        "generator": {"file": generator.source.name, "iteration": generator.iteration},
        "scores": found | content,
    }
    path = case.run.folder / "scores.json"
    others = [
        other
        for other in case.run.read_evaluations()
        if protocol_differences({**other, "scores": 0}, {**result, "scores": 0})
    ]
    write_json(path, [*others, result])  # in place of what was measured alike
    return result


def protocol(case: Case, networks: list, arguments: argparse.Namespace) -> dict:
    """How a run is measured, without which its scores say nothing."""
    training, floor = case.training, min(arguments.samples, len(case.training))
    return {
        "samples": arguments.samples,
        "seed": arguments.seed,
        "weights": "averaged" if case.config.ema_half_life else "raw",
        "size": case.config.image_size,
        "crop": case.crop,
        "reference": case.reference.protocol,
        "unseen": case.unseen.protocol,
        "training faces": {"faces": len(training), "digest": training.digest(), "in the floor": floor},
        "networks": {network.name: network.protocol for network in networks},
        **evaluation.PROTOCOL,
        "memorization": {
            "distance": "of 8 x 8 thumbnails",
            "mirrored too": AUGMENTATIONS[case.config.augmentation].mirrors,
        },
    }


def made(generator: Generator, count: int, seed: int) -> np.ndarray:
    """A generator's faces, uint8 (count, h, w, 3), from noise that no training has."""
    from dcgan import DISTRIBUTIONS, NoiseStream

    return generator(
        DISTRIBUTIONS[generator.noise_distribution](
            (count, *generator.noise_shape), (seed, NoiseStream.EVALUATION)
        ).numpy()
    )


def distances(case: Case, fake: np.ndarray, network, seed: int) -> dict:
    """What one network says."""
    found = evaluation.compute_metrics(network, fake, case.reference, case.training, case.cache / "features", seed)
    suffix, names = ("", {"fd": "fid"}) if network.name == "inception" else (f"-{network.name}", {})
    return {names.get(key, key) + suffix: value for key, value in found.items()}


def resemblance(case: Case, fake: np.ndarray, seed: int) -> dict:
    """How alike samples are to training faces and to one another; draws nearest.png."""
    case.say(f"samples are held against {len(case.training):,} training faces")
    held, training = case.unseen, case.training
    found, pairs = evaluation.find_copies(fake, held, training, AUGMENTATIONS[case.config.augmentation].mirrors, seed)
    words = memorization.describe(found)
    if held.name != HELD_OUT:
        words += f", if the faces of {held.name} are of the same kind as those trained on"
    rows = [np.stack([fake[i], training.images[j], held.images[k]]) for i, j, k in pairs]
    picture = make_grid(np.concatenate(rows), columns=3, scale=max(1, 96 // fake.shape[1]))
    write_png(case.run.folder / "nearest.png", picture)
    return {"memorization": found._asdict() | {"summary": words}}


if __name__ == "__main__":
    sys.exit(main())
