"""What the gallery tells of a run, in a few kilobytes: read from its folder, in whatever state that is.

fingerprint, grids = look(folder)       # changes whenever what there is to tell does; costs next to nothing
summary = summarise(folder, grids)      # raises UsageError where its config.json does not say what run it is
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
from gan.metrics.distances import select_best
from gan.metrics.evaluation import format_number
from gan.runs import checkpoints
from gan.runs.run_directory import Run

POINTS = 100  # of a curve
WHOLE, BLOCK = 1 << 20, 1 << 13  # bytes: a log of up to so many is read whole, else a block of it for each point
TOLD = ("config.json", "data.json", "log.csv", "metrics.csv", "best.json", "health.csv", "scores.json",
        "sittings.json", "nearest.png", "checkpoints")  # fmt: skip
FINEST = ("fid", "kid", "kid-vgg", "kid-onet")  # of an evaluation's scores, the one to go by


def look(folder: Path) -> tuple[str, list[int]]:
    """A digest of the names, times and sizes of all that a summary is made from, and the iterations with a picture."""
    grids, seen = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if re.fullmatch(r"[0-9]{6,}\.png", entry.name) and entry.name == f"{int(entry.name[:-4]):06d}.png":
                grids.append(int(entry.name[:-4]))
            elif entry.name in TOLD:
                status = entry.stat()
                seen.append((entry.name, status.st_mtime_ns, status.st_size))
    grids.sort()
    return digest(sorted(seen), grids), grids


def digest(*parts) -> str:
    """16 hexadecimal digits of anything that looks the same whenever it is."""
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


def summarise(folder: Path, grids: list[int]) -> dict:
    """All that is told. A file that is damaged leaves a note, and what it would have told is missing."""
    saved, settings = configuration(folder)
    usual = dataclasses.asdict(Config())
    facts = {
        "name": shown(folder.name),
        "path": urllib.parse.quote(os.fsencode(folder.name), safe=""),
        "written": int((folder / ("log.csv" if (folder / "log.csv").exists() else "config.json")).stat().st_mtime),
        "size": settings.image_size,
        "per": settings.images_per_iteration,
        "faces": str(saved.get("faces", "")),
        "settings": {name: value for name, value in dataclasses.asdict(settings).items() if value != usual[name]},
        "changed": [*config.overrides(settings)],
        "command": shown(config.format_command(settings)),
        "grids": grids,
        "iterations": grids[-1] if grids else 0,
        "nearest": (folder / "nearest.png").exists(),
    }
    notes = []
    for name, read in PARTS.items():
        try:
            facts |= read(Run(folder), settings) if (folder / name).exists() else {}
        except Exception as error:  # it may be damaged in any way
            notes.append(f"{name} is damaged: {str(error) or type(error).__name__}"[:200])
    return facts | {"images": facts["iterations"] * facts["per"], "notes": notes}


def configuration(folder: Path) -> tuple[dict, Config]:
    """What config.json holds, and the configuration that is. Raises UsageError, with the reason, where it is none."""
    try:
        settings = Run(folder).load_config()
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"{folder}{os.sep}")) from None
    if settings.name != folder.name:  # so that its command goes on here
        settings = dataclasses.replace(settings, run=folder.name)
    return Run(folder).read_config(), settings


def shown(text: str) -> str:
    """Text that can be printed: what a file system allows in names and UTF-8 does not is a question mark."""
    return text.encode("utf-8", "replace").decode()


def networks(run: Run, settings: Config) -> dict:
    """How large they are, and, where the log is lost, how far the run was."""
    paths = checkpoints.list_paths(run.checkpoints)
    return {"weights": checkpoints.count_weights(paths[-1]), "iterations": int(paths[-1].stem)} if paths else {}


def losses(run: Run, settings: Config) -> dict:
    """How far the run is, and its losses on the way."""
    names, lines = table(run.log)
    if not lines:
        return {}
    columns = [names.index(name) for name in ("iteration", "seconds", "d_loss", "g_loss")]
    rows = np.loadtxt(lines, delimiter=",", usecols=columns, ndmin=2)
    iteration, seconds, d_loss, g_loss = means(rows)
    return {
        "iterations": int(rows[-1, 0]),
        "seconds": finite(rows[-1, 1]),
        "curve": {
            "iteration": [round(value) for value in iteration],
            "seconds": [*map(rounded, seconds)],
            "d_loss": [*map(rounded, d_loss)],
            "g_loss": [*map(rounded, g_loss)],
        },
    }


def table(path: Path) -> tuple[list[str], list[str]]:
    """The names of a log's columns and its whole rows; of a large one, neighbours in `POINTS` places."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        names = file.readline().decode("utf-8", "replace").strip().split(",")
        if size <= WHOLE:
            lines = file.read().split(b"\n")[:-1]  # the last may be torn
        else:
            lines = []
            for start in np.linspace(file.tell(), size - BLOCK, POINTS).astype(int):
                file.seek(start)
                lines += file.read(BLOCK).split(b"\n")[1:-1]
    return names, [line.decode("ascii") for line in lines if line.count(b",") == len(names) - 1]


