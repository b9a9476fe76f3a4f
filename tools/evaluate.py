"""Scores of finished runs, against faces that they never saw.

    python -m tools.evaluate output/RUN                       # all that works offline
    python -m tools.evaluate output/RUN --network onet        # in seconds
    python -m tools.evaluate output/RUN --network inception   # FID and KID; downloads 90 MB once
    python -m tools.evaluate output/A output/B                # side by side, if measured alike

Adds to scores.json in the run's folder, and draws nearest.png: the samples that are nearest to training faces.
"""

import argparse
import dataclasses
import json
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import platformdirs

from data import FEWEST_HELD
from gan import memorisation, progress, scores
from gan.errors import RunError, UsageError
from gan.images import grid, write_png
from gan.runs import Run, write_json
from gan.scores import MOST_HELD, Real, differing
from gan.similarity import similarity

SAMPLES, LEAST = 2000, 64


def main(argv: list[str] | None = None) -> int:
    """Evaluates each run, then shows them side by side where that is fair. Returns the exit code."""
    arguments = parse(argv)
    warnings.showwarning = lambda message, *_: print(f"evaluate: warning: {message}", file=sys.stderr)
    try:
        for run in map(Run, arguments.runs):  # a mistyped name need not wait for the runs before it
            run.config()
            run.generator()
        found = {run: evaluate(Run(run), arguments) for run in arguments.runs}
        print(*side_by_side(found, arguments.anyway), sep="\n")
        return 0
    except (UsageError, RunError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        print("evaluate: stopped. Runs that were done have their scores.json.", file=sys.stderr)
        return 128 + signal.SIGINT


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
    if arguments.seed < 0:
        parser.error(f"argument --seed: {arguments.seed} is not at least 0")
    if arguments.inception and "inception" not in (arguments.network or ()):
        parser.error("argument --inception: it is looked at with --network inception only")
    return arguments


def evaluate(run: Run, arguments: argparse.Namespace) -> dict:
    """Scores one run, keeps the scores in its folder, and returns {protocol, generator, scores}."""
    from gan import devices

    devices.prepare("float32")
    from gan.features import offline

    config = run.config()
    path, iteration = run.generator(arguments.weights == "best")
    before = kept(run.folder / "scores.json")
    cache = Path(arguments.cache_dir or config.cache_dir or platformdirs.user_cache_dir("dcgan-faces"))
    faces, held, training = real_faces(run, config, cache, arguments)
    fake = made(path, config, arguments.samples, arguments.seed)
    protocol = {
        "samples": len(fake),
        "seed": arguments.seed,
        "weights": "averaged" if config.average_half_life else "raw",
        "size": config.image_size,
        "crop": faces.report["crop"],
        "reference": {"faces": len(held), "digest": held.digest()},
        "training faces": {"faces": len(training), "digest": training.digest()},
    }
    scores = {}
    for name in arguments.network or offline():
        print(f"{run.folder}: {name} looks at {len(fake):,} samples ...", flush=True)
        scores |= distances(name, fake, held, training, cache, protocol, arguments)
    scores |= resemblance(run, fake, held, training, config.flip, protocol, arguments.seed)
    scores |= content(fake, held, faces, cache, protocol)
    result = {"protocol": protocol, "generator": {"file": path.name, "iteration": iteration}, "scores": scores}
    others = [other for other in before if differing({**other, "scores": 0}, {**result, "scores": 0})]
    write_json(run.folder / "scores.json", [*others, result])  # in place of what was measured alike
    return result


def kept(path: Path) -> list[dict]:
    """What earlier evaluations found. Raises UsageError where the file of it is damaged."""
    try:
        return [dict(result) for result in json.loads(path.read_text("utf-8"))] if path.exists() else []
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error}): move it away, and evaluate again.") from error


def real_faces(run, config, cache: Path, arguments):
    """A run's data, the faces that its samples are held against, and those that it trained on."""
    faces = opened(f"{run.folder} was trained on {config.data}", config, cache)
    if (known := run.faces()) and faces.digest not in known:
        raise UsageError(f"{run.folder} was trained on {known}; {config.data} holds other faces now.")
    training, held = (Real(faces.images, rows) for rows in faces.split(config.holdout))
    if arguments.reference:
        other = dataclasses.replace(config, data=arguments.reference, limit=0)
        other = opened(f"--reference {arguments.reference}", other, cache)
        unseen = ~np.isin(other.digests, faces.digests[training.rows])
        held = Real(other.images, np.flatnonzero(unseen))
    if len(held) < FEWEST_HELD:
        whose = f"--reference {arguments.reference} has" if arguments.reference else f"{run.folder} held out"
        raise UsageError(
            f"{whose} {len(held)} faces that it never trained on, and a score needs {FEWEST_HELD} or more."
            " Give others to score against: --reference DATA"
        )
    return faces, held.some(MOST_HELD), training


def opened(whose: str, config, cache: Path):
    """The faces that a configuration names; `whose` they are introduces what is wrong with them."""
    import train

    try:
        return train.load(dataclasses.replace(config, cache_dir=str(cache)))
    except (UsageError, RunError) as error:
        raise type(error)(f"{whose}: {str(error).removeprefix(f'--data {config.data}: ')}") from error


