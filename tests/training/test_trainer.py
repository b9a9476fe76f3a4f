"""The trainer with GANs that take no time: what it saves and when, how it stops and how it resumes."""

import csv
import itertools
import json
import os
import re
import signal
import types
import warnings

import keras
import numpy as np
import pytest
import small_gan
import tensorflow as tf
from helpers import faces, real

from gan.config import Config
from gan.errors import RunError
from gan.metrics.evaluation import ImageSubset
from gan.runs import checkpoints
from gan.runs.grids import Grids
from gan.runs.run_directory import Run
from gan.runs.tables import SCORE_COLUMNS
from gan.training import diagnostics, loop, trainer
from gan.training.ada import SPAN, Adaptation
from gan.training.clock import Clock
from gan.training.schedule import RunLength
from gan.training.trainer import Trainer
from gan.training.validation import Scorer, Validator

pytestmark = pytest.mark.usefixtures("fast_saves")


class FakeGAN:
    """A GAN whose steps only count iterations; step `at` calls `do`."""

    def __init__(self, at=None, do=None, losses=lambda i: [1.0, 2.0, 0.5, 0.5]):
        self.g_optimizer = self.d_optimizer = keras.optimizers.SGD(0.01)
        self.iteration, self.adaptation = tf.Variable(0, dtype=tf.int64), None
        self.averages, self.selected, self.has_batch_norm = {}, 0, False
        self.calibrated_ema = keras.Sequential(
            [keras.Input((2,)), keras.layers.Dense(16 * 16 * 3), keras.layers.Reshape((16, 16, 3))]
        )
        self.at, self.do, self.losses = at, do, losses

    def state(self):
        return {"iteration": self.iteration, **{str(i): weight for i, weight in enumerate(self.calibrated_ema.weights)}}

    def train_step(self, batch):
        self.iteration.assign_add(1)
        if int(self.iteration) == self.at:
            self.do()
        return dict(zip(diagnostics.SCALARS, map(tf.constant, self.losses(int(self.iteration))), strict=True))

    labels = None

    def fixed_noise(self, count):
        return tf.zeros((count, 2))

    def generate_images(self, noise):
        return self.calibrated_ema(noise)

    def calibrate_ema(self, calibrate):
        pass


class TickingClock(Clock):
    """A clock that advances by `tick` seconds with each reading."""

    def __init__(self, tick):
        self.now = self.last = self.paused = 0.0
        self.tick = tick

    def read(self):
        self.now += self.tick
        self.last = self.now
        return self.now - self.paused


@pytest.fixture
def unread(monkeypatch):
    """For tests of many saves that read no generator and no gallery: generator.keras is empty, and there is no page."""
    monkeypatch.setattr(Run, "save_generator", lambda run, *given: (run.folder / "generator.keras").touch())
    monkeypatch.setattr(trainer.Page, "refresh", lambda page: None)


def set_clock(monkeypatch, clock):
    """Lets a training read another clock."""
    for module in (loop, trainer):
        monkeypatch.setattr(module, "clock", clock)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 8, 9])
def test_choose_grid(count):
    """A grid of 8 x 8 shows up to eight combinations of labels, in order; rows of one differ in their noise."""
    labels = types.SimpleNamespace(
        codes=np.arange(count)[:, None],
        encode=lambda codes: codes.astype(np.float32),
        describe=lambda code: int(code[0]),
    )
    gan = types.SimpleNamespace(
        labels=labels, fixed_noise=lambda rows: tf.range(rows)[:, None], pair_with_labels=lambda *pair: pair
    )
    (noise, vectors), names = trainer.choose_grid(gan)
    rows = [*zip(names, noise.numpy().reshape(8, 8).tolist(), strict=True)]
    assert list(dict.fromkeys(names)) == [*range(min(count, 8))] and list(names) == sorted(names)
    assert len({(name, *row) for name, row in rows}) == 8
    assert all((name, [*range(8)]) in rows for name in names)  # down a column, the noise of first rows is the same
    np.testing.assert_array_equal(vectors.numpy().reshape(8, 8), np.repeat(names, 8).reshape(8, 8))


def no_validation():
    """A validator without held-out images, which computes no scores."""
    images = np.zeros((4, 16, 16, 3), np.uint8)
    return Validator(Scorer(ImageSubset(images, np.arange(0)), ImageSubset(images, np.arange(4)), generate=None))


