"""What is built from a configuration, and lost labels."""

import dataclasses

import numpy as np
import pytest

from data import Faces
from gan.config import Config
from gan.errors import UsageError
from gan.experiment import build_gan, count_labels, reload_data
from gan.labels import Attribute, Labels
from gan.runs.run_directory import Run


def test_undecided_augmentation():
    """A GAN that is built before --augment auto is decided augments nothing."""
    config = Config(image_size=16, width=2, generator="dense", discriminator="dense", precision="float32")
    assert build_gan(config).augment is None


def test_no_label_to_train_with():
    """Where the only labelled images are held out, a run is refused."""
    labels = Labels((Attribute("Happy"),), np.array([[0], [1], [-1], [-1]], np.int32))
    faces = Faces(np.zeros((4, 1, 1, 3), np.uint8), {}, [], labels=labels, unlabelled="keep")
    assert count_labels(Config(), faces, np.array([1, 2])).codes.tolist() == [[1]]
    with pytest.raises(UsageError, match="--holdout"):
        count_labels(Config(), faces, np.array([2, 3]))


def test_labels_that_are_gone(tmp_path):
    """Where the file of a run's labels is no longer there, the command that tells where it is now is named."""
    run = Run(tmp_path / "output/it")
    run.claim(dataclasses.asdict(Config(data=("avatars",), limit=60, labels="gone.csv")))
    with pytest.raises(UsageError, match=r"labels from gone\.csv, which is not there.*--labels WHERE"):
        reload_data(run, tmp_path / "cache")
