"""Summary of a run for the gallery: a few kilobytes, read from the run's directory in whatever state it is.

summary = summarize(folder)  # raises UsageError where its config.json does not describe a run
"""

import dataclasses
import hashlib
import json
import os
import re
import urllib.parse
from pathlib import Path

import numpy as np

from gan import config
from gan.config import Config
from gan.errors import UsageError
from gan.metrics import report
from gan.metrics.evaluation import select_best
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import LOG_END, LOG_START, Run

POINTS = 100  # of a curve
WHOLE, BLOCK = 1 << 20, 1 << 13  # bytes: a log of up to so many is read whole, else a block of it for each point
FINEST = ("fid", "kid", "kid-vgg", "kid-onet")  # of an evaluation's scores, the one to go by


def summarize(folder: Path) -> dict:
    """Everything that the page shows of a run. A damaged file leaves a note; its part is missing."""
    run, notes = Run(folder), []
    saved, settings = read_settings(run)
    usual, grids = dataclasses.asdict(Config()), list_grids(folder)
    facts = {
        "name": printable(folder.name),
        "path": urllib.parse.quote(os.fsencode(folder.name), safe=""),
        "written": int((run.log if run.log.exists() else folder / "config.json").stat().st_mtime),
        "size": settings.image_size,
        "per": settings.images_per_iteration,
        "faces": str(saved.get("faces", "")),
        "settings": {name: value for name, value in dataclasses.asdict(settings).items() if value != usual[name]},
        "changed": [*config.overrides(settings)],
        "command": printable(config.format_command(settings)),
        "grids": grids,
        "iterations": grids[-1] if grids else 0,
        "nearest": (folder / "nearest.png").exists(),
    }
    for name, read in PARTS.items():
        path = legacy.find(folder, name)
        try:
            facts |= read(run, settings, path) if path.exists() else {}
        except Exception as error:  # it may be damaged in any way
            notes.append(f"{path.name} is damaged: {str(error) or type(error).__name__}"[:200])
    return facts | {"images": facts["iterations"] * facts["per"], "notes": notes}


def read_settings(run: Run) -> tuple[dict, Config]:
    """The content of config.json, and the configuration. Raises UsageError, with the reason, where it is none."""
    try:
        settings = run.load_config()
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"{run.folder}{os.sep}")) from None
    if settings.name != run.folder.name:  # so that its command goes on here
        settings = dataclasses.replace(settings, run=run.folder.name)
    return run.read_config(), settings


def list_grids(folder: Path) -> list[int]:
    """The iterations that have a grid."""
    names = [name[:-4] for name in os.listdir(folder) if re.fullmatch(r"[0-9]{6,}\.png", name)]
    return sorted(int(name) for name in names if name == f"{int(name):06d}")


def printable(text: str) -> str:
    """Text for a page: what a file system allows in names and UTF-8 does not becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def digest(*parts) -> str:
    """16 hexadecimal digits that are equal for equal parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def round_value(value: float | None) -> float | None:
    """Four digits; None for what is not finite."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def require_finite(value) -> float:
    """A number as a float. Raises ValueError where JSON has no such number."""
    if not np.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


# The parts of a summary, each read from one file of the run


def summarize_length(run: Run, settings: Config, path: Path) -> dict:
    """The iterations, or seconds, that the run is asked for, where its settings alone tell."""
    if settings.minutes:
        return {"asked": {"seconds": 60 * settings.minutes}}
    return {} if settings.steps_per_epoch == "all" else {"asked": {"iterations": settings.iterations(0)}}


def summarize_passes(run: Run, settings: Config, path: Path) -> dict:
    """The iterations of the passes over the data that the run is asked for."""
    if settings.minutes or settings.steps_per_epoch != "all":
        return {}
    report = json.loads(path.read_text("utf-8"))
    held_out = report.get("held_out", settings.holdout * report["used"])  # which older runs do not tell
    return {"asked": {"iterations": settings.iterations(round(report["used"] - held_out))}}


def summarize_networks(run: Run, settings: Config, path: Path) -> dict:
    """The sizes of the networks, and, where the log is lost, how far the run was."""
    paths = checkpoints.list_paths(path)
    if not paths:
        return {}
    return {"weights": checkpoints.count_weights(paths[-1]), "iterations": int(paths[-1].stem)}


def summarize_log(run: Run, settings: Config, path: Path) -> dict:
    """How far the run is, and the curve of every scalar of the log, by its name."""
    names, lines = read_lines(path)
    if not lines:
        return {}
    # loadtxt, which is ten times as fast as genfromtxt, knows no empty cells.
    rows = np.loadtxt([line.replace(",,", ",nan,").replace(",,", ",nan,") for line in lines], delimiter=",", ndmin=2)
    columns = dict(zip(names, average_neighbors(rows), strict=True))
    scalars = [name for name in names if name not in (*LOG_START, *LOG_END)]
    curve = {name: [*map(round_value, columns[name])] for name in ["seconds", *scalars]}
    return {
        "iterations": int(rows[-1, names.index("iteration")]),
        "seconds": require_finite(rows[-1, names.index("seconds")]),
        "curve": {"iteration": [round(value) for value in columns["iteration"]], **curve},
        "scalars": scalars,
    }


def read_lines(path: Path) -> tuple[list[str], list[str]]:
    """The names of a log's columns and its whole rows; of a large log, neighbors in `POINTS` places."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        names = legacy.translate_columns(file.readline().decode("utf-8", "replace").strip().split(","))
        if size <= WHOLE:
            lines = file.read().split(b"\n")[:-1]  # the last may be torn
        else:
            lines = []
            for start in np.linspace(file.tell(), size - BLOCK, POINTS).astype(int):
                file.seek(start)
                lines += file.read(BLOCK).split(b"\n")[1:-1]
    return names, [line.decode("ascii") for line in lines if line.count(b",") == len(names) - 1]