def train(tmp_path, gan, total, *, monkeypatch=None, tick=None, minutes=0.0, validator=None, **settings):
    """Trains in tmp_path; returns the exit code and the run."""
    if tick:
        set_clock(monkeypatch, TickingClock(tick))
    run = Run(tmp_path / "run")
    config = Config(**{"sample_every": 3, "image_size": 16, "batch_size": 4, **settings})
    code = Trainer(
        config,
        gan,
        run,
        lambda start: itertools.repeat((np.zeros((4, 16, 16, 3)), np.zeros((4, 0)))),
        RunLength(total, minutes),
        validator or no_validation(),
        variance=0.0,
    ).train()
    return code, run


def grid_iterations(run):
    """The iterations that have a sample grid."""
    return sorted(int(path.stem) for path in run.folder.glob("0*.png"))


def table(path, *without):
    """The rows of a table, without the columns in `without`."""
    with open(path, newline="") as file:
        return [{name: row[name] for name in row if name not in without} for row in csv.DictReader(file)]


def logged_iterations(run):
    """The iterations in log.csv."""
    return [int(row["iteration"]) for row in table(run.tables.log)]


@pytest.mark.parametrize("tick", [0.001, 0.7])
def test_last_step_is_saved(tmp_path, monkeypatch, tick):
    """The last step is logged and saved, with its grid and generator, also if it is not a multiple of sample_every."""
    code, run = train(tmp_path, FakeGAN(), 5, monkeypatch=monkeypatch, tick=tick)
    assert code == 0 and logged_iterations(run) == [1, 2, 3, 4, 5]
    assert [path.name for path in checkpoints.list_paths(run.checkpoints)] == ["000000003.npz", "000000005.npz"]
    assert run.grids.path(5).exists() and (run.folder / "generator.keras").exists()


@pytest.mark.parametrize(
    ("tick", "number"),
    [(0.001, signal.SIGINT), (0.7, signal.SIGTERM)],
)
def test_signals_save_and_stop(tmp_path, monkeypatch, capsys, tick, number):
    """After Ctrl-C or SIGTERM in a step, that step is finished and saved, and the exit code is 128 + the signal."""
    gan = FakeGAN(at=4, do=lambda: signal.raise_signal(number))
    code, run = train(tmp_path, gan, 100, monkeypatch=monkeypatch, tick=tick)
    assert code == 128 + number and logged_iterations(run) == [1, 2, 3, 4]
    assert checkpoints.list_paths(run.checkpoints)[-1].name == "000000004.npz"
    assert "Ctrl-C again" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # restored


def test_signal_before_the_first_step(tmp_path, capsys):
    """A signal before the first step ends the run without a division by zero iterations."""
    config, run = Config(image_size=16), Run(tmp_path / "run")
    one = Trainer(
        config,
        FakeGAN(),
        run,
        lambda start: (signal.raise_signal(signal.SIGTERM), iter([]))[1],
        RunLength(10),
        no_validation(),
        variance=0.0,
    )
    assert one.train() == 128 + signal.SIGTERM
    assert "0 iterations" in capsys.readouterr().out


def test_slow_runs_are_saved_between_grids(tmp_path, monkeypatch):
    """Between sample grids, a checkpoint is saved every 300 seconds."""
    saved = []
    monkeypatch.setattr(checkpoints, "save", lambda folder, iteration, arrays: saved.append(iteration))
    train(tmp_path, FakeGAN(), 10, sample_every=10, monkeypatch=monkeypatch, tick=40.0)
    assert saved[-1] == 10 and 2 <= len(saved) <= 5


@pytest.mark.usefixtures("unread")
def test_default_number_of_grids(tmp_path):
    """By default a run has at least 20 sample grids, the first at iteration 0, the last at the end."""
    _, run = train(tmp_path, FakeGAN(), 47, sample_every=0)
    assert len(grid_iterations(run)) >= 20 and grid_iterations(run)[0] == 0 and grid_iterations(run)[-1] == 47


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite(tmp_path, bad):
    """A loss that is not finite ends the run with an error that names the iteration, and without a new checkpoint."""
    gan = FakeGAN(losses=lambda i: [1.0, bad if i >= 5 else 2.0, 0.5, 0.5])
    with pytest.raises(RunError, match=r"after iteration 5.*checkpoint of iteration 3"):
        train(tmp_path, gan, 100)
    with pytest.raises(RunError, match="no checkpoint"):
        train(tmp_path / "early", FakeGAN(losses=lambda i: [bad] * 4), 100)
    run = Run(tmp_path / "run")
    assert checkpoints.list_paths(run.checkpoints)[-1].name == "000000003.npz"
    assert [(row["iteration"], row["failure_mode"]) for row in table(run.tables.diagnostics)] == [("5", "NaN")]
    train(tmp_path, FakeGAN(), 4)  # resumes from the checkpoint and removes later rows
    assert table(run.tables.diagnostics) == []


