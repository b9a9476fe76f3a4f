"""The loop alone, with a gan that costs nothing: what is saved when, however slow the steps are."""

import csv
import itertools
import json
import os
import signal
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
from gan.runs.run_directory import SCORE_COLUMNS, Run
from gan.training import diagnostics, trainer
from gan.training.schedule import RunLength
from gan.training.trainer import Trainer
from gan.training.validation import Scorer, Validator

pytestmark = pytest.mark.usefixtures("no_charts")


class FakeGAN:
    """A GAN whose steps only count, and at step `at` call `do`."""

    def __init__(self, at=None, do=None, losses=lambda i: [1.0, 2.0, 0.5, 0.5]):
        self.g_optimizer = self.d_optimizer = keras.optimizers.SGD(0.01)
        self.iteration = tf.Variable(0, dtype=tf.int64)
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

    def fixed_noise(self, count):
        return tf.zeros((count, 2))

    def generate_images(self, noise):
        return self.calibrated_ema(noise)

    def calibrate_ema(self, calibrate):
        pass


class Clock:
    """A clock that goes on by `tick` seconds whenever somebody looks."""

    def __init__(self, tick):
        self.now, self.tick = 0.0, tick

    def perf_counter(self):
        self.now += self.tick
        return self.now


def no_validation():
    """A validator without anything to score against."""
    images = np.zeros((4, 16, 16, 3), np.uint8)
    return Validator(Scorer(ImageSubset(images, np.arange(0)), ImageSubset(images, np.arange(4)), generate=None))


def train(tmp_path, gan, total, *, monkeypatch=None, tick=None, minutes=0.0, validator=None, **settings):
    """Trains in tmp_path; returns the exit code and the run."""
    if tick:
        monkeypatch.setattr(trainer, "time", Clock(tick))
    run = Run(tmp_path / "run")
    config = Config(**{"sample_every": 3, "image_size": 16, "batch_size": 4, **settings})
    code = Trainer(
        config,
        gan,
        run,
        lambda start: itertools.repeat((np.zeros((4, 16, 16, 3)), np.zeros((4, 0)))),
        RunLength(total, minutes),
        validator or no_validation(),
    ).train()
    return code, run


def pictures(run):
    """The iterations that have a picture."""
    return sorted(int(path.stem) for path in run.folder.glob("0*.png"))


def table(path, *without):
    """The rows of a table, less some columns."""
    with open(path, newline="") as file:
        return [{name: row[name] for name in row if name not in without} for row in csv.DictReader(file)]


def iterations(run):
    """The iterations that are logged."""
    return [int(row["iteration"]) for row in table(run.log)]


@pytest.mark.parametrize("tick", [0.001, 0.3, 0.7])
def test_the_end_is_saved(tmp_path, monkeypatch, tick):
    """A run that ends between two pictures leaves its last step, picture and generator, however slow a step is."""
    code, run = train(tmp_path, FakeGAN(), 5, monkeypatch=monkeypatch, tick=tick)
    assert code == 0 and iterations(run) == [1, 2, 3, 4, 5]
    assert [path.name for path in checkpoints.list_paths(run.checkpoints)] == ["000000003.npz", "000000005.npz"]
    assert run.grid_path(5).exists() and (run.folder / "generator.keras").exists()


@pytest.mark.parametrize(
    ("tick", "number"),
    [(0.001, signal.SIGINT), (0.3, signal.SIGINT), (0.7, signal.SIGINT), (0.3, signal.SIGTERM)],
)
def test_a_stop_is_saved(tmp_path, monkeypatch, capsys, tick, number):
    """Ctrl-C or SIGTERM in a step: that step is finished and saved, however slow it is, and the exit code says why."""
    gan = FakeGAN(at=4, do=lambda: signal.raise_signal(number))
    code, run = train(tmp_path, gan, 100, monkeypatch=monkeypatch, tick=tick)
    assert code == 128 + number and iterations(run) == [1, 2, 3, 4]
    assert checkpoints.list_paths(run.checkpoints)[-1].name == "000000004.npz"
    assert "Ctrl-C again" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # as it was


