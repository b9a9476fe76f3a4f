"""Failure modes of training: each in a GAN of which one network was built to fail in that way."""

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

pytestmark = pytest.mark.usefixtures("quick_extractors", "no_charts")


def modes(rows):
    """Which began, at which iteration."""
    return {row["failure_mode"]: int(row["iteration"]) for row in rows if row["status"] == "started"}


def test_a_healthy_game_is_left_in_peace(tmp_path, capsys):
    """520 iterations of a game in balance, looked at twice: not a word."""
    assert train(tmp_path, build(), 520, every=260) == []
    assert "started" not in capsys.readouterr().out


def test_a_discriminator_that_wins(tmp_path):
    """Against a generator that cannot move it is sure of itself: found as soon as there are 500 iterations."""
    rows = train(tmp_path, build(rates=(0.0, 5e-3), weight=0.0), 600, every=300)
    assert modes(rows) == {"discriminator winning": 600}
    assert re.search(r"D\(x\) (1.00|0.9\d) and D\(G\(z\)\) 0.0\d", rows[0]["advice"])


def test_a_discriminator_that_died(tmp_path):
    """All units of its layer are below 0 for good: it says the same of every face, and both losses stand still."""
    dead = discriminator("relu", keras.initializers.Constant(-100.0))
    assert modes(train(tmp_path, build(d=dead), 510)) == {"losses stuck": 510}


def test_a_collapsed_generator(tmp_path, capsys):
    """It does not hear its noise: all its faces are one; once it is found, every line of progress says so."""
    rows = train(tmp_path, build(generator(layers.Rescaling(0.0))), 6, every=3)
    assert modes(rows) == {"mode collapse": 3} and "0% as much as real images" in rows[0]["advice"]
    lines = [line for line in capsys.readouterr().out.splitlines() if "loss D" in line]
    assert lines[-1].startswith("6/6 ") and "; mode collapse" in lines[-1]


def test_a_saturated_generator(tmp_path):
    """Its tanh is pressed to both ends, whence no gradient leads back: far more black and white than in real faces."""
    ends = keras.initializers.RandomUniform(-40, 40, seed=1)
    assert "saturation" in modes(train(tmp_path, build(generator(bias=ends)), 3))


@keras.saving.register_keras_serializable("tests")
class Memory(layers.Layer):
    """64 faces, of which the signs of the noise choose one: (n, 8) -> (n, 16, 16, 3)."""

    def build(self, shape):
        self.faces = self.add_weight(shape=(64, 16, 16, 3), name="faces")

    def call(self, noise):
        return tf.gather(self.faces, tf.reduce_sum(tf.cast(noise[:, :6] > 0, tf.int32) * 2 ** tf.range(6), axis=1))


def test_a_generator_that_copies(tmp_path):
    """It knows 64 training faces by heart, moved a little by its training, and nothing else."""
    copier = keras.Sequential([keras.Input((8,)), Memory()])
    copier.set_weights([TRAINING[:64] / 127.5 - 1])
    rows = train(tmp_path, build(copier, rates=(1e-4, 1e-3)), 6, every=3)
    assert modes(rows) == {"copying": 3} and "100% of the samples" in rows[0]["advice"]


def test_told_once_when_it_begins_and_once_when_it_is_over(tmp_path, capsys):
    """Of five looks two find it: one line and one row for its beginning, one for its end, a restart between them."""
    train(tmp_path, saturated_for_a_while(4, 11), 6, every=3)
    printed = capsys.readouterr().out
    rows = train(tmp_path, saturated_for_a_while(4, 11), 15, every=3)
    saturation = [(int(row["iteration"]), row["status"]) for row in rows if row["failure_mode"] == "saturation"]
    assert saturation == [(6, "started"), (12, "ended")]
    printed += capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "saturation" in line and line.startswith("iteration")]
    assert lines == [f"iteration 6: saturation started. {rows[0]['advice']}.", "iteration 12: saturation ended."]


def by_name(rows):
    """Rows of values (n, 4) as a dict of columns."""
    return dict(zip(diagnostics.SCALARS, np.reshape(rows, (-1, 4)).T, strict=True))


def all_failures():
    """All failure modes at once, with their advice."""
    still = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1))
    return diagnostics.diagnose(by_name(still), 0.5, {"diversity": 0.1, "copying": 1, "copied": 0.3})


def test_thresholds():
    """Nothing is said below 500 iterations, at the thresholds, or without a score."""
    assert list(all_failures()) == ["discriminator winning", "losses stuck", "saturation", "mode collapse", "copying"]
    still = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1))
    assert diagnostics.diagnose(by_name(still[1:])) == {} == diagnostics.diagnose(by_name(np.zeros((0,))))
    moving = still + np.random.default_rng(0).normal(0, 1e-3, still.shape)
    assert list(diagnostics.diagnose(by_name(moving))) == ["discriminator winning"]
    even = moving.copy()
    even[:, 2:] = [1.0, 1.0 - diagnostics.WINNING]
    score = {"diversity": diagnostics.COLLAPSED, "copying": 0, "copied": 0.02}
    assert diagnostics.diagnose(by_name(even), diagnostics.SATURATED, score) == {}
    assert list(diagnostics.diagnose(by_name(np.concatenate([still, even])))) == []  # only the last 500 count


def test_smoothed_labels_lower_the_threshold():
    """Real faces whose target is 0.7: a D that says 0.7 of all and 0 of fakes wins as surely as one that says 1."""
    sure = np.tile([0.5, 3.0, 0.7, 0.0], (diagnostics.WINDOW, 1)) + np.random.default_rng(0).normal(0, 1e-3, (500, 4))
    assert list(diagnostics.diagnose(by_name(sure))) == []
    assert list(diagnostics.diagnose(by_name(sure), smoothing=0.3)) == ["discriminator winning"]
    assert list(diagnostics.diagnose(by_name(sure - [0, 0, 0.08, 0]), smoothing=0.3)) == []  # 0.62 is below 0.9 x 0.7


def test_nothing_is_advised_that_is_there_already():
    """Of a penalty that is on, a larger weight; of float32, not float32 again."""
    still = np.tile([0.5, 3.0, 1.0, 0.0], (diagnostics.WINDOW, 1))
    score = {"diversity": 0.1, "copying": 0, "copied": 0.0}
    for regularized in (False, True):
        found = diagnostics.diagnose(by_name(still), 0.0, score, regularized=regularized)
        for name in ("discriminator winning", "mode collapse"):
            assert ("--penalty r1" in found[name]) is not regularized
        assert ("--penalty-weight" in found["discriminator winning"]) is regularized
    assert "--precision" not in diagnostics.suggest_after_nan(
        "float32"
    ) and "--precision float32 or" in diagnostics.suggest_after_nan("mixed_float16")


def test_each_says_what_to_do():
    """Each has a sentence of what is seen and one of what to try, with flags that train.py knows."""
    flags = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(Config)}
    for name, advice in [*all_failures().items(), ("NaN", diagnostics.suggest_after_nan("mixed_float16"))]:
        named = set(re.findall(r"--[a-z-]+", advice))
        assert named and named <= flags, name
        assert re.search("Try|Stop earlier", advice) and not advice.endswith("."), name


def test_at_the_ends_by_hand():
    """0, 1, 254 and 255 are ends, 2 and 253 are not."""
    assert diagnostics.saturated_share(np.array([0, 1, 2, 127, 128, 253, 254, 255], np.uint8)) == 0.5