def test_a_weight_that_is_not_finite(tmp_path):
    """A weight that is not finite ends the run at the next checkpoint, which is not saved, though losses are finite."""
    gan = FakeGAN(at=5, do=lambda: gan.calibrated_ema.weights[0].assign(gan.calibrated_ema.weights[0] + np.inf))
    with pytest.raises(RunError, match=r"after iteration 6.*checkpoint of iteration 3"):
        train(tmp_path, gan, 100)
    assert checkpoints.list_paths(Run(tmp_path / "run").checkpoints)[-1].name == "000000003.npz"


@pytest.mark.parametrize("tick", [0.1, 2.0])
@pytest.mark.usefixtures("unread")
def test_minutes(tmp_path, monkeypatch, capsys, tick):
    """With --minutes 1 a run ends after 60 seconds of training, with about 20 grids, or one per step if slow."""
    _, run = train(tmp_path, FakeGAN(), 1, minutes=1.0, sample_every=0, monkeypatch=monkeypatch, tick=tick)
    seconds = [float(row["seconds"]) for row in table(run.tables.log)]
    assert seconds == sorted(seconds) and 60 <= seconds[-1] < 60 + 5 * tick
    assert min(20, len(seconds)) <= len(grid_iterations(run)) <= 22
    assert grid_iterations(run)[0] == 0 and grid_iterations(run)[-1] == len(seconds)
    capsys.readouterr()
    assert train(tmp_path, FakeGAN(), 1, minutes=1.0, sample_every=0)[0] == 0
    reached = float(re.search(r"--minutes above ([\d.]+)\.\n", capsys.readouterr().out)[1])
    assert seconds[-1] / 60 <= reached <= seconds[-1] / 60 + 0.01  # a length that goes on
    assert len(table(run.tables.log)) == len(seconds)


@pytest.mark.usefixtures("unread")
def test_resume_with_minutes(tmp_path, monkeypatch):
    """After a resume, earlier seconds count and there are about 20 grids; a larger --minutes continues the run."""
    options = {"sample_every": 0, "monkeypatch": monkeypatch, "tick": 0.5}
    stopped = FakeGAN(at=15, do=lambda: signal.raise_signal(signal.SIGTERM))
    assert train(tmp_path, stopped, 1, minutes=1.0, **options)[0] == 128 + signal.SIGTERM
    before = float(table(tmp_path / "run" / "log.csv")[-1]["seconds"])
    assert 15 < before < 45
    _, run = train(tmp_path, FakeGAN(), 1, minutes=1.0, **options)
    seconds = [float(row["seconds"]) for row in table(run.tables.log)]
    assert seconds == sorted(seconds) and seconds[15] < before + 5 and 60 <= seconds[-1] < 63
    assert 20 <= len(grid_iterations(run)) <= 22
    train(tmp_path, FakeGAN(), 1, minutes=2.0, **options)
    rows = table(run.tables.log)
    assert 120 <= float(rows[-1]["seconds"]) < 123 and grid_iterations(run)[-1] == len(rows)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGCONT")
@pytest.mark.parametrize("minutes", [0.0, 1.0])
@pytest.mark.usefixtures("unread")
def test_a_pause_is_no_training(tmp_path, monkeypatch, minutes):
    """An hour in which the process is stopped adds no second to the log, and causes no checkpoint or other speed."""
    clock = TickingClock(0.5)
    set_clock(monkeypatch, clock)
    monkeypatch.setattr("gan.training.clock.time.perf_counter", lambda: clock.now)

    def stop():
        clock.now += 3600
        signal.raise_signal(signal.SIGCONT)

    _, run = train(tmp_path, FakeGAN(at=3, do=stop), 20, minutes=minutes, sample_every=20)
    seconds = [float(row["seconds"]) for row in table(run.tables.log)]
    assert max(np.diff(seconds)) < 5 and seconds[-1] < 63 and (len(seconds) == 20 or seconds[-1] >= 60)
    assert min(float(row["images_per_second"]) for row in table(run.tables.log)) > 0.5
    assert not minutes or len(seconds) > 20