def test_a_stop_before_the_first_step(tmp_path, capsys):
    """A signal before anything was trained ends well, with nothing to divide by."""
    config, run = Config(image_size=16), Run(tmp_path / "run")
    one = Trainer(
        config,
        FakeGAN(),
        run,
        lambda start: (signal.raise_signal(signal.SIGTERM), iter([]))[1],
        RunLength(10),
        no_validation(),
    )
    assert one.train() == 128 + signal.SIGTERM
    assert "0 iterations" in capsys.readouterr().out


def test_slow_runs_are_saved_between_pictures(tmp_path, monkeypatch):
    """Where pictures are far apart, a checkpoint comes after 300 seconds all the same."""
    saved = []
    monkeypatch.setattr(checkpoints, "save", lambda folder, iteration, arrays: saved.append(iteration))
    train(tmp_path, FakeGAN(), 10, sample_every=10, monkeypatch=monkeypatch, tick=40.0)
    assert saved[-1] == 10 and 2 <= len(saved) <= 5


def test_twenty_pictures(tmp_path):
    """A run has at least 20 pictures by default, the first at 0, the last at its end."""
    _, run = train(tmp_path, FakeGAN(), 47, sample_every=0)
    assert len(pictures(run)) >= 20 and pictures(run)[0] == 0 and pictures(run)[-1] == 47


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_bad_loss_is_named(tmp_path, bad):
    """The first loss that is no number ends the run, names its iteration, and no later checkpoint is written."""
    gan = FakeGAN(losses=lambda i: [1.0, bad if i >= 5 else 2.0, 0.5, 0.5])
    with pytest.raises(RunError, match=r"after iteration 5.*checkpoint of iteration 3"):
        train(tmp_path, gan, 100)
    run = Run(tmp_path / "run")
    assert checkpoints.list_paths(run.checkpoints)[-1].name == "000000003.npz"
    assert [(row["iteration"], row["failure_mode"]) for row in table(run.diagnostics)] == [("5", "NaN")]
    train(tmp_path, FakeGAN(), 4)  # from the checkpoint on, it never was
    assert table(run.diagnostics) == []


def test_a_bad_weight_is_named(tmp_path):
    """A weight that is no number ends the run at the next checkpoint, which is not written, though losses look well."""
    gan = FakeGAN(at=5, do=lambda: gan.calibrated_ema.weights[0].assign(gan.calibrated_ema.weights[0] + np.inf))
    with pytest.raises(RunError, match=r"after iteration 6.*checkpoint of iteration 3"):
        train(tmp_path, gan, 100)
    assert checkpoints.list_paths(Run(tmp_path / "run").checkpoints)[-1].name == "000000003.npz"


@pytest.mark.parametrize("tick", [0.1, 0.5, 2.0])
def test_minutes(tmp_path, monkeypatch, capsys, tick):
    """A run by the clock ends when its minute of training is over, with about 20 pictures, or one a step if slow."""
    _, run = train(tmp_path, FakeGAN(), 1, minutes=1.0, sample_every=0, monkeypatch=monkeypatch, tick=tick)
    seconds = [float(row["seconds"]) for row in table(run.log)]
    assert seconds == sorted(seconds) and 60 <= seconds[-1] < 60 + 5 * tick
    assert min(20, len(seconds)) <= len(pictures(run)) <= 22
    assert pictures(run)[0] == 0 and pictures(run)[-1] == len(seconds)
    capsys.readouterr()
    assert train(tmp_path, FakeGAN(), 1, minutes=1.0, sample_every=0)[0] == 0
    assert "A larger --minutes goes on from there." in capsys.readouterr().out and len(table(run.log)) == len(seconds)


