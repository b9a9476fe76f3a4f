"""Loggers: the output of each for the same iterations, score and grid."""

import numpy as np
import pytest
import tensorflow as tf

from gan import config
from gan.runs.run_directory import Run
from gan.training.loggers import LOGGERS
from gan.training.schedule import RunLength

ROWS = [
    {"iteration": i, "images": 8 * i, "seconds": float(i), "d_loss": 1.0 / i, "images_per_second": 8.0} for i in (1, 2)
]
ROWS[0]["penalty"] = 0.25
SCORE = {
    "iteration": 2, "images": 16, "seconds": 2.0, "network": "onet", "samples": 64, "kid": 3.5, "kid_stderr": 0.5,
    "face_rate": None, "diversity": 1.0, "memorization": 1.0, "copied": 0.0, "copying": 0, "eval_seconds": 0.1,
}  # fmt: skip
GRID = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


@pytest.fixture
def run(tmp_path):
    """A run whose folder and tables exist, as they do when training starts."""
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    run.tables.truncate(0)
    return run


def log(name, run):
    """Passes a grid, rows, failure modes and a score to a logger, and closes it."""
    logger = LOGGERS[name](run, RunLength(2), 0)
    logger.log_grid(0, GRID)
    logger.log(ROWS, {"saturation": "Try less"})
    logger.log_score(SCORE)
    logger.close()


def test_csv(run):
    """The columns of log.csv are the scalars by name, and the score is a row of metrics.csv."""
    log("csv", run)
    found = run.tables.read_log()
    assert found["d_loss"].tolist() == [1.0, 0.5] and np.isnan(found["penalty"][1]) and found["penalty"][0] == 0.25
    assert run.tables.read_scores() == [SCORE]


def test_console(run, capsys):
    """The last line has the active failure modes, and the means of the scalars that every row has."""
    log("console", run)
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("2/2") and "loss D 0.75" in line and "saturation" in line


def test_tensorboard(run):
    """The event files hold each scalar by name and iteration, the score, and the grid."""
    log("tensorboard", run)
    [path] = (run.folder / "tensorboard").iterdir()
    scalars, grids = {}, []
    for record in tf.data.TFRecordDataset(str(path)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "images":
                grids.append((event.step, tf.io.decode_png(value.tensor.string_val[2]).numpy()))
            else:
                scalars[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    assert scalars["training/d_loss", 1] == 1.0 and scalars["training/d_loss", 2] == 0.5
    assert scalars["training/penalty", 1] == 0.25 and ("training/penalty", 2) not in scalars
    assert scalars["scores/kid", 2] == 3.5 and ("scores/face_rate", 2) not in scalars
    [(step, grid)] = grids
    assert step == 0
    np.testing.assert_array_equal(grid, GRID)


def test_tensorboard_of_several_averages(run, monkeypatch):
    """Scores of each half-life have names of their own."""
    logger, written = LOGGERS["tensorboard"](run, RunLength(2), 0), []
    monkeypatch.setattr(logger, "write", lambda tag, tensor, step, plugin: written.append((tag, float(tensor))))
    logger.log_score(SCORE | {"half_life": 20_000.0})
    assert ("scores-20000/kid", 3.5) in written and not any("half_life" in tag for tag, _ in written)


def test_config_names_the_loggers():
    """The choices of --log are all loggers except for the two that are always used."""
    assert set(config.LOGGERS) - {"none"} == set(LOGGERS) - {"console", "csv"}
