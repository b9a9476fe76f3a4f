"""The attribute classifier: trained on images whose labels are plain to see, stored, and used in an audit."""

import random
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from striped_images import ATTRIBUTES, QUICK, draw

from gan.datasets import avatars
from gan.labels import Attribute, Labels
from gan.metrics import attribute_classifier, audit, avatar_classifier, stored_network

TRAINING, HELD_OUT = np.arange(1000), np.arange(1000, 1500)


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Trains in two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in QUICK.items():
            patch.setattr(attribute_classifier, name, value)
        yield


@pytest.fixture(scope="module")
def data():
    """1,500 images, and their labels."""
    pixels, codes = draw(1500, 0.3, (0.5, 0.4, 0.1), seed=0)
    return pixels, Labels(ATTRIBUTES, codes)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def classifier(data, cache_dir):
    """A classifier of these images."""
    return attribute_classifier.load_classifier(*data, TRAINING, HELD_OUT, cache_dir)


def test_accuracy(classifier, data):
    """Accuracies are the shares of held-out images that are predicted right: nearly all, also of the rare value."""
    pixels, labels = data
    predicted, true = classifier.predict(pixels[HELD_OUT]), labels.codes[HELD_OUT]
    assert predicted.dtype == np.int32 and predicted.shape == true.shape
    assert [*classifier.accuracy] == ["bright", "stripe"]
    np.testing.assert_allclose([*classifier.accuracy.values()], (predicted == true).mean(axis=0))
    for number, attribute in enumerate(ATTRIBUTES):
        for code in attribute.codes:
            assert (predicted[true[:, number] == code, number] == code).mean() > 0.9


def test_known_shares(classifier, data):
    """An audit finds the shares of data and samples, and what is drawn too often or too rarely, and only that."""
    pixels, labels = data
    samples, _ = draw(3000, 0.3, (0.65, 0.33, 0.02), seed=2)
    predicted = classifier.predict(pixels[HELD_OUT])
    table = audit.compare_shares(labels, predicted, classifier.predict(samples), classifier.accuracy)
    assert [row.verdict for row in table] == ["", "amplified", "reduced", "reduced"]
    for row, real, drawn in zip(table, (0.3, 0.5, 0.4, 0.1), (0.3, 0.65, 0.33, 0.02), strict=True):
        assert row.data.low <= real <= row.data.high and row.samples.low <= drawn <= row.samples.high
        assert row.difference.low <= drawn - real <= row.difference.high


def test_cache(classifier, data, cache_dir, monkeypatch, capsys):
    """It comes from the cache the next time; a damaged file is reported and replaced."""
    pixels, _ = data
    [path] = cache_dir.glob("*.npz")
    content = path.read_bytes()
    monkeypatch.setattr(attribute_classifier, "train", lambda *given: pytest.fail("it is trained again"))
    again = attribute_classifier.load_classifier(*data, TRAINING, HELD_OUT, cache_dir)
    assert again.digest == classifier.digest and again.accuracy == classifier.accuracy
    np.testing.assert_array_equal(again.predict(pixels[:50]), classifier.predict(pixels[:50]))
    monkeypatch.setattr(attribute_classifier, "train", lambda *given: None)
    path.write_bytes(content[:1000])
    untrained = attribute_classifier.load_classifier(*data, TRAINING, HELD_OUT, cache_dir)
    assert str(path) in capsys.readouterr().err and untrained.digest != classifier.digest
    path.write_bytes(content)


def test_what_another_classifier_is_trained_for(classifier, data, cache_dir, monkeypatch):
    """Other images, labels or training rows have a file of their own."""
    monkeypatch.setattr(attribute_classifier, "train", lambda *given: None)
    pixels, labels = data
    before = {*cache_dir.glob("*.npz")}
    for other in [
        (255 - pixels, labels, TRAINING),
        (pixels, Labels(ATTRIBUTES, labels.codes[::-1]), TRAINING),
        (pixels, labels.select(["stripe"]), TRAINING),
        (pixels, labels, TRAINING[1:]),
    ]:
        attribute_classifier.load_classifier(*other, HELD_OUT, cache_dir)
    new = {*cache_dir.glob("*.npz")} - before
    assert len(new) == 4
    for path in new:
        path.unlink()