@pytest.mark.parametrize("minutes", [0.0, 1.0])
@pytest.mark.usefixtures("unread")
def test_killed_before_the_grid(tmp_path, monkeypatch, minutes):
    """If a run is killed between a checkpoint and its grid, the grid is written after the resume."""
    options = {"minutes": minutes, "sample_every": 0, "monkeypatch": monkeypatch, "tick": 0.5}
    with monkeypatch.context() as patched:
        saves = iter(range(4))
        save = Grids.save
        patched.setattr(Grids, "save", lambda *given: save(*given) if next(saves) < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tmp_path, FakeGAN(), 40, **options)
    run = Run(tmp_path / "run")
    missing = int(checkpoints.list_paths(run.checkpoints)[-1].stem)
    assert missing not in grid_iterations(run)
    train(tmp_path, FakeGAN(), 40, **options)
    assert missing in grid_iterations(run) and len(grid_iterations(run)) >= 20


class Drifting(FakeGAN):
    """A GAN whose score is best after step 9; the bias of its EMA network is the distance from that step."""

    distance = staticmethod(lambda iteration: abs(iteration - 9))

    def train_step(self, batch):
        scalars = super().train_step(batch)
        self.calibrated_ema.weights[1].assign(np.full(16 * 16 * 3, self.distance(int(self.iteration)), np.float32))
        return scalars

    def validator(self, patience=0, **options):
        """A validator whose samples are real images plus uniform noise of up to 40 times the bias."""

        def generate(count):
            bound = 40 * float(self.calibrated_ema.weights[1].numpy()[0])
            noise = np.random.default_rng(0).uniform(-bound, bound, (count, 4, 4, 3))
            return np.clip(faces(count, 3) + noise.repeat(4, axis=1).repeat(4, axis=2), 0, 255).astype(np.uint8)

        options = {"samples": 128, "forced": True, "patience": patience, **options}
        return Validator(Scorer(real(faces(200, 1)), real(faces(200, 2)), generate), **options)


def train_drifting(tmp_path, patience, total=100, gan=None):
    """Trains `Drifting`, or the given GAN, with a score every 3 iterations; returns the exit code and the run."""
    gan = gan or Drifting()
    settings = {"score_every": 3, "patience": patience, "validator": gan.validator(patience)}
    return train(tmp_path, gan, total, sample_every=50, **settings)


def best(run):
    """The iteration in best.json, and the bias in best.keras."""
    weights = keras.saving.load_model(run.folder / "best.keras").get_weights()
    return json.loads((run.folder / "best.json").read_text())["iteration"], weights[1].tolist()


def test_patience(tmp_path, capsys, quick_extractors):
    """With patience 2 a run ends 2 scores after its best and keeps that generator; more patience continues it."""
    code, run = train_drifting(tmp_path, 2)
    assert code == 0 and [int(row["iteration"]) for row in table(run.tables.metrics)] == [3, 6, 9, 12, 15]
    assert best(run) == (9, [0.0] * 768) and grid_iterations(run) == [0, 15]
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("2 scores", "--patience above 2", "iteration 9 ", "best.keras"))
    score = json.loads((run.folder / "best.json").read_text())
    assert score["kid"] == min(float(row["kid"]) for row in table(run.tables.metrics))
    assert (score["images"], score["samples"], next(iter(score["protocol"]))) == (36, 128, "network")
    assert train_drifting(tmp_path, 2)[0] == 0
    printed = capsys.readouterr().out
    assert "15 iterations" in printed and "--patience above 2" in printed
    assert train_drifting(tmp_path, 4)[0] == 0 and logged_iterations(run)[-1] == 21 and best(run)[0] == 9
    assert train_drifting(tmp_path, 0, total=24)[0] == 0 and logged_iterations(run)[-1] == 24 and best(run)[0] == 9
    capsys.readouterr()
    train_drifting(tmp_path, 0, total=24)
    assert "--epochs above " in capsys.readouterr().out


def test_a_length_that_goes_on(tmp_path, capsys):
    """Of a run that is done, --epochs above N is what it has had, also where N was given a whole number of steps."""
    train(tmp_path, FakeGAN(), 61, epochs=61)
    capsys.readouterr()
    train(tmp_path, FakeGAN(), 7, epochs=7)
    assert "--epochs above 61." in capsys.readouterr().out


