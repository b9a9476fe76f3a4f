"""What is built from a configuration, and labels that are lost or others."""

import contextlib
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from data import Faces
from gan.config import Config
from gan.errors import UsageError
from gan.experiment import build_gan, build_label_distribution, build_penalty, fits_on_devices, load_data, reload_data
from gan.images import write_png
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


HAPPY = "file,Happy\n0.png,1\n1.png,0\n2.png,1\n3.png,0\n"


@pytest.mark.parametrize(
    ("name", "content", "same"),
    [
        ("labels.csv", HAPPY + "9.png,1\n", True),
        ("labels.csv", HAPPY.replace("3.png,0", "3.png,1"), False),
        ("labels.csv", HAPPY.replace("\n", ",0\n").replace("Happy,0", "Happy,Hat"), False),
        ("list_attr_celeba.csv", HAPPY.replace("Happy", "Hat"), False),  # which is looked for first
    ],
)
def test_labels_that_have_changed(tmp_path, name, content, same):
    """Labels are those of a run where every image has the same ones, whatever else is in their file."""
    for i in range(4):
        write_png(tmp_path / f"faces/{i}.png", np.full((16, 16, 3), 50 * i, np.uint8))
    (tmp_path / "faces/labels.csv").write_text(HAPPY)
    run, config = Run(tmp_path / "output/it"), Config(data=(str(tmp_path / "faces"),), image_size=16, labels="auto")
    faces = load_data(dataclasses.replace(config, cache_dir=str(tmp_path / "cache")))
    run.claim({**dataclasses.asdict(config), "faces": faces.title, "label_digest": faces.labels.digest})
    (tmp_path / "faces" / name).write_text(content)
    with contextlib.nullcontext() if same else pytest.raises(UsageError, match="other labels"):
        assert reload_data(run, tmp_path / "cache").labels.digest == faces.labels.digest


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
