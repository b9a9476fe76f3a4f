"""Folders of finished runs for tests, made without training."""

import dataclasses

import numpy as np
from PIL import Image

from gan.config import Config
from gan.files import write_csv, write_json
from gan.metrics.evaluation import select_best
from gan.runs import checkpoints
from gan.runs.run_directory import Run
from gan.runs.tables import SCORE_COLUMNS

HTML_NAME = "<img src=x onerror=alert(1)>"  # a name that would run a script if it were not escaped
SCALAR_COLUMNS = ["iteration", "images", "seconds", "d_loss", "g_loss", "real_score", "fake_score", "images_per_second"]
LOG_COLUMNS = [*SCALAR_COLUMNS[:-1], "penalty", SCALAR_COLUMNS[-1]]


def make_run(parent, name, grids=(0, 2, 4), rows=4, scores=(90.0, 30.0), **settings):
    """Writes a small finished run to parent / name and returns it.

    At iteration i, the losses are 1/i and i, D(x) is 0.75 and D(G(z)) 0.25; even iterations have a penalty of 0.5. An
    iteration takes 2 seconds.
    """
    run = Run(parent / name)
    config = Config(**{"epochs": 4, "batch_size": 8, "run": name, **settings})
    write_json(run.folder / "config.json", {**dataclasses.asdict(config), "faces": "60 of faces (abc)"})
    for k, iteration in enumerate(grids):
        Image.new("RGB", (10, 10), (40 * k, 100, 200 - 40 * k)).save(run.grids.path(iteration))
    log = [(i, 8 * i, f"{2 * i:.3f}", 1 / i, i, 0.75, 0.25, "" if i % 2 else 0.5, 4) for i in range(1, rows + 1)]
    write_csv(run.tables.log, [LOG_COLUMNS, *log])
    write_csv(run.tables.metrics, [SCORE_COLUMNS, *(row.values() for row in make_scores(scores))])
    if measured := run.tables.read_scores():
        best = select_best([row["kid"] for row in measured], [row["kid_stderr"] for row in measured])
        write_json(run.folder / "best.json", measured[best])
    arrays = {"generator/000": np.zeros((3, 5), np.float32), "generator/001": np.zeros(2, np.uint32)}
    checkpoints.save(run.checkpoints, rows, {**arrays, "discriminator/000": np.zeros(7, np.float32), "iteration": 4})
    return run


def make_scores(kids):
    """Rows of metrics.csv at iterations 2, 4, ..., with these KIDs."""
    fixed = {"network": "onet", "samples": 64, "kid_stderr": 0.1, "face_rate": "", "diversity": 0.5}
    fixed |= {"memorization": 1.0, "copied": 0.0, "copying": 0}
    rows = [
        fixed | {"iteration": 2 * i, "images": 16 * i, "seconds": 4.0 * i, "kid": kid, "eval_seconds": i}
        for i, kid in enumerate(kids, 1)
    ]
    return [{name: row[name] for name in SCORE_COLUMNS} for row in rows]


def make_evaluation(**changes):
    """An evaluation as in scores.json, with `changes`."""
    scores = {
        "fd-onet": 12.5,
        "kid-onet": 3.25,
        "memorization": {"ratio": 1.0, "low": 0.9, "high": 1.1, "summary": "No."},
    }
    protocol = {
        "samples": 2000, "weights": "averaged", "networks": {"onet": {}},
        "reference": {"data": "held out", "faces": 500, "digest": "d"},
    }  # fmt: skip
    return {"protocol": protocol, "generator": {"file": "best.keras", "iteration": 4}, "scores": scores, **changes}


def make_log_row(iteration):
    """A row of the log."""
    values = (iteration, 64 * iteration, 0.5, 1.25, 0.75, 0.6, 0.4, 640.0)
    return dict(zip(SCALAR_COLUMNS, values, strict=True))


def make_score(iteration, kid=0.1 + 0.2, **more):
    """A score with numbers that need all their decimal places."""
    numbers = {"diversity": 2 / 3, "memorization": 1e-17, "copied": 1 / 128, "eval_seconds": 1e3 / 7}
    return {
        "iteration": iteration, "images": 64 * iteration, "seconds": 1.234, "network": "onet", "samples": 64,
        "kid": kid, "kid_stderr": 1 / 9, "face_rate": None, "copying": 0, **numbers, **more,
    }  # fmt: skip