def made(path: Path, config, count: int, seed: int) -> np.ndarray:
    """Faces of a saved generator, uint8 (count, h, w, 3), from noise that no training has."""
    import keras

    from dcgan import NOISES
    from gan.images import to_uint8

    try:
        generator = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split("\n\n")[-1].split())[:300]
        raise UsageError(f"{path} is not a generator that can be opened ({reason})") from error
    noise = NOISES[config.noise_distribution]((count, *generator.input_shape[1:]), (seed, -3))
    parts = [generator(noise[i : i + 100], training=False) for i in range(0, count, 100)]
    return np.concatenate([to_uint8(part) for part in parts])


def distances(name: str, fake, held, training, cache: Path, protocol: dict, arguments) -> dict:
    """What one network says; adds how it was asked to the protocol."""
    from gan import features, inception

    graph = Path(arguments.inception).expanduser() if arguments.inception else None
    if name == "inception" and not graph:
        graph = inception.fetch(cache, progress.task)
    network = features.open_network(name, graph)
    protocol.setdefault("networks", {})[name] = network.protocol
    found = scores.against(network, fake, held, training, cache / "features", arguments.seed)
    suffix, names = ("", {"fd": "fid"}) if name == "inception" else (f"-{name}", {})
    return {names.get(key, key) + suffix: value for key, value in found.items()}


def resemblance(run, fake, held, training, flip: bool, protocol: dict, seed: int) -> dict:
    """How alike samples are to training faces and to one another; draws nearest.png."""
    protocol["memorisation"] = {"distance": "of 8 x 8 thumbnails", "mirrored too": flip}
    found, pairs = scores.copies(fake, held, training, flip, seed)
    rows = [np.stack([fake[i], training.images[j], held.images[k]]) for i, j, k in pairs]
    write_png(run.folder / "nearest.png", grid(np.concatenate(rows), columns=3, scale=max(1, 96 // fake.shape[1])))
    return {
        "memorisation": found._asdict() | {"in_words": memorisation.in_words(found)},
        "similarity": similarity(fake),
        "similarity_real": similarity(held.some(1000).pixels()),
    }


def content(fake, held, faces, cache: Path, protocol: dict) -> dict:
    """What is in the pictures: faces that a detector finds, or, in drawn ones, what each is made of."""
    from gan import attributes, features

    real = held.some(1000).pixels()
    if not faces.attributes:
        detect = features.detector()
        protocol["face rate"] = {"detector": "mtcnn 1.0.0", "size": features.DETECTED_AT, "surer than": features.SURE}
        return {"face_rate": float(detect(fake).mean()), "face_rate_real": float(detect(real).mean())}
    judge = attributes.classifier(fake.shape[1], cache, progress.task)
    protocol["face rate"] = {"classifier": judge.digest}
    told, known = judge.tell(fake), judge.tell(held.pixels())
    spread = attributes.compare(attributes.histograms(told), attributes.histograms(known))
    return {
        "face_rate": judge.face_rate(told),
        "face_rate_real": judge.face_rate(known),
        "mode_coverage": spread.coverage,
        "modes_missing": spread.missing,
        "attribute_distances": spread.distances,
    }


def side_by_side(found: dict[str, dict], anyway: bool) -> list[str]:
    """A table of all scores of all runs. Raises UsageError where they were measured differently, unless `anyway`."""
    first, *others = found
    lines = []
    for other in others:
        if different := differing(found[first]["protocol"], found[other]["protocol"]):
            lines += [f"{first} and {other} were measured differently:", *(f"  {line}" for line in different)]
    if lines and not anyway:
        lines.append("So their scores cannot be compared; each run's scores.json has its own. --anyway shows them.")
        raise UsageError("\n".join(lines))
    names = list(dict.fromkeys(name for result in found.values() for name in result["scores"]))
    width = max(12, *(len(run) + 2 for run in found))
    lines.append(f"{'':24}" + "".join(f"{run:>{width}}" for run in found))
    for name in names:
        values = [result["scores"].get(name) for result in found.values()]
        if all(isinstance(value, float | None) for value in values):
            lines.append(f"{name:24}" + "".join(f"{number(value):>{width}}" for value in values))
    for run, result in found.items():
        generator, protocol = result["generator"], result["protocol"]
        lines.append(
            f"{run}: {generator['file']} of iteration {generator['iteration']:,}, {protocol['samples']:,} samples"
            f" ({protocol['weights']} weights) against {protocol['reference']['faces']:,} faces"
        )
        lines.append(f"  {result['scores']['memorisation']['in_words']}")
    return lines


def number(value: float | None) -> str:
    """A score in few digits."""
    if value is None:
        return "-"
    size = abs(value)
    return format(value, ".2e" if size >= 1e6 else ",.0f" if size >= 100 else ".3g" if size >= 10 else ".3f")


if __name__ == "__main__":
    sys.exit(main())
