"""Summary of a run for the gallery: a few kilobytes of JSON, read from the run's folder in whatever state it is.

summary = summarize(Path("output/faces"))  # {"name": "faces", "iterations": 3000, "grids": [0, 150, ...], ...}
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import urllib.parse
from pathlib import Path

import numpy as np

from gan import config
from gan.config import Config
from gan.errors import UsageError
from gan.files import parse_numbers
from gan.metrics import report
from gan.metrics.evaluation import select_best
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import Run
from gan.runs.scalars import group_scalars, select_scalars

POINTS = 100  # of a curve
FULL_READ_LIMIT = 1 << 20  # bytes: of a larger log only POINTS blocks are read
BLOCK_SIZE = 1 << 13  # bytes
MAIN_SCORES = ("fid", "kid", "kid-vgg", "kid-onet")  # the first that an evaluation has is its main score


def summarize(folder: Path) -> dict:
    """Returns what the page says about a run, without NaN or infinity.

    Where a file is damaged, its part is missing and `notes` says so. Raises UsageError where config.json does not
    describe a run.
    """
    run = Run(folder)
    settings, defaults, grids = (
        load_settings(run),
        dataclasses.asdict(Config()),
        [int(path.stem) for path in run.grids.list_paths()],
    )
    summary = {
        "name": replace_surrogates(folder.name),
        "path": urllib.parse.quote(os.fsencode(folder.name), safe=""),
        "modified": int((run.tables.log if run.tables.log.exists() else folder / "config.json").stat().st_mtime),
        "image_size": settings.image_size,
        "images_per_iteration": settings.images_per_iteration,
        "trained_on": run.trained_on(),
        "settings": {name: value for name, value in dataclasses.asdict(settings).items() if value != defaults[name]},
        "overrides": [*config.overrides(settings)],
        "command": replace_surrogates(config.format_command(settings)),
        "grids": grids,
        "begun": read_time(run.grids.path(grids[0])) if grids else 0,
        "iterations": grids[-1] if grids else 0,
        "nearest": read_time(folder / "nearest.png"),
        "audit": read_time(folder / "audit.png"),
        # In folders of older versions, a file of that name is by tools.generate.
        "training_images": run.grids.contact_sheet.exists() and "align" in run.read_config(),
    }
    notes = []
    for name, summarize_part in PARTS.items():
        path = legacy.find(folder, name)
        try:
            summary |= summarize_part(run, settings, path) if path.exists() else {}
        except UsageError:  # whose message says how to continue the run
            notes.append(f"{path.name} is damaged")
        except Exception as error:  # a file may be damaged in any way
            notes.append(f"{path.name} is damaged: {str(error) or type(error).__name__}"[:200])
    return summary | {"images": summary["iterations"] * summary["images_per_iteration"], "notes": notes}


def load_settings(run: Run) -> Config:
    """Returns the configuration of a run, under the present name of its folder, so that its command continues it.

    Raises UsageError where config.json does not describe a run.
    """
    try:
        settings = run.load_config()
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"{run.folder}{os.sep}")) from None
    return settings if settings.name == run.folder.name else dataclasses.replace(settings, run=run.folder.name)


def read_time(path: Path) -> int:
    """Returns when a file was written, in seconds since 1970; 0 where there is none."""
    return int(path.stat().st_mtime) if path.exists() else 0


def replace_surrogates(text: str) -> str:
    """Returns text that UTF-8 can encode: a byte of a file's name that is no text becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def hash_parts(*parts) -> str:
    """Returns 16 hexadecimal digits, equal for equal parts."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def round_value(value: float | None) -> float | None:
    """Rounds a value to four digits; NaN and infinity become None."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def require_finite(value) -> float:
    """Returns a number as a float. Raises ValueError where it is NaN or infinite, which JSON has no numbers for."""
    if not np.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


# Parts of a summary, each read from one file of the run


def summarize_length(run: Run, settings: Config, path: Path) -> dict:
    """The planned length in iterations or seconds, where it does not depend on the number of images."""
    if settings.minutes:
        return {"target": {"seconds": 60 * settings.minutes}}
    return {} if settings.steps_per_epoch == "all" else {"target": {"iterations": settings.iterations(0)}}


def summarize_passes(run: Run, settings: Config, path: Path) -> dict:
    """The planned length in iterations, where an epoch is a pass over the training images."""
    if settings.minutes or settings.steps_per_epoch != "all":
        return {}
    data = json.loads(path.read_text("utf-8"))
    held_out = data.get("held_out", settings.holdout * data["used"])  # older runs do not record these
    return {"target": {"iterations": settings.iterations(data.get("trained", round(data["used"] - held_out)))}}


def summarize_checkpoints(run: Run, settings: Config, path: Path) -> dict:
    """The numbers of weights; and how far the run is, for the case that its log is lost."""
    paths = checkpoints.list_paths(path)
    if not paths:
        return {}
    return {"weights": checkpoints.count_weights(paths[-1]), "iterations": int(paths[-1].stem)}


def summarize_log(run: Run, settings: Config, path: Path) -> dict:
    """How far the run is, and a curve of every scalar of the log under its name."""
    names, lines = sample_lines(path)
    if not lines:
        return {}
    rows = parse_numbers(lines, len(names))
    columns = dict(zip(names, average_neighbors(rows), strict=True))
    curve = {name: [*map(round_value, columns[name])] for name in ["seconds", *select_scalars(names)]}
    return {
        "iterations": int(rows[-1, names.index("iteration")]),
        "seconds": require_finite(rows[-1, names.index("seconds")]),
        "curve": {"iteration": [round(value) for value in columns["iteration"]], **curve},
        "scalars": group_scalars(names),
    }


