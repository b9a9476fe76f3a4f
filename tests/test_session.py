"""The loop alone, with a game that costs nothing: what is saved when, however slow the steps are."""

import csv
import itertools
import os
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan import checkpoints, session
from gan.config import Config
from gan.errors import RunError
from gan.judge import Judge
from gan.progress import Pace
from gan.runs import Run
from gan.scores import Real
from gan.session import Session


class Game:
    """A game whose steps count, and do something else if so asked."""

    def __init__(self, at=None, do=None, losses=lambda i: [1.0, 2.0, 0.5, 0.5]):
        self.iteration = tf.Variable(0, dtype=tf.int64)
        self.averaged = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(16 * 16 * 3), keras.layers.Reshape((16, 16, 3))]
        )
        self.at, self.do, self.losses = at, do, losses

    def state(self):
        return {"iteration": self.iteration}

    def train_step(self, real):
        self.iteration.assign_add(1)
        if int(self.iteration) == self.at:
            self.do()
        return tf.constant(self.losses(int(self.iteration)))

    def fixed_noise(self, count):
        return tf.zeros((count, 2))

    def imagine(self, noise):
        return self.averaged(noise)


class Clock:
    """A clock that goes on by `tick` seconds whenever somebody looks."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def perf_counter(self):
        self.now += self.tick
        return self.now


def nobody():
    """A judge without anything to judge by."""
    faces = np.zeros((4, 16, 16, 3), np.uint8)
    return Judge(Real(faces, np.arange(0)), Real(faces, np.arange(4)), make=None)


def played(tmp_path, game, total, *, sample_every=3, monkeypatch=None, tick=None):
    """The exit code of a session in tmp_path, and its run."""
    if tick:
        monkeypatch.setattr(session, "time", Clock(tick))
    run = Run(tmp_path / "run")
    config = Config(sample_every=sample_every, image_size=16, batch_size=4)
    code = Session(
        config, game, run, lambda start: itertools.repeat(np.zeros((4, 16, 16, 3))), Pace(total), nobody()
    ).play()
    return code, run


def iterations(run):
    """The iterations that are logged."""
    with open(run.log, newline="") as file:
        return [int(row["iteration"]) for row in csv.DictReader(file)]


@pytest.mark.parametrize("tick", [0.001, 0.3, 0.7])
def test_the_end_is_saved(tmp_path, monkeypatch, tick):
    """A run that ends between two pictures leaves its last step, picture and generator, however slow a step is."""
    code, run = played(tmp_path, Game(), 5, monkeypatch=monkeypatch, tick=tick)
    assert code == 0 and iterations(run) == [1, 2, 3, 4, 5]
    assert [path.name for path in checkpoints.listed(run.checkpoints)] == ["000000003.npz", "000000005.npz"]
    assert run.grid(5).exists() and (run.folder / "generator.keras").exists()


@pytest.mark.parametrize("tick", [0.001, 0.3, 0.7])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_saved(tmp_path, monkeypatch, capsys, tick, number):
    """Ctrl-C or SIGTERM in a step: that step is finished and saved, however slow it is, and the exit code says why."""
    game = Game(at=4, do=lambda: os.kill(os.getpid(), number))
    code, run = played(tmp_path, game, 100, monkeypatch=monkeypatch, tick=tick)
    assert code == 128 + number and iterations(run) == [1, 2, 3, 4]
    assert checkpoints.listed(run.checkpoints)[-1].name == "000000004.npz"
    assert "Ctrl-C again" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # as it was


def test_a_stop_before_the_first_step(tmp_path, capsys):
    """A signal before anything was trained ends well, with nothing to divide by."""
    config, run = Config(image_size=16), Run(tmp_path / "run")
    one = Session(
        config, Game(), run, lambda start: (os.kill(os.getpid(), signal.SIGTERM), iter([]))[1], Pace(10), nobody()
    )
    assert one.play() == 128 + signal.SIGTERM
    assert "0 iterations" in capsys.readouterr().out


def test_slow_runs_are_saved_between_pictures(tmp_path, monkeypatch):
    """Where pictures are far apart, a checkpoint comes after 300 seconds all the same."""
    saved = []
    monkeypatch.setattr(checkpoints, "save", lambda folder, iteration, arrays: saved.append(iteration))
    played(tmp_path, Game(), 10, sample_every=10, monkeypatch=monkeypatch, tick=40.0)
    assert saved[-1] == 10 and 2 <= len(saved) <= 5


def test_twenty_pictures(tmp_path):
    """A run has at least 20 pictures by default, the first at 0, the last at its end."""
    _, run = played(tmp_path, Game(), 47, sample_every=0)
    pictures = sorted(int(path.stem) for path in run.folder.glob("0*.png"))
    assert len(pictures) >= 20 and pictures[0] == 0 and pictures[-1] == 47


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_loss_is_named(tmp_path, bad):
    """The first loss that is no number ends the run, names its iteration, and no later checkpoint is written."""
    game = Game(losses=lambda i: [1.0, bad if i >= 5 else 2.0, 0.5, 0.5])
    with pytest.raises(RunError, match=r"after iteration 5.*checkpoint of iteration 3"):
        played(tmp_path, game, 100)
    assert checkpoints.listed(Run(tmp_path / "run").checkpoints)[-1].name == "000000003.npz"