def average_neighbors(rows: np.ndarray) -> np.ndarray:
    """Rows (n, c) -> (c, at most POINTS), means over neighbors that are finite; NaN where none is."""
    starts = np.linspace(0, len(rows), min(len(rows), POINTS), endpoint=False).astype(int)
    finite = np.isfinite(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.add.reduceat(np.where(finite, rows, 0), starts) / np.add.reduceat(finite, starts, dtype=int)).T


def summarize_scores(run: Run, settings: Config, path: Path) -> dict:
    """The scores during training; of very many, some, the best among them."""
    rows = run.read_scores()
    if not rows:
        return {}
    best = select_best([row["kid"] for row in rows], [row["kid_stderr"] for row in rows])
    kept = sorted({best, len(rows) - 1, *range(0, len(rows), -(-len(rows) // POINTS))})
    names = ("kid", "face_rate", "diversity", "memorization")
    found = {name: [round_value(rows[i][name]) for i in kept] for name in names}
    network, iterations = rows[-1]["network"], [rows[i]["iteration"] for i in kept]
    group = comparability_group(run, settings, network)
    return {"scores": {"network": network, "group": group, "iteration": iterations, **found}}


def comparability_group(run: Run, settings: Config, network: str) -> str:
    """What scores during training have in common if they may be compared."""
    return digest(network, run.trained_on() or settings.data, settings.holdout, settings.image_size)


def summarize_best(run: Run, settings: Config, path: Path) -> dict:
    """The best score during training, and how it was measured."""
    score = json.loads(path.read_text("utf-8"))
    name, size = f"kid-{score['network']}", settings.image_size
    return {
        "best": {
            "name": name,
            "value": require_finite(score["kid"]),
            "iteration": int(score["iteration"]),
            "measured": f"{name} while training on {settings.data} at {size} x {size}",
            "group": comparability_group(run, settings, score["network"]),
        }
    }


def summarize_failures(run: Run, settings: Config, path: Path) -> dict:
    """The failure modes that had not ended."""
    return {"failures": run.active_failures()}


def summarize_evaluations(run: Run, settings: Config, path: Path) -> dict:
    """What tools.evaluate measured, the latest last, and its finest score in place of the best during training."""
    found = legacy.translate_scores(json.loads(path.read_text("utf-8")))
    evaluations = [summarize_evaluation(run, result) for result in found]
    best = {"best": evaluations[-1]["best"]} if evaluations and evaluations[-1]["best"] else {}
    return {"evaluations": evaluations} | best


def summarize_evaluation(run: Run, result: dict) -> dict:
    """One evaluation: as sentences, score by score, and the score to go by."""
    protocol, reference, scores = result["protocol"], result["protocol"]["reference"], result["scores"]
    name = next((name for name in FINEST if name in scores), None)
    values = [(score, value) for score, value in scores.items() if isinstance(value, float | None)]
    return {
        "sentences": report.describe_scores(run.folder.name, result),
        "networks": list(protocol["networks"]),
        "rows": [[score, report.format_number(value)] for score, value in values],
        "best": name
        and {
            "name": name,
            "value": require_finite(scores[name]),
            "iteration": result["generator"]["iteration"],
            "measured": f"{name} of {protocol['samples']:,} samples against {report.describe_reference(reference)}",
            "group": digest(name, protocol["samples"], protocol["networks"], reference),
        },
    }


def summarize_sessions(run: Run, settings: Config, path: Path) -> dict:
    """The training sessions of a run that tools.compare trained, and whether they shared the machine."""
    sessions = json.loads(path.read_text("utf-8"))
    return {"sessions": [{"minutes": one["minutes"], "shared": bool(one.get("shared"))} for one in sessions]}


# The part that each file gives; later parts replace earlier ones.
PARTS = {
    "config.json": summarize_length, "data.json": summarize_passes, "checkpoints": summarize_networks,
    "log.csv": summarize_log, "metrics.csv": summarize_scores, "best.json": summarize_best,
    "diagnostics.csv": summarize_failures, "scores.json": summarize_evaluations, "sessions.json": summarize_sessions,
}  # fmt: skip