@pytest.mark.parametrize("written", ["nothing", "best.keras"])
def test_killed_before_the_best_was_saved(tmp_path, monkeypatch, quick_extractors, written):
    """If a run is killed between the checkpoint of its best score and best.json, a resume writes what is missing."""
    keep = Run.save_best

    def save_best(run, generator, score, protocol):
        if score["iteration"] != 9:
            return keep(run, generator, score, protocol)
        if written == "best.keras":
            run.save_generator(generator, 9, "best.keras")
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(Run, "save_best", save_best)
        with pytest.raises(ZeroDivisionError):
            train_drifting(tmp_path, 2)
    assert Run(tmp_path / "run").best_iteration() == 6
    _, run = train_drifting(tmp_path, 2)
    assert best(run) == (9, [0.0] * 768) and logged_iterations(run)[-1] == 15
    uninterrupted = Run(tmp_path / "uninterrupted" / "run")
    train_drifting(tmp_path / "uninterrupted", 2)
    saved, expected = (json.loads((each.folder / "best.json").read_text()) for each in (run, uninterrupted))
    times = {"seconds": 0, "eval_seconds": 0}
    assert saved | times == expected | times and list(saved) == list(expected)


DISTANCES = {3: (9, 3), 6: (0, 6), 9: (6, 12)}  # of two averages by iteration; 1 and 2 between these


class TwoAverages(Drifting):
    """A GAN with two averages, each of which has a bias of its distance from the best."""

    def __init__(self, **options):
        keras.utils.set_random_seed(0)
        super().__init__(**options)
        self.averages = {10.0: None, 20.0: None}

    def calibrate_ema(self, calibrate):
        distances = DISTANCES.get(int(self.iteration), (1, 2))
        self.calibrated_ema.weights[1].assign(np.full(16 * 16 * 3, distances[self.selected], np.float32))


def last(run):
    """The bias in generator.keras."""
    return keras.saving.load_model(run.folder / "generator.keras").get_weights()[1][0]


def test_two_averages(tmp_path, capsys, quick_extractors):
    """The average with the lower score becomes best.keras and generator.keras; before a score it is the first.

    A run that was stopped between scores goes on with the one that was shown, and has the same results.
    """
    whole = Run(tmp_path / "whole" / "run")
    assert train_drifting(whole.folder.parent, 0, total=9, gan=TwoAverages())[0] == 0
    assert "at iteration 6 with a half-life of 10 images" in capsys.readouterr().out
    for stop, shown in ((2, 1), (4, 2)):
        parent = tmp_path / str(stop)
        stopped = TwoAverages(at=stop, do=lambda: signal.raise_signal(signal.SIGTERM))
        _, run = train_drifting(parent, 0, total=9, gan=stopped)
        assert last(run) == shown
        assert train_drifting(parent, 0, total=9, gan=TwoAverages())[0] == 0
        rows = [(row["iteration"], row["half_life"]) for row in run.tables.read_scores()]
        assert rows == [(3, 10.0), (3, 20.0), (6, 20.0), (6, 10.0), (9, 20.0), (9, 10.0)]
        assert best(run) == (6, [0.0] * 768) and last(run) == 6
        assert_same(run, whole)
    assert json.loads((whole.folder / "best.json").read_text())["half_life"] == 10.0


@pytest.mark.filterwarnings("ignore:no more scores")
def test_a_failing_scorer_changes_no_average(tmp_path, quick_extractors):
    """If the second average cannot be scored, samples still come from the one that was shown."""
    gan = TwoAverages()
    validator = gan.validator()
    generate = validator.scorer.generate
    validator.scorer.generate = lambda count: 1 / 0 if gan.selected else generate(count)
    code, run = train(tmp_path, gan, 3, score_every=3, validator=validator)
    assert (code, gan.selected, last(run)) == (0, 0, 9.0) and run.tables.read_scores() == []


def test_signal_while_scoring(tmp_path, quick_extractors):
    """After a SIGTERM during a score, the score is finished and saved, and counts after the resume."""
    gan = Drifting()
    validator = gan.validator()
    generate = validator.scorer.generate
    validator.scorer.generate = lambda count: (signal.raise_signal(signal.SIGTERM), generate(count))[1]
    code, run = train(tmp_path, gan, 9, sample_every=50, score_every=3, validator=validator)
    assert code == 128 + signal.SIGTERM and logged_iterations(run) == [1, 2, 3] and best(run)[0] == 3
    train_drifting(tmp_path, 0, total=9)
    assert [int(row["iteration"]) for row in table(run.tables.metrics)] == [3, 6, 9] and best(run)[0] == 9


def test_short_runs_are_not_scored(tmp_path, capsys, quick_extractors):
    """A very short run is not scored without --score-every, prints a message about it, and has no best.keras."""
    gan = Drifting()
    _, run = train(tmp_path, gan, 9, validator=gan.validator(forced=False))
    assert table(run.tables.metrics) == [] and not (run.folder / "best.keras").exists() and not quick_extractors
    assert "--score-every N scores in any case" in capsys.readouterr().out