def sample_lines(path: Path) -> tuple[list[str], list[str]]:
    """Returns the present names of a log's columns, and its complete lines; of a large log, those of POINTS blocks."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        names = legacy.translate_columns(file.readline().decode("utf-8", "replace").strip().split(","))
        if size <= FULL_READ_LIMIT:
            lines = file.read().split(b"\n")[:-1]  # the last one may be incomplete
        else:
            lines = []
            for start in np.linspace(file.tell(), size - BLOCK_SIZE, POINTS).astype(int):
                file.seek(start)
                lines += file.read(BLOCK_SIZE).split(b"\n")[1:-1]
    return names, [line.decode("ascii") for line in lines if line.count(b",") == len(names) - 1]


def average_neighbors(rows: np.ndarray) -> np.ndarray:
    """Averages the finite values of neighboring rows: (n, c) -> (c, at most POINTS); NaN where there are none."""
    starts = np.linspace(0, len(rows), min(len(rows), POINTS), endpoint=False).astype(int)
    finite = np.isfinite(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.add.reduceat(np.where(finite, rows, 0), starts) / np.add.reduceat(finite, starts, dtype=int)).T


def summarize_scores(run: Run, settings: Config, path: Path) -> dict:
    """The scores during training: at most about POINTS of them, the best and the last included.

    Of several at an iteration, as of several averages, that is the last.
    """
    rows = [*{row["iteration"]: row for row in run.tables.read_scores()}.values()]
    if not rows:
        return {}
    best = select_best([row["kid"] for row in rows], [row["kid_stderr"] for row in rows])
    kept = [rows[i] for i in sorted({best, len(rows) - 1, *range(0, len(rows), -(-len(rows) // POINTS))})]
    names = ("kid", "face_rate", "diversity", "memorization")
    columns = {name: [round_value(row[name]) for row in kept] for name in names}
    network, iterations = rows[-1]["network"], [row["iteration"] for row in kept]
    group = comparability_group(run, settings, network)
    return {"scores": {"network": network, "group": group, "iteration": iterations, **columns}}


def comparability_group(run: Run, settings: Config, network: str) -> str:
    """Returns a text that is equal for runs whose scores during training may be compared."""
    held_out = None  # fewer where images without a label are left out
    with contextlib.suppress(UsageError):  # which `summarize_passes` tells of
        held_out = (run.read_data_report() or {}).get("held_out")
    return hash_parts(network, run.trained_on() or settings.data_title, settings.holdout, held_out, settings.image_size)


def summarize_best(run: Run, settings: Config, path: Path) -> dict:
    """The best score during training, and how it was measured."""
    score = json.loads(path.read_text("utf-8"))
    # Its KID is of centered features, and so lower than that of an evaluation.
    name, size = f"kid-{score['network']}, centered", settings.image_size
    return {
        "best": {
            "name": name,
            "value": require_finite(score["kid"]),
            "iteration": int(score["iteration"]),
            "protocol": f"{name} during training on {settings.data_title} at {size} x {size}",
            "group": comparability_group(run, settings, score["network"]),
        }
    }


def summarize_failures(run: Run, settings: Config, path: Path) -> dict:
    """The failure modes that have not ended, each with its advice."""
    return {"failures": run.tables.read_active_failures()}


def summarize_evaluations(run: Run, settings: Config, path: Path) -> dict:
    """The evaluations, the last one last; its main score replaces the best one during training."""
    evaluations = [summarize_evaluation(run, result) for result in run.read_evaluations()]
    best = {"best": evaluations[-1]["best"]} if evaluations and evaluations[-1]["best"] else {}
    return {"evaluations": evaluations} | best


def summarize_evaluation(run: Run, result: dict) -> dict:
    """One evaluation: sentences about it, all its scores, and the main score."""
    protocol, reference, scores = result["protocol"], result["protocol"]["reference"], result["scores"]
    name = next((name for name in MAIN_SCORES if name in scores), None)
    numbers = [(score, value) for score, value in scores.items() if isinstance(value, float | None)]
    return {
        "sentences": report.describe_scores(run.folder.name, result),
        "networks": list(protocol["networks"]),
        "rows": [[score, report.format_number(value)] for score, value in numbers],
        "best": name
        and {
            "name": name,
            "value": require_finite(scores[name]),
            "iteration": result["generator"]["iteration"],
            "protocol": f"{name} of {protocol['samples']:,} samples against {report.describe_reference(reference)}",
            "group": hash_parts(name, protocol["samples"], protocol["networks"], reference),
        },
    }


def summarize_sessions(run: Run, settings: Config, path: Path) -> dict:
    """The training sessions of a run of tools.compare, and whether other work shared the machine with them."""
    sessions = [legacy.translate_session(session) for session in json.loads(path.read_text("utf-8"))]
    return {"sessions": [{"minutes": one["minutes"], "shared": bool(one.get("shared"))} for one in sessions]}


def summarize_labels(run: Run, settings: Config, path: Path) -> dict:
    """The labels that the generator was trained with, and their shares, in words."""
    return {"labels": run.load_labels().describe_shares()}


# By the file that each part is read from. A later part replaces what an earlier one has under the same name.
PARTS = {
    "config.json": summarize_length, "data.json": summarize_passes, "checkpoints": summarize_checkpoints,
    "log.csv": summarize_log, "metrics.csv": summarize_scores, "best.json": summarize_best,
    "diagnostics.csv": summarize_failures, "scores.json": summarize_evaluations, "sessions.json": summarize_sessions,
    "labels.json": summarize_labels,
}  # fmt: skip
