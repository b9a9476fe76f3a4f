"""Folders of finished runs, written without training, for tests."""

import dataclasses

import numpy as np
from PIL import Image

from gan.config import Config
from gan.metrics.evaluation import select_best
from gan.runs import checkpoints
from gan.runs.run_directory import SCORE_COLUMNS, Run, write_csv, write_json

NASTY = "<img src=x onerror=alert(1)>"


def a_run(parent, name, grids=(0, 2, 4), rows=4, scores=(90.0, 30.0), **settings):
    """A finished run in a folder of its own, as small as can be: its losses are 1/i and i, a step takes 2 seconds."""
    run = Run(parent / name)
    config = Config(**{"epochs": 4, "batch_size": 8, "run": name, **settings})
    write_json(run.folder / "config.json", {**dataclasses.asdict(config), "faces": "60 of faces (abc)"})
    for k, iteration in enumerate(grids):
        Image.new("RGB", (10, 10), (40 * k, 100, 200 - 40 * k)).save(run.grid_path(iteration))
    columns = ("iteration", "images", "seconds", "d_loss", "g_loss", "images_per_second")
    write_csv(run.log, [columns, *((i, 8 * i, f"{2 * i:.3f}", 1 / i, i, 4) for i in range(1, rows + 1))])
    measured = [dict(zip(SCORE_COLUMNS, row, strict=True)) for row in scored(scores)]
    write_csv(run.metrics, [SCORE_COLUMNS, *scored(scores)])
    if measured:
        best = measured[select_best([row["kid"] for row in measured], [row["kid_stderr"] for row in measured])]
        write_json(run.folder / "best.json", best)
    arrays = {"generator/000": np.zeros((3, 5), np.float32), "generator/001": np.zeros(2, np.uint32)}
    checkpoints.save(run.checkpoints, rows, {**arrays, "discriminator/000": np.zeros(7, np.float32), "iteration": 4})
    return run


def scored(kids):
    """Rows of metrics.csv at iterations 2, 4, ..."""
    return [(2 * i, 16 * i, 4.0 * i, "onet", 64, kid, 0.1, "", 0.5, 1.0, 0.0, 0, i) for i, kid in enumerate(kids, 1)]


def result(**changes):
    """What tools.evaluate keeps of one evaluation."""
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