def means(rows: np.ndarray) -> np.ndarray:
    """Rows (n, c) -> (c, at most POINTS), means over neighbours, without what is not finite; NaN where nothing is."""
    starts = np.linspace(0, len(rows), min(len(rows), POINTS), endpoint=False).astype(int)
    finite = np.isfinite(rows)
    with np.errstate(invalid="ignore", over="ignore"):
        return (np.add.reduceat(np.where(finite, rows, 0), starts) / np.add.reduceat(finite, starts, dtype=int)).T


def rounded(value: float | None) -> float | None:
    """Four digits; None for what is no number."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.4g}")


def finite(value) -> float:
    """A number as a float; raises ValueError where JSON has none such."""
    if not np.isfinite(value):
        raise ValueError(f"{value} is not finite")
    return float(value)


def length(run: Run, settings: Config) -> dict:
    """How many iterations, or seconds, the run is asked for, where its settings alone tell."""
    if settings.minutes:
        return {"asked": {"seconds": 60 * settings.minutes}}
    return {} if settings.steps_per_epoch == "all" else {"asked": {"iterations": settings.iterations(0)}}


def passes(run: Run, settings: Config) -> dict:
    """About how many iterations the passes are that the run is asked for."""
    if settings.minutes or settings.steps_per_epoch != "all":
        return {}
    data = json.loads((run.folder / "data.json").read_text("utf-8"))
    held = data.get("held_out", settings.holdout * data["used"])  # which older runs do not tell
    return {"asked": {"iterations": settings.iterations(round(data["used"] - held))}}


def scores(run: Run, settings: Config) -> dict:
    """The scores on the way; of very many, some, the best among them."""
    rows = run.read_scores()
    if not rows:
        return {}
    best = select_best([row["kid"] for row in rows], [row["error"] for row in rows])
    kept = sorted({best, len(rows) - 1, *range(0, len(rows), -(-len(rows) // POINTS))})
    names = ("kid", "face_rate", "diversity", "memorisation")
    found = {name: [rounded(rows[i][name]) for i in kept] for name in names}
    network, iterations = rows[-1]["network"], [rows[i]["iteration"] for i in kept]
    return {"scores": {"network": network, "alike": alike(run, settings, network), "iteration": iterations, **found}}


def alike(run: Run, settings: Config, network: str) -> str:
    """What scores on the way have in common where they may stand side by side."""
    return digest(network, run.trained_on() or settings.data, settings.holdout, settings.image_size)


def best(run: Run, settings: Config) -> dict:
    """The best score on the way, and how it was measured."""
    score = json.loads((run.folder / "best.json").read_text("utf-8"))
    name, size = f"kid-{score['network']}", settings.image_size
    return {
        "best": {
            "name": name,
            "value": finite(score["kid"]),
            "iteration": int(score["iteration"]),
            "measured": f"{name} while training on {settings.data} at {size} x {size}",
            "alike": alike(run, settings, score["network"]),
        }
    }


def ailing(run: Run, settings: Config) -> dict:
    """What was wrong with the game at the end."""
    return {"ailing": run.active_failures()}


def evaluated(run: Run, settings: Config) -> dict:
    """What tools.evaluate found, the latest last, and its finest score in place of the best on the way."""
    found = json.loads((run.folder / "scores.json").read_text("utf-8"))
    told = [evaluation(run, result) for result in found]
    return {"evaluated": told} | ({"best": told[-1]["best"]} if told and told[-1]["best"] else {})


def evaluation(run: Run, result: dict) -> dict:
    """One evaluation: in words, score by score, and the score to go by."""
    protocol, reference, scores = result["protocol"], result["protocol"]["reference"], result["scores"]
    name = next((name for name in FINEST if name in scores), None)
    return {
        "told": report.describe_scores(run.folder.name, result),
        "networks": list(protocol["networks"]),
        "rows": [[score, format_number(value)] for score, value in scores.items() if isinstance(value, float | None)],
        "best": name
        and {
            "name": name,
            "value": finite(scores[name]),
            "iteration": result["generator"]["iteration"],
            "measured": f"{name} of {protocol['samples']:,} samples against {report.describe_reference(reference)}",
            "alike": digest(name, protocol["samples"], protocol["networks"], reference),
        },
    }


def sittings(run: Run, settings: Config) -> dict:
    """Of a run that tools.compare trained: how long it was given, and how often it shared the machine."""
    had = json.loads((run.folder / "sittings.json").read_text("utf-8"))
    return {"sittings": [{"minutes": one["minutes"], "shared": bool(one.get("shared"))} for one in had]}


# What each file tells; a later one goes before an earlier one.
PARTS = {
    "config.json": length, "data.json": passes, "checkpoints": networks, "log.csv": losses, "metrics.csv": scores,
    "best.json": best, "health.csv": ailing, "scores.json": evaluated, "sittings.json": sittings,
}  # fmt: skip
