"""What is built from a configuration, and lost labels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from data import Faces
from gan.config import Config
from gan.errors import UsageError
from gan.experiment import build_gan, build_label_distribution, build_penalty, fits_on_devices, reload_data
from gan.labels import Attribute, Labels
from gan.runs.run_directory import Run
from gan.training.regularizers import MIXED_STEP, STEP, FiniteDifference


def test_undecided_augmentation():
    """A GAN that is built before --augment auto is decided augments nothing."""
    config = Config(image_size=16, width=2, generator="dense", discriminator="dense", precision="float32")
    assert build_gan(config).augment is None


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ({"penalty": "none"}, None),
        ({"penalty_weight": 0.0}, None),
        ({"penalty_weight": 0.0, "penalty_schedule": "linear"}, None),
        ({"penalty_weight": 0.3}, 0.3),
        ({"penalty_weight": 0.0, "penalty_schedule": "linear", "final_penalty_weight": 0.1}, 0.0),
    ],
)
def test_penalty(settings, weight):
    """There is a penalty where its weight is above 0 at any time; its weight is a variable where it changes."""
    penalty = build_penalty(Config(penalty_every=4, penalty_batch=0.5, **settings))
    assert (penalty is None) == (weight is None)
    if penalty:
        assert (float(penalty.weight), penalty.every, penalty.share) == (pytest.approx(weight), 4, 0.5)
        assert isinstance(penalty.weight, tf.Variable) == ("penalty_schedule" in settings)


@pytest.mark.parametrize(("precision", "step"), [("float32", STEP), ("mixed_bfloat16", MIXED_STEP)])
def test_estimated_penalty(precision, step):
    """Finite differences are taken at both kinds of images, with a larger step where logits are rounded more."""
    penalty = build_penalty(Config(penalty="r1+r2", penalty_method="finite-difference", precision=precision))
    assert penalty.regularizer == FiniteDifference((False, True), step)


def test_no_label_to_train_with():
    """Where the only labelled images are held out, a run is refused."""
    labels = Labels((Attribute("Happy"),), np.array([[0], [1], [-1], [-1]], np.int32))
    faces = Faces(np.zeros((4, 1, 1, 3), np.uint8), {}, [], labels=labels, unlabelled="keep")
    assert build_label_distribution(Config(), faces, np.array([1, 2])).codes.tolist() == [[1]]
    with pytest.raises(UsageError, match="--holdout"):
        build_label_distribution(Config(), faces, np.array([2, 3]))


def test_labels_that_are_gone(tmp_path):
    """Where the file of a run's labels is no longer there, the command that tells where it is now is named."""
    run = Run(tmp_path / "output/it")
    run.claim(dataclasses.asdict(Config(data=("avatars",), limit=60, labels="gone.csv")))
    with pytest.raises(UsageError, match=r"labels from gone\.csv, which is not there.*--labels WHERE"):
        reload_data(run, tmp_path / "cache")


@pytest.mark.parametrize(
    ("settings", "size", "fits"),
    [({}, 50, True), ({}, 51, False), ({"device_data": 0.0}, 1, False), ({"devices": "cpu:2"}, 1, False)],
)
def test_images_that_stay_on_a_gpu(monkeypatch, settings, size, fits):
    """Of 100 free bytes, --device-data 0.5 takes 50, and 0 none; a CPU has no memory of its own."""
    monkeypatch.setattr("gan.training.memory_estimate.available_gpu_memory", lambda of: 100)
    assert fits_on_devices(Config(**settings), size) is fits
    monkeypatch.setattr("gan.training.memory_estimate.available_gpu_memory", lambda of: None)
    assert not fits_on_devices(Config(**settings), size)  # without a GPU
