"""Scores by label: agreement and distances of samples whose labels are plain to see."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from striped_images import ATTRIBUTES, draw

from gan.labels import Labels
from gan.metrics import class_scores, distances
from gan.metrics.class_scores import LabelledImages, score_classes
from gan.metrics.evaluation import ImageSubset
from gan.metrics.feature_extractors import FeatureExtractor

ACCURACY = {"bright": 0.9, "stripe": float("nan")}


def means(pixels):
    """Features float32 (n, 4): the mean brightness of each quarter of an image."""
    quarters = pixels.reshape(len(pixels), 2, 8, 2, 8, 3).mean(axis=(2, 4, 5))
    return quarters.reshape(len(pixels), 4).astype(np.float32)


def see(pixels):
    """The codes of images, from the pixels that the attributes change."""
    middle, edge = pixels[:, 8:, 5:11].mean((1, 2, 3)) > 100, pixels[:, 8:, :3].mean((1, 2, 3)) > 100
    return np.stack([pixels[:, :8].mean((1, 2, 3)) > 80, middle + 2 * edge], axis=1).astype(np.int32)


@pytest.fixture
def real():
    """800 real images, whose labels a classifier knows that is always right."""
    pixels, codes = draw(800, 0.4, (0.5, 0.45, 0.05), seed=0)
    np.testing.assert_array_equal(see(pixels), codes)
    classifier = SimpleNamespace(predict=see, accuracy=ACCURACY)
    return LabelledImages(ImageSubset(pixels, np.arange(800)), Labels(ATTRIBUTES, codes), classifier)


@pytest.fixture
def extractor():
    """An extractor of these features."""
    return FeatureExtractor("means", "abc", 16, False, means)


def test_samples_as_asked(real, extractor, tmp_path):
    """Samples of the asked labels agree, and are near the real images that have them; JSON holds the scores."""
    fake, asked = draw(900, 0.4, (0.5, 0.45, 0.05), seed=1)
    scores = score_classes(real, fake, means(fake), asked, extractor, tmp_path)
    assert scores["agreement"] == {"bright": 1.0, "stripe": 1.0}
    assert scores["classifier_accuracy"] == {"bright": 0.9, "stripe": None}
    assert scores["fd_by_label_extractor"] == "means"
    json.dumps(scores, allow_nan=False)
    ours = real.labels.codes[:, 0] == 1
    expected = distances.frechet_distance(means(real.images.load()[ours]), means(fake[asked[:, 0] == 1]))
    bright = scores["fd_by_label"]["bright: yes"]
    assert bright["fd"] == pytest.approx(expected, rel=1e-3)
    assert (bright["real"], bright["samples"]) == (ours.sum(), (asked[:, 0] == 1).sum())


def test_samples_not_as_asked(real, extractor, tmp_path):
    """A generator that ignores what it is asked for agrees by chance alone, and is far from each label's images."""
    fake, codes = draw(900, 0.4, (0.5, 0.45, 0.05), seed=1)
    asked = np.random.default_rng(2).permutation(codes)
    ignored = score_classes(real, fake, means(fake), asked, extractor, tmp_path)
    heeded = score_classes(real, fake, means(fake), codes, extractor, tmp_path)
    assert ignored["agreement"]["bright"] == pytest.approx(np.mean(asked[:, 0] == codes[:, 0]))
    assert 0.45 < ignored["agreement"]["bright"] < 0.6  # 0.4^2 + 0.6^2
    for label, score in heeded["fd_by_label"].items():
        assert ignored["fd_by_label"][label]["fd"] > 10 * score["fd"]


def test_labels_of_few_images(real, extractor, tmp_path, monkeypatch):
    """A label of few real images, or asked for of few samples, has no distance; of many, the most frequent have one."""
    fake, asked = draw(900, 0.4, (0.5, 0.45, 0.05), seed=1)
    found = score_classes(real, fake, means(fake), asked, extractor, tmp_path)["fd_by_label"]
    assert {*found} == {"bright: no", "bright: yes", "stripe: none", "stripe: middle"}
    assert [each["real"] for each in found.values()] == sorted((each["real"] for each in found.values()), reverse=True)
    asked[:, 0] = 0
    assert "bright: yes" not in score_classes(real, fake, means(fake), asked, extractor, tmp_path)["fd_by_label"]
    monkeypatch.setattr(class_scores, "MOST", 1)
    assert [*score_classes(real, fake, means(fake), asked, extractor, tmp_path)["fd_by_label"]] == ["bright: no"]