def test_minutes_go_on(tmp_path, monkeypatch):
    """After a stop, earlier seconds count; a larger --minutes goes on; the milestones are those of one session."""
    options = {"sample_every": 0, "monkeypatch": monkeypatch, "tick": 0.5}
    stopped = FakeGAN(at=15, do=lambda: signal.raise_signal(signal.SIGTERM))
    assert train(tmp_path, stopped, 1, minutes=1.0, **options)[0] == 128 + signal.SIGTERM
    before = float(table(tmp_path / "run" / "log.csv")[-1]["seconds"])
    assert 15 < before < 45
    _, run = train(tmp_path, FakeGAN(), 1, minutes=1.0, **options)
    seconds = [float(row["seconds"]) for row in table(run.log)]
    assert seconds == sorted(seconds) and seconds[15] < before + 5 and 60 <= seconds[-1] < 63
    assert 20 <= len(pictures(run)) <= 22
    train(tmp_path, FakeGAN(), 1, minutes=2.0, **options)
    assert 120 <= float(table(run.log)[-1]["seconds"]) < 123 and pictures(run)[-1] == len(table(run.log))


@pytest.mark.parametrize("minutes", [0.0, 1.0])
def test_killed_before_the_picture(tmp_path, monkeypatch, minutes):
    """Killed between a checkpoint and its picture: the picture is made at the restart, by the clock or not."""
    options = {"minutes": minutes, "sample_every": 0, "monkeypatch": monkeypatch, "tick": 0.5}
    with monkeypatch.context() as patched:
        saves = iter(range(4))
        grid = Run.save_grid
        patched.setattr(Run, "save_grid", lambda *given: grid(*given) if next(saves) < 3 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(tmp_path, FakeGAN(), 40, **options)
    run = Run(tmp_path / "run")
    owed = int(checkpoints.list_paths(run.checkpoints)[-1].stem)
    assert owed not in pictures(run)
    train(tmp_path, FakeGAN(), 40, **options)
    assert owed in pictures(run) and len(pictures(run)) >= 20


class Drifting(FakeGAN):
    """A gan that is best after its 9th step; how far it is from there is the bias of its averaged network."""

    far = staticmethod(lambda iteration: abs(iteration - 9))

    def train_step(self, batch):
        scalars = super().train_step(batch)
        self.calibrated_ema.weights[1].assign(np.full(16 * 16 * 3, self.far(int(self.iteration)), np.float32))
        return scalars

    def validator(self, patience=0, **options):
        """A validator whose samples are real images, with noise of forty times that bias."""

        def generate(count):
            far = 40 * float(self.calibrated_ema.weights[1].numpy()[0])
            noise = np.random.default_rng(0).uniform(-far, far, (count, 4, 4, 3)).repeat(4, axis=1).repeat(4, axis=2)
            return np.clip(faces(count, 3) + noise, 0, 255).astype(np.uint8)

        options = {"samples": 128, "forced": True, "patience": patience, **options}
        return Validator(Scorer(real(faces(200, 1)), real(faces(200, 2)), generate), **options)


def drifted(tmp_path, patience, total=100, gan=None):
    """The exit code of a gan that gets worse, and its run."""
    gan = gan or Drifting()
    settings = {"score_every": 3, "patience": patience, "validator": gan.validator(patience)}
    return train(tmp_path, gan, total, sample_every=50, **settings)


def best(run):
    """Of which iteration best.keras is by its file, and how far from the best its weights are."""
    weights = keras.saving.load_model(run.folder / "best.keras").get_weights()
    return json.loads((run.folder / "best.json").read_text())["iteration"], weights[1].tolist()


def test_patience_stops_and_keeps_the_best(tmp_path, capsys, quick_extractors):
    """Two scores after the best of iteration 9 the run ends well; best.keras is that of 9; more patience goes on."""
    code, run = drifted(tmp_path, 2)
    assert code == 0 and [int(row["iteration"]) for row in table(run.metrics)] == [3, 6, 9, 12, 15]
    assert best(run) == (9, [0.0] * 768) and pictures(run) == [0, 15]
    printed = capsys.readouterr().out
    assert "Stopped early: 2 scores without a lower one. A larger --patience goes on from there." in printed
    assert "at iteration 9 (low is good), kept as best.keras" in printed
    score = json.loads((run.folder / "best.json").read_text())
    assert score["kid"] == min(float(row["kid"]) for row in table(run.metrics))
    assert (score["images"], score["samples"], next(iter(score["protocol"]))) == (36, 128, "network")
    assert drifted(tmp_path, 2)[0] == 0
    assert "Done already: 15 iterations. A larger --patience goes on from there." in capsys.readouterr().out
    assert drifted(tmp_path, 4)[0] == 0 and iterations(run)[-1] == 21 and best(run)[0] == 9
    assert drifted(tmp_path, 0, total=24)[0] == 0 and iterations(run)[-1] == 24 and best(run)[0] == 9
    capsys.readouterr()
    drifted(tmp_path, 0, total=24)
    assert "A larger --epochs goes on from there." in capsys.readouterr().out


def test_killed_before_the_best_was_kept(tmp_path, monkeypatch, quick_extractors):
    """Killed between the checkpoint of the best score and best.keras: the restart keeps it, and knows it as best."""
    keep = Run.save_best
    with monkeypatch.context() as patched:
        patched.setattr(Run, "save_best", lambda *given: 1 / 0 if given[2]["iteration"] == 9 else keep(*given))
        with pytest.raises(ZeroDivisionError):
            drifted(tmp_path, 2)
    assert best(Run(tmp_path / "run"))[0] == 6
    _, run = drifted(tmp_path, 2)
    assert best(run) == (9, [0.0] * 768) and iterations(run)[-1] == 15
    again = Run(tmp_path / "again" / "run")
    drifted(tmp_path / "again", 2)
    one, other = (json.loads((each.folder / "best.json").read_text()) for each in (run, again))
    clock = {"seconds": 0, "eval_seconds": 0}
    assert one | clock == other | clock and list(one) == list(other)


def test_a_stop_while_scoring(tmp_path, quick_extractors):
    """SIGTERM in a score: it is finished, written and saved with its step, and counts after the restart."""
    gan = Drifting()
    validator = gan.validator()
    generate = validator.scorer.generate
    validator.scorer.generate = lambda count: (signal.raise_signal(signal.SIGTERM), generate(count))[1]
    code, run = train(tmp_path, gan, 9, sample_every=50, score_every=3, validator=validator)
    assert code == 128 + signal.SIGTERM and iterations(run) == [1, 2, 3] and best(run)[0] == 3
    drifted(tmp_path, 0, total=9)
    assert [int(row["iteration"]) for row in table(run.metrics)] == [3, 6, 9] and best(run)[0] == 9


def test_short_runs_are_not_scored(tmp_path, capsys, quick_extractors):
    """A run of a second is not scored unless asked to, says so, and keeps no best."""
    gan = Drifting()
    _, run = train(tmp_path, gan, 9, validator=gan.validator(forced=False))
    assert table(run.metrics) == [] and not (run.folder / "best.keras").exists() and not quick_extractors
    assert "--score-every N scores in any case" in capsys.readouterr().out


def test_a_slow_first_step_is_no_long_run(tmp_path, monkeypatch, quick_extractors):
    """A first step of ten seconds, as where there is much to trace, and 399 of milliseconds: too short for scores.

    At a twentieth of the way the mean of the steps so far would promise 200 s, of which a twentieth were enough.
    """
    clock = Clock(0.001)
    monkeypatch.setattr(trainer, "time", clock)
    gan = Drifting(at=1, do=lambda: setattr(clock, "now", clock.now + 10))
    _, run = train(tmp_path, gan, 400, sample_every=200, validator=gan.validator(forced=False))
    assert iterations(run)[-1] == 400 and 10 < float(table(run.log)[-1]["seconds"]) < 20
    assert table(run.metrics) == [] and not quick_extractors


def test_a_best_that_has_not_been_yet(tmp_path, quick_extractors):
    """Where the newest checkpoint was lost, a best.keras from after the one before is no best of this run any more."""
    _, run = drifted(tmp_path, 0, total=6)
    assert best(run)[0] == 6
    checkpoints.list_paths(run.checkpoints)[-1].unlink()
    drifted(tmp_path, 0, total=3)
    assert best(run) == (3, [6.0] * 768)
    drifted(tmp_path, 0, total=9)
    assert best(run)[0] == 9


@pytest.mark.parametrize(("ninth", "kept"), [(0, 9), (6, 9), (12, 6)])
def test_a_best_that_was_lost(tmp_path, capsys, quick_extractors, ninth, kept):
    """Scored at 3, 6 and, best of all, 9, whose checkpoint is lost: the best that is left is kept, and named.

    best.keras of 9 was never of this run, and that of 3 is gone. So that of 6 is kept, from which the run goes on, and
    of 9, once it is there again, if it is better than that, though not so good as 3.
    """
    distances = {3: 3, 6: 9, 9: 0}
    gan = Drifting()
    gan.far = lambda iteration: distances.get(iteration, 15)
    _, run = drifted(tmp_path, 0, total=9, gan=gan)
    assert best(run)[0] == 9
    checkpoints.list_paths(run.checkpoints)[-1].unlink()
    drifted(tmp_path, 0, total=6)
    assert best(run) == (6, [9.0] * 768)
    distances[9] = ninth
    again = Drifting()
    again.far = gan.far
    capsys.readouterr()
    drifted(tmp_path, 0, total=9, gan=again)
    assert best(run) == (kept, [float(distances[kept])] * 768)
    assert [row["iteration"] for row in run.read_scores()] == [3, 6, 9]
    lost = f"at iteration 3 (low is good), but lost with a damaged checkpoint; best.keras is of {kept}."
    assert (lost if ninth else "at iteration 9 (low is good), kept as best.keras.") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("total", "every", "left"), [(7, 2, [4, 3, 2, 1]), (6, 2, [3, 2, 1]), (40, 0, [*range(20, 0, -1)])]
)
def test_as_many_scores_are_left_as_there_will_be(tmp_path, total, every, left):
    """One at each multiple of --score-every, and one at the end: so many share a twentieth of the run's time."""
    asked, validator = [], no_validation()
    validator.can_evaluate = lambda planned, remaining: True
    validator.evaluate = lambda iteration, planned, remaining: asked.append(remaining)
    train(tmp_path, FakeGAN(), total, sample_every=total, score_every=every, validator=validator)
    assert asked == left