def test_a_slow_first_step_does_not_cause_scores(tmp_path, monkeypatch, quick_extractors):
    """A run of one step of 10 s (tracing) and 399 of milliseconds is too short for scores.

    The mean of the first twentieth of the steps would predict a run of 200 s, which would be scored.
    """
    clock = TickingClock(0.001)
    set_clock(monkeypatch, clock)
    gan = Drifting(at=1, do=lambda: setattr(clock, "now", clock.now + 10))
    _, run = train(tmp_path, gan, 400, sample_every=200, validator=gan.validator(forced=False))
    assert logged_iterations(run)[-1] == 400 and 10 < float(table(run.tables.log)[-1]["seconds"]) < 20
    assert table(run.tables.metrics) == [] and not quick_extractors


def test_a_best_of_a_later_iteration(tmp_path, quick_extractors):
    """If the newest checkpoint is lost, best.keras of a later iteration than the one before is replaced."""
    _, run = train_drifting(tmp_path, 0, total=6)
    assert best(run)[0] == 6
    checkpoints.list_paths(run.checkpoints)[-1].unlink()
    train_drifting(tmp_path, 0, total=3)
    assert best(run) == (3, [6.0] * 768)
    train_drifting(tmp_path, 0, total=9)
    assert best(run)[0] == 9


@pytest.mark.parametrize(("ninth", "kept"), [(0, 9), (6, 9), (12, 6)])
def test_a_best_that_was_lost(tmp_path, capsys, quick_extractors, ninth, kept):
    """If the checkpoint of the best of the scores at 3, 6 and 9 is lost, the best remaining generator is kept.

    The run resumes from 6, so best.keras of 9 is invalid, and that of 3 was overwritten. The generator of 6 is kept
    first, then that of 9 if its new score is better than that of 6, even if it is worse than that of 3.
    """
    distances = {3: 3, 6: 9, 9: 0}
    gan = Drifting()
    gan.distance = lambda iteration: distances.get(iteration, 15)
    _, run = train_drifting(tmp_path, 0, total=9, gan=gan)
    assert best(run)[0] == 9
    checkpoints.list_paths(run.checkpoints)[-1].unlink()
    train_drifting(tmp_path, 0, total=6)
    assert best(run) == (6, [9.0] * 768)
    distances[9] = ninth
    again = Drifting()
    again.distance = gan.distance
    capsys.readouterr()
    train_drifting(tmp_path, 0, total=9, gan=again)
    assert best(run) == (kept, [float(distances[kept])] * 768)
    assert [row["iteration"] for row in run.tables.read_scores()] == [3, 6, 9]
    lost = f"at iteration 3 (low is good), but lost with a damaged checkpoint; best.keras is of {kept}."
    assert (lost if ninth else "at iteration 9 (low is good), kept as best.keras.") in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:__array__")  # of TensorFlow
@pytest.mark.parametrize("lost", ["metrics.csv", "best.json"])
@pytest.mark.parametrize("total", [15, 18])
def test_a_best_without_its_score(tmp_path, quick_extractors, lost, total):
    """If a damaged metrics.csv or best.json was moved away, best.keras is kept in a folder, with a warning."""
    train_drifting(tmp_path, 0, total=15)
    run = Run(tmp_path / "run")
    assert best(run) == (9, [0.0] * 768) and logged_iterations(run)[-1] == 15
    (run.folder / lost).rename(tmp_path / lost)
    with pytest.warns(UserWarning, match="unscored-1"):
        train_drifting(tmp_path, 0, total=total)
    weights = keras.saving.load_model(run.folder / "unscored-1" / "best.keras").get_weights()
    assert weights[1].tolist() == [0.0] * 768
    assert (run.folder / "best.json").exists() == (total == 18 or lost == "best.json")  # where another has a score


@pytest.mark.parametrize(
    ("total", "every", "expected"), [(7, 2, [4, 3, 2, 1]), (6, 2, [3, 2, 1]), (40, 0, [*range(20, 0, -1)])]
)
def test_number_of_remaining_scores(tmp_path, total, every, expected):
    """The validator is given the number of scores to come: one per multiple of --score-every, and one at the end."""
    found, validator = [], no_validation()
    validator.can_evaluate = lambda planned, remaining: True
    validator.evaluate = lambda iteration, planned, remaining, averages: found.append(remaining)
    train(tmp_path, FakeGAN(), total, sample_every=total, score_every=every, validator=validator)
    assert found == expected


