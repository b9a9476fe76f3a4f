"""Failure modes of training, each detected in a GAN with a network that fails in that way."""

import dataclasses
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_gan import TRAINING, build, discriminator, generator, saturated_for_a_while, train

from gan.config import Config
from gan.training import diagnostics

pytestmark = pytest.mark.usefixtures("quick_extractors", "fast_saves")


def modes(rows):
    """The failure modes that started, with their iterations."""
    return {row["failure_mode"]: int(row["iteration"]) for row in rows if row["status"] == "started"}


@pytest.fixture
def short_window(monkeypatch):
    """Judges losses over 100 iterations, and not 500, so that few are enough."""
    monkeypatch.setattr(diagnostics, "WINDOW", 100)


@pytest.mark.usefixtures("short_window")
def test_no_failure_in_balanced_training(tmp_path, capsys):
    """A window of balanced training, and a bit more, diagnosed twice, has no failure mode."""
    assert train(tmp_path, build(), 120, every=60) == []
    assert "started" not in capsys.readouterr().out


@pytest.mark.usefixtures("short_window")
def test_winning_discriminator(tmp_path):
    """A discriminator that wins against a generator at learning rate 0 is detected once it has won for a window."""
    rows = train(tmp_path, build(rates=(0.0, 2e-2), weight=0.0), 160, every=80)
    assert modes(rows) == {"discriminator winning": 160}
    assert re.search(r"D\(x\) (1.00|0.9\d) and D\(G\(z\)\) 0.0\d", rows[0]["advice"])


@pytest.mark.usefixtures("short_window")
def test_dead_discriminator(tmp_path):
    """If all ReLUs of the discriminator are always 0, its logits are constant, and losses stuck are detected."""
    dead = discriminator("relu", keras.initializers.Constant(-100.0))
    assert modes(train(tmp_path, build(d=dead), 210)) == {"losses stuck": 210}


@pytest.mark.usefixtures("eagerly")
def test_collapsed_generator(tmp_path, capsys):
    """A generator that ignores its noise is detected as mode collapse, which each later line of progress shows."""
    rows = train(tmp_path, build(generator(layers.Rescaling(0.0))), 6, every=3)
    assert modes(rows) == {"mode collapse": 3} and "0% as much as real images" in rows[0]["advice"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "loss D" in line]
    assert lines[-1].startswith("6/6 ") and "; mode collapse" in lines[-1]


@pytest.mark.usefixtures("eagerly")
def test_saturated_generator(tmp_path):
    """A generator whose tanh is at -1 or 1 is detected as saturation."""
    ends = keras.initializers.RandomUniform(-40, 40, seed=1)
    assert "saturation" in modes(train(tmp_path, build(generator(bias=ends)), 3))


@keras.saving.register_keras_serializable("tests")
class StoredImages(layers.Layer):
    """Selects one of 64 stored images by the signs of the noise: (n, 8) -> (n, 16, 16, 3)."""

    def build(self, shape):
        self.faces = self.add_weight(shape=(64, 16, 16, 3), name="faces")

    def call(self, noise):
        return tf.gather(self.faces, tf.reduce_sum(tf.cast(noise[:, :6] > 0, tf.int32) * 2 ** tf.range(6), axis=1))


@pytest.mark.usefixtures("eagerly")
def test_copying_generator(tmp_path):
    """A generator of 64 stored training images is detected as copying."""
    copier = keras.Sequential([keras.Input((8,)), StoredImages()])
    copier.set_weights([TRAINING[:64] / 127.5 - 1])
    rows = train(tmp_path, build(copier, rates=(1e-4, 1e-3)), 6, every=3)
    assert modes(rows) == {"copying": 3} and "100% of the samples" in rows[0]["advice"]


@pytest.mark.usefixtures("eagerly")
def test_start_and_end_are_reported_once(tmp_path, capsys):
    """Start and end of a failure mode have one line and one row each, also if the run is resumed between them."""
    train(tmp_path, saturated_for_a_while(4, 11), 6, every=3)
    printed = capsys.readouterr().out
    rows = train(tmp_path, saturated_for_a_while(4, 11), 15, every=3)
    saturation = [(int(row["iteration"]), row["status"]) for row in rows if row["failure_mode"] == "saturation"]
    assert saturation == [(6, "started"), (12, "ended")]
    printed += capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "saturation" in line and line.startswith("iteration")]
    assert lines == [f"iteration 6: saturation started. {rows[0]['advice']}.", "iteration 12: saturation ended."]