def test_no_global_state(classifier, data, tmp_path, float32_afterwards):
    """Neither the random numbers of others nor their precision changes the network, or is changed."""
    keras.utils.set_random_seed(5)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    expected = random.random(), np.random.rand(), tf.random.uniform(()).numpy()
    keras.utils.set_random_seed(5)
    again = attribute_classifier.load_classifier(*data, TRAINING, HELD_OUT, tmp_path)
    assert again.digest == classifier.digest
    assert (random.random(), np.random.rand(), tf.random.uniform(()).numpy()) == expected
    assert keras.mixed_precision.dtype_policy().name == "mixed_bfloat16"


def test_unknown_labels_are_not_learned(tmp_path):
    """Images without a label change neither what is learned nor the accuracy; few held-out images have none."""
    pixels, codes = draw(900, 0.5, (0.5, 0.3, 0.2), seed=1)
    pixels[::3] = 255 - pixels[::3]  # which would teach the contrary
    codes[::3] = -1
    codes[600:, 1] = -1
    rows = np.arange(900)
    found = attribute_classifier.load_classifier(pixels, Labels(ATTRIBUTES, codes), rows[:600], rows[600:], tmp_path)
    assert found.accuracy["bright"] > 0.9 and np.isnan(found.accuracy["stripe"])


def test_other_images_are_refused(classifier, data):
    """Images of another type or size are no images of this classifier."""
    pixels, _ = data
    for other in (pixels[:2].astype(np.float32), pixels[:2, :8], pixels[:0]):
        with pytest.raises(ValueError, match="uint8"):
            classifier.predict(other)


def test_large_images(tmp_path, monkeypatch):
    """Images larger than SIDE are reduced."""
    for module in (attribute_classifier, stored_network):
        monkeypatch.setattr(module, "SIDE", 16)
    monkeypatch.setattr(attribute_classifier, "train", lambda *given: None)
    pixels, codes = draw(80, 0.5, (0.4, 0.3, 0.3), seed=3)
    large = pixels.repeat(2, axis=1).repeat(2, axis=2)
    found = attribute_classifier.load_classifier(
        large, Labels(ATTRIBUTES, codes), np.arange(50), np.arange(50, 80), tmp_path
    )
    assert found.network.input_shape == (None, 16, 16, 3) and found.predict(large).shape == (80, 2)


@pytest.mark.parametrize("name", ["glasses", "hair"])
def test_avatars(name, monkeypatch, tmp_path):
    """Avatars have the codes of the most likely value, from the network that knows them, and its accuracy."""
    values = tuple(avatars.ATTRIBUTES[name])
    seen = {each: np.eye(len(of))[[len(of) - 1, 0]] for each, of in avatars.ATTRIBUTES.items()}
    known = SimpleNamespace(predict=lambda pixels: seen, accuracy=dict.fromkeys(seen, 0.75), digest="abc")
    monkeypatch.setattr(avatar_classifier, "load_classifier", lambda *given: known)
    monkeypatch.setattr(attribute_classifier, "load_classifier", lambda *given: "trained")
    faces = SimpleNamespace(images=np.zeros((2, 16, 16, 3), np.uint8), avatars=True)
    codes, rows = np.zeros((2, 1), np.int32), np.arange(2)
    faces.labels = Labels((Attribute(name, values),), codes)
    found = attribute_classifier.load_for_faces(faces, rows, rows, tmp_path)
    assert found.predict(faces.images).tolist() == [[len(values) - 1], [0]]
    assert found.predict(faces.images).dtype == np.int32 and found.accuracy == {name: 0.75}
    for others in (values[::-1], values[1:], ()):  # whose codes mean something else
        faces.labels = Labels((Attribute(name, others),), codes)
        assert attribute_classifier.load_for_faces(faces, rows, rows, tmp_path) == "trained"
    faces = SimpleNamespace(images=faces.images, avatars=False, labels=Labels((Attribute(name, values),), codes))
    assert attribute_classifier.load_for_faces(faces, rows, rows, tmp_path) == "trained"