@pytest.mark.filterwarnings("ignore:no more scores")
def test_a_failing_scorer_does_not_end_the_run(tmp_path, capsys, quick_extractors):
    """If scoring fails, the run continues to its end, saves everything else, and prints the reason."""
    gan = Drifting()
    validator = gan.validator()
    validator.scorer.generate = lambda count: 1 / 0
    code, run = train(tmp_path, gan, 9, score_every=3, validator=validator)
    assert code == 0 and grid_iterations(run) == [0, 3, 6, 9] and run.tables.read_scores() == []
    assert [path.stem for path in checkpoints.list_paths(run.checkpoints)] == ["000000006", "000000009"]
    assert "No score: division by zero." in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
@pytest.mark.parametrize("ignored", [True, False])
def test_nohup(tmp_path, ignored):
    """SIGHUP, as of a closed terminal, saves and ends a run, unless it was ignored at the start, as by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        code, run = train(tmp_path, FakeGAN(at=2, do=lambda: signal.raise_signal(signal.SIGHUP)), 4)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (code, logged_iterations(run)[-1]) == ((0, 4) if ignored else (128 + signal.SIGHUP, 2))


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_resume_with_two_averages_is_bit_exact(tmp_path, quick_extractors):
    """Resuming before and after scores gives bit-identical averages, choices and generators."""
    whole = Run(tmp_path / "whole")
    small_gan.train(whole.folder, small_gan.build(half_lives=(1000.0, 1.0)), 12, every=3)
    assert len(table(whole.tables.metrics)) == 8
    for stop in (2, 7):
        run = Run(tmp_path / str(stop))
        stopped = with_sigterm(small_gan.build(half_lives=(1000.0, 1.0)), stop)
        small_gan.train(run.folder, stopped, 12, every=3, code=128 + signal.SIGTERM)
        small_gan.train(run.folder, small_gan.build(half_lives=(1000.0, 1.0)), 12, every=3)
        assert_same(run, whole)
        arrays = [checkpoints.load(checkpoints.list_paths(one.checkpoints)[-1], {}) for one in (run, whole)]
        assert arrays[0].keys() == arrays[1].keys() >= {"ema_generator-2/000", "shown_average"}
        for name in arrays[0]:
            if not name.endswith("seconds") and name != "validation":
                np.testing.assert_array_equal(arrays[0][name], arrays[1][name], err_msg=name)


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly")
def test_resume_with_scores_is_bit_exact(tmp_path, quick_extractors):
    """Resuming after 6 or 7 of 12 iterations gives bit-identical scores, diagnostics and best generator.

    Rows that were written after the last checkpoint are removed.
    """
    whole = Run(tmp_path / "whole")
    small_gan.train(whole.folder, small_gan.saturated_for_a_while(2, 8), 12, every=3)
    assert len(table(whole.tables.metrics)) == 4
    assert [(row["iteration"], row["status"]) for row in table(whole.tables.diagnostics)] == [
        *(("3", "started"), ("3", "started"), ("9", "ended"), ("9", "ended")),  # saturation and mode collapse
    ]
    for stop in (6, 7):
        run = Run(tmp_path / str(stop))
        stopped = with_sigterm(small_gan.saturated_for_a_while(2, 8), stop)
        small_gan.train(run.folder, stopped, 12, every=3, code=128 + signal.SIGTERM)
        run.tables.append_log([{"iteration": 9, "images": 1, "seconds": 1.0, "d_loss": 1.0, "images_per_second": 1.0}])
        run.tables.append_rows(run.tables.metrics, [(9, *["1"] * (len(SCORE_COLUMNS) - 1))])
        run.tables.append_diagnostics([(9, "copying", "started", "Try")])
        small_gan.train(run.folder, small_gan.saturated_for_a_while(2, 8), 12, every=3)
        assert_same(run, whole)


def with_sigterm(gan, stop):
    """Makes a GAN raise SIGTERM in step `stop`, and returns it."""
    step = gan.train_step

    def train_step(batch):
        if int(gan.iteration) == stop - 1:
            signal.raise_signal(signal.SIGTERM)
        return step(batch)

    gan.train_step = train_step
    return gan


def assert_same(one, other):
    """Asserts that two runs have bit-identical tables, best score and best generator, except for times."""
    for name, clock in [
        ("metrics", ("seconds", "eval_seconds")),
        ("diagnostics", ()),
        ("log", ("seconds", "images_per_second")),
    ]:
        assert table(getattr(one.tables, name), *clock) == table(getattr(other.tables, name), *clock), name
    kept = [keras.saving.load_model(run.folder / "best.keras").get_weights() for run in (one, other)]
    for first, second in zip(*kept, strict=True):
        np.testing.assert_array_equal(first, second)
    scores = [
        json.loads((run.folder / "best.json").read_text()) | {"seconds": 0, "eval_seconds": 0} for run in (one, other)
    ]
    assert scores[0] == scores[1]


def test_gallery_is_written_with_all_outputs(tmp_path, monkeypatch):
    """The gallery is written with the grids of iterations 0 and 5, the score of iteration 3, and at the end."""
    seen, gan = [], Drifting()
    monkeypatch.setattr(trainer.Page, "refresh", lambda page: seen.append((page.path, gan.iteration.numpy())))
    train(tmp_path, gan, 5, sample_every=5, score_every=3, validator=gan.validator())
    assert seen == [(tmp_path / "index.html", iteration) for iteration in (0, 3, 5, 5)]


def test_a_failing_gallery_does_not_end_the_run(tmp_path):
    """If the gallery cannot be written, as a folder has its name, there is one warning and the run continues."""
    (tmp_path / "index.html").mkdir()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        code, _ = train(tmp_path, FakeGAN(), 5)
    assert code == 0 and sum("index.html is not up to date" in str(warning.message) for warning in caught) == 1


class Scheduled(FakeGAN):
    """A GAN that records the generator's learning rate at each step."""

    def __init__(self, **options):
        super().__init__(**options)
        self.rates = []

    def train_step(self, batch):
        self.rates.append(float(self.g_optimizer.learning_rate))
        return super().train_step(batch)