def by_name(rows):
    """Converts rows of values (n, 4) to a dict of columns."""
    return dict(zip(diagnostics.SCALARS, np.reshape(rows, (-1, 4)).T, strict=True))


def all_failures():
    """All failure modes at once, with their advice."""
    constant = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1))
    return diagnostics.diagnose(by_name(constant), 0.5, {"diversity": 0.1, "copying": 1, "copied": 0.3})


def test_thresholds():
    """Nothing is detected before 500 iterations or at exactly the thresholds; collapse and copying need a score."""
    assert list(all_failures()) == ["discriminator winning", "losses stuck", "saturation", "mode collapse", "copying"]
    constant = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1))
    assert diagnostics.diagnose(by_name(constant[1:])) == {} == diagnostics.diagnose(by_name(np.zeros((0,))))
    moving = constant + np.random.default_rng(0).normal(0, 1e-3, constant.shape)
    assert list(diagnostics.diagnose(by_name(moving))) == ["discriminator winning"]
    balanced = moving.copy()
    balanced[:, 2:] = [1.0, 1.0 - diagnostics.WINNING]
    score = {"diversity": diagnostics.COLLAPSED, "copying": 0, "copied": 0.02}
    assert diagnostics.diagnose(by_name(balanced), diagnostics.SATURATED, score) == {}
    assert list(diagnostics.diagnose(by_name(np.concatenate([constant, balanced])))) == []  # only the last 500 count


def test_smoothed_labels_lower_the_threshold():
    """If label smoothing lowers the real target to 0.7, D(x) = 0.7 is as certain as 1 without it."""
    certain = np.tile([0.5, 3.0, 0.7, 0.0], (diagnostics.WINDOW, 1)) + np.random.default_rng(0).normal(
        0, 1e-3, (500, 4)
    )
    assert list(diagnostics.diagnose(by_name(certain))) == []
    assert list(diagnostics.diagnose(by_name(certain), smoothing=0.3)) == ["discriminator winning"]
    assert (
        list(diagnostics.diagnose(by_name(certain - [0, 0, 0.08, 0]), smoothing=0.3)) == []
    )  # 0.62 is below 0.9 x 0.7


def test_a_critic_may_win():
    """Wasserstein's loss teaches the generator however far apart the scores are."""
    certain = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1)) + np.random.default_rng(0).normal(
        0, 1e-3, (500, 4)
    )
    assert list(diagnostics.diagnose(by_name(certain))) == ["discriminator winning"]
    assert diagnostics.diagnose(by_name(certain), critic=True) == {}


def test_advice_depends_on_the_configuration():
    """With a penalty, a larger weight is advised instead of a penalty; with float32, no other precision is advised."""
    constant = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1))
    score = {"diversity": 0.1, "copying": 0, "copied": 0.0}
    for regularized in (False, True):
        found = diagnostics.diagnose(by_name(constant), 0.0, score, regularized=regularized)
        for name in ("discriminator winning", "mode collapse"):
            assert ("--penalty r1" in found[name]) is not regularized
        assert ("--penalty-weight" in found["discriminator winning"]) is regularized
    for advice in diagnostics.diagnose(by_name(constant), 0.0, score, batch_norm=True).values():
        assert ("--discriminator-normalization layer" in advice) is ("--penalty r1" in advice)
    for advice in diagnostics.diagnose(by_name(constant), 0.0, score, acgd=True).values():
        assert "--penalty" not in advice  # which --optimizer acgd refuses
    assert "--precision" not in diagnostics.suggest_after_nan(
        "float32"
    ) and "--precision float32 or" in diagnostics.suggest_after_nan("mixed_float16")


def test_advice_names_flags():
    """The advice on each failure mode says what to try, with flags of train.py."""
    flags = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(Config)}
    for name, advice in [*all_failures().items(), ("NaN", diagnostics.suggest_after_nan("mixed_float16"))]:
        named = set(re.findall(r"--[a-z-]+", advice))
        assert named and named <= flags, name
        assert re.search("Try|Stop earlier", advice) and not advice.endswith("."), name


def test_saturated_share_by_hand():
    """0, 1, 254 and 255 count as saturated, 2 and 253 do not."""
    assert diagnostics.saturated_share(np.array([0, 1, 2, 127, 128, 253, 254, 255], np.uint8)) == 0.5