@pytest.mark.filterwarnings("ignore:no more scores")
def test_a_scorer_that_fails_costs_nothing(tmp_path, capsys, quick_extractors):
    """A run that cannot be scored is saved all the same, to its end, and says why it has no scores."""
    gan = Drifting()
    validator = gan.validator()
    validator.scorer.generate = lambda count: 1 / 0
    code, run = train(tmp_path, gan, 9, score_every=3, validator=validator)
    assert code == 0 and pictures(run) == [0, 3, 6, 9] and run.read_scores() == []
    assert [path.stem for path in checkpoints.list_paths(run.checkpoints)] == ["000000006", "000000009"]
    assert "No score: division by zero." in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
@pytest.mark.parametrize("ignored", [True, False])
def test_nohup(tmp_path, ignored):
    """A terminal that closes ends a run, after it was saved; one that was started by nohup does not hear of it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        code, run = train(tmp_path, FakeGAN(at=2, do=lambda: signal.raise_signal(signal.SIGHUP)), 4)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (code, iterations(run)[-1]) == ((0, 4) if ignored else (128 + signal.SIGHUP, 2))


def test_scores_go_on_to_the_bit(tmp_path, quick_extractors):
    """A real gan stopped at its 6th or 7th step and then played to 12 has the scores and the best of 12 at once.

    Rows that a killed process wrote after its last checkpoint leave no trace.
    """
    whole = Run(tmp_path / "whole")
    small_gan.train(whole.folder, small_gan.saturated_for_a_while(2, 8), 12, every=3)
    assert len(table(whole.metrics)) == 4
    assert [(row["iteration"], row["status"]) for row in table(whole.diagnostics)] == [
        *(("3", "started"), ("3", "started"), ("9", "ended"), ("9", "ended")),  # saturated, so that all faces are one
    ]
    for stop in (6, 7):
        run = Run(tmp_path / str(stop))
        stopped = stopping(small_gan.saturated_for_a_while(2, 8), stop)
        small_gan.train(run.folder, stopped, 12, every=3, code=128 + signal.SIGTERM)
        run.append_log([{"iteration": 9, "images": 1, "seconds": 1.0, "d_loss": 1.0, "images_per_second": 1.0}])
        run.append_rows(run.metrics, [(9, *["1"] * (len(SCORE_COLUMNS) - 1))])
        run.append_rows(run.diagnostics, [(9, "copying", "started", "Try")])
        small_gan.train(run.folder, small_gan.saturated_for_a_while(2, 8), 12, every=3)
        assert_same(run, whole)


def stopping(gan, stop):
    """The gan, with a SIGTERM in the middle of step `stop`."""
    step = gan.train_step

    def train_step(batch):
        if int(gan.iteration) == stop - 1:
            signal.raise_signal(signal.SIGTERM)
        return step(batch)

    gan.train_step = train_step
    return gan


def assert_same(one, other):
    """Two runs have the same tables, best score and best generator, to the bit, but for what a clock says."""
    for name, clock in [
        ("metrics", ("seconds", "eval_seconds")),
        ("diagnostics", ()),
        ("log", ("seconds", "images_per_second")),
    ]:
        assert table(getattr(one, name), *clock) == table(getattr(other, name), *clock), name
    kept = [keras.saving.load_model(run.folder / "best.keras").get_weights() for run in (one, other)]
    for first, second in zip(*kept, strict=True):
        np.testing.assert_array_equal(first, second)
    scores = [
        json.loads((run.folder / "best.json").read_text()) | {"seconds": 0, "eval_seconds": 0} for run in (one, other)
    ]
    assert scores[0] == scores[1]


def test_the_gallery_is_written_with_every_picture(tmp_path, monkeypatch):
    """At 0, 3 and 5, and at the end; a page that cannot be written is warned of once and ends nothing."""
    seen = []
    monkeypatch.setattr(trainer.Page, "refresh", lambda page: seen.append(page.path))
    train(tmp_path, FakeGAN(), 5)
    assert seen == [tmp_path / "index.html"] * 4


def test_no_gallery_ends_no_run(tmp_path):
    """Where a folder stands in its page's place."""
    (tmp_path / "index.html").mkdir()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        code, _ = train(tmp_path, FakeGAN(), 5)
    assert code == 0 and sum("index.html is not up to date" in str(one.message) for one in told) == 1


class Scheduled(FakeGAN):
    """A GAN that remembers the generator's learning rate at each step."""

    def __init__(self, **options):
        super().__init__(**options)
        self.rates = []

    def train_step(self, batch):
        self.rates.append(float(self.g_optimizer.learning_rate))
        return super().train_step(batch)


@pytest.mark.parametrize("tick", [None, 0.5])
def test_learning_rates_fall_with_the_run(tmp_path, monkeypatch, tick):
    """Linearly from 0.01 to about 0 at the end, in iterations or in minutes; a stop changes nothing of it."""
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


@pytest.mark.parametrize("at", [1, 5])
def test_a_failure_of_tensorflow_is_one_line(tmp_path, at):
    """It names the iteration, what is saved and what to try, and never is a bare traceback."""

    def fail():
        raise tf.errors.InvalidArgumentError(None, None, "tmp_var\nalready exists")

    with pytest.raises(RunError) as error:
        train(tmp_path, FakeGAN(at=at, do=fail), 100)
    message = str(error.value)
    assert f"iteration {at}" in message and "tmp_var already exists" in message and "\n" not in message
    assert ("iteration 3 is" in message) is (at == 5) and "--batch-size" in message