@pytest.mark.parametrize("tick", [None, 0.5])
@pytest.mark.usefixtures("unread")
def test_learning_rate_schedule(tmp_path, monkeypatch, tick):
    """The linear schedule falls from 0.01 to about 0 by iterations or minutes, and continues after a resume."""
    options = {"learning_rate_schedule": "linear", "monkeypatch": monkeypatch, "tick": tick}
    options |= {"minutes": 1.0, "sample_every": 0} if tick else {}
    whole = Scheduled()
    train(tmp_path / "whole", whole, 12, **options)
    halves = [Scheduled(at=5, do=lambda: os.kill(os.getpid(), signal.SIGTERM)), Scheduled()]
    for half in halves:
        train(tmp_path / "halves", half, 12, **options)
    rates = halves[0].rates + halves[1].rates
    assert (np.diff(rates) < 0).all() and whole.rates[0] == pytest.approx(0.01, rel=0.05)
    if tick:
        assert len(rates) > 12 and rates[4] - rates[5] < 0.001 and rates[-1] < 0.001
    else:
        assert rates == whole.rates == pytest.approx([0.01 * (1 - i / 12) for i in range(12)])


@pytest.mark.parametrize("tick", [None, 0.5])
@pytest.mark.usefixtures("unread")
def test_adaptation_speed(tmp_path, monkeypatch, tick):
    """The probability of ADA may change by 1 in a fixed share of the run, by iterations or minutes, resumed or not."""
    speeds, options = [], {"minutes": 1.0, "sample_every": 0, "monkeypatch": monkeypatch, "tick": tick} if tick else {}
    for at in (5, None):
        gan = FakeGAN(at=at, do=lambda: os.kill(os.getpid(), signal.SIGTERM))
        gan.adaptation, step = Adaptation(), gan.train_step
        gan.train_step = lambda batch, gan=gan, step=step: (speeds.append(float(gan.adaptation.speed)), step(batch))[-1]
        train(tmp_path, gan, 12, **options)
    if tick:
        assert sum(speeds) * SPAN == pytest.approx(1, abs=0.1) and len(speeds) > 12
    else:
        assert speeds == pytest.approx([1 / 12 / SPAN] * 12)


@pytest.mark.parametrize("at", [1, 5])
def test_errors_of_tensorflow(tmp_path, at):
    """An error of TensorFlow becomes a RunError of one line: the iteration, the last checkpoint, and what to try."""

    def fail():
        raise tf.errors.InvalidArgumentError(None, None, "tmp_var\nalready exists")

    with pytest.raises(RunError) as error:
        train(tmp_path, FakeGAN(at=at, do=fail), 100)
    message = str(error.value)
    assert f"iteration {at}" in message and "tmp_var already exists" in message and "\n" not in message
    assert ("checkpoint of iteration 3 " in message) is (at == 5) and "--batch-size" in message


def test_exhausted_memory(tmp_path):
    """The message says a batch size that is worth trying: half of the 4 that were too many."""

    def fail():
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    with pytest.raises(RunError, match=r"--batch-size 2\b"):
        train(tmp_path, FakeGAN(at=1, do=fail), 100)
