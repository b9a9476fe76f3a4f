"""The avatar classifier: a small one, trained once, and histograms worked by hand."""

import random
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.datasets import avatars
from gan.metrics import avatar_classifier, stored_network
from gan.metrics.avatar_classifier import compare_histograms, compute_histograms

SIDE = 16
DRAW = avatars.draw


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Trains on fewer avatars, generated once, in seconds."""
    cached = {}

    def draw(count, size, seed, tick):
        if (count, size, seed) not in cached:
            cached[count, size, seed] = DRAW(count, size, seed, tick)
        tick(count, count)
        return cached[count, size, seed]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avatar_classifier.avatars, "draw", draw)
        for name, value in {"TRAINING": 1600, "HELD_OUT": 400, "NEGATIVES": 320, "BATCH": 32}.items():
            patch.setattr(avatar_classifier, name, value)
        yield


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def classifier(cache_dir):
    """A classifier of small avatars."""
    return avatar_classifier.load_classifier(SIDE, cache_dir)


@pytest.fixture(scope="module")
def unseen(classifier):
    """1,000 avatars that the classifier did not train on, its predictions, and their attributes."""
    images, attributes = DRAW(1000, SIDE, 0)
    return images, classifier.predict(images), attributes


def encode(**attributes):
    """Builds predictions of probability 1: attribute -> value of each avatar; attributes left out have their first."""
    count = len(next(iter(attributes.values())))
    predicted = {}
    for name, values in avatars.ATTRIBUTES.items():
        given = attributes.get(name, [next(iter(values))] * count)
        predicted[name] = np.array([[float(value == one) for value in values] for one in given])
    return predicted


def test_predictions_are_probabilities(unseen):
    """All attributes in their order, a row of probabilities for each avatar."""
    _, predicted, _ = unseen
    assert list(predicted) == list(avatars.ATTRIBUTES)
    for name, probabilities in predicted.items():
        assert probabilities.shape == (1000, len(avatars.ATTRIBUTES[name]))
        np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)


def test_accuracy_is_far_above_chance(classifier):
    """On held-out avatars; the most common value is right for 0.2 of the hair and 0.8 of the glasses."""
    assert list(classifier.accuracy) == list(avatars.ATTRIBUTES)
    for name in ("background", "skin", "hair_color", "glasses", "clothes_color"):
        assert classifier.accuracy[name] > 0.85, classifier.accuracy
    assert min(classifier.accuracy.values()) > 0.5, classifier.accuracy


def test_accuracy_on_others(classifier, unseen):
    """Other avatars give about the same accuracy, of hair color only where there is hair."""
    _, predicted, attributes = unseen
    has_hair = avatar_classifier.has_hair(attributes)
    for name, values in avatar_classifier.most_likely_values(predicted).items():
        right = values == np.array(attributes[name])
        right = right[has_hair] if name == "hair_color" else right
        assert right.mean() == pytest.approx(classifier.accuracy[name], abs=0.08)


def test_mirrored_images(classifier, unseen):
    """Mirrored avatars, which generators draw as well, are recognized nearly as often."""
    images, predicted, attributes = unseen
    mirrored = avatar_classifier.most_likely_values(classifier.predict(images[:, :, ::-1].copy()))
    for name, values in avatar_classifier.most_likely_values(predicted).items():
        true = np.array(attributes[name])
        assert np.mean(mirrored[name] == true) > np.mean(values == true) - 0.05


def test_histograms(unseen):
    """Predicted shares of values are nearly those of the true attributes."""
    _, predicted, attributes = unseen
    exact = compute_histograms(encode(**attributes))
    assert compare_histograms(compute_histograms(predicted), exact).distances["skin"] < 0.05
    assert exact["glasses"]["none"] == attributes["glasses"].count("none") / 1000


def test_data_against_data(classifier, unseen):
    """Two sets of avatars differ by chance alone, most in the 17 kinds of hair; nothing is missing."""
    _, predicted, _ = unseen
    other = classifier.predict(DRAW(1000, SIDE, 1)[0])
    comparison = compare_histograms(compute_histograms(other), compute_histograms(predicted))
    assert comparison.distances.pop("hair") < 0.15
    assert max(comparison.distances.values()) < 0.08
    assert comparison.coverage == 1 and comparison.missing == {}
    assert compare_histograms(compute_histograms(predicted), compute_histograms(predicted)).distances == dict.fromkeys(
        predicted, pytest.approx(0)
    )


def test_collapse(classifier, unseen):
    """One avatar repeated has 11 of the 61 values, or 10 without hair, and is far from the data in most attributes."""
    images, _, attributes = unseen
    comparison = compare_histograms(
        compute_histograms(classifier.predict(images[:1].repeat(50, axis=0))), compute_histograms(encode(**attributes))
    )
    total = sum(map(len, avatars.ATTRIBUTES.values()))
    assert comparison.coverage in (pytest.approx(10 / total), pytest.approx(11 / total))
    assert sum(map(len, comparison.missing.values())) == round(total * (1 - comparison.coverage))
    assert np.median(list(comparison.distances.values())) > 0.5


def test_without_glasses(unseen):
    """The distance is the data's share of glasses, 0.2 by hand, and all three kinds are missing."""
    data = compute_histograms(encode(glasses=["none"] * 80 + ["square"] * 10 + ["round"] * 5 + ["dark"] * 5))
    samples = compute_histograms(encode(glasses=["none"] * 50))
    comparison = compare_histograms(samples, data)
    assert comparison.distances["glasses"] == pytest.approx(0.2)
    assert comparison.missing == {"glasses": ["square", "round", "dark"]}

    _, predicted, attributes = unseen
    bare = np.array(attributes["glasses"]) == "none"
    comparison = compare_histograms(
        compute_histograms({name: rows[bare] for name, rows in predicted.items()}), compute_histograms(predicted)
    )
    assert comparison.distances["glasses"] == pytest.approx(np.mean(~bare), abs=0.02)
    assert comparison.missing == {"glasses": ["square", "round", "dark"]}


def test_coverage_by_hand():
    """A value is present at a tenth of the data's share; one that is rare in the data is not counted."""
    data = {"eyes": {"open": 0.5, "smiling": 0.3, "narrow": 0.196, "winking": 0.004}}
    samples = {"eyes": {"open": 0.94, "smiling": 0.03, "narrow": 0.019, "winking": 0.011}}
    comparison = compare_histograms(samples, data)
    assert comparison.coverage == pytest.approx(2 / 3) and comparison.missing == {"eyes": ["narrow"]}
    assert comparison.distances["eyes"] == pytest.approx((0.44 + 0.27 + 0.177 + 0.007) / 2)


def test_hair_color_counts_where_there_is_hair():
    """An avatar without hair or beard is not counted; where none has any, the distance is 1."""
    predicted = encode(
        hair=["bald", "bald", "long", "long"],
        beard=["none", "full", "none", "none"],
        hair_color=["grey", "red", "red", "black"],
    )
    colors = compute_histograms(predicted)["hair_color"]
    assert colors["red"] == pytest.approx(2 / 3) and colors["grey"] == 0
    bald = compute_histograms(encode(hair=["bald"]))
    assert compare_histograms(bald, compute_histograms(predicted)).distances["hair_color"] == 1


def test_face_rate(classifier, unseen):
    """About 0.95 for avatars; nearly 0 for noise, fine, coarse or faint, and for avatars cut in two."""
    images, predicted, _ = unseen
    assert classifier.face_rate(predicted) == pytest.approx(0.95, abs=0.04)
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (200, SIDE, SIDE, 3), np.uint8)
    coarse = fine[:, :2, :2].repeat(8, axis=1).repeat(8, axis=2)
    for noise in (fine, coarse, fine // 8 + 100, np.roll(images[:200], SIDE // 2, axis=1)):
        assert classifier.face_rate(classifier.predict(noise)) < 0.05


def test_confidence_without_hair():
    """The hair color of a bald avatar does not count; of others it is one of eleven attributes."""
    predicted = encode(hair=["bald", "long"], beard=["none", "none"])
    predicted["hair_color"] = np.full((2, 6), 1 / 6)
    np.testing.assert_allclose(avatar_classifier.mean_confidence(predicted), [1, (10 + 1 / 6) / 11])


def test_second_call_loads(classifier, cache_dir, monkeypatch):
    """The second call gives the same weights, without training."""
    monkeypatch.setattr(avatar_classifier, "_train", None)
    again = avatar_classifier.load_classifier(SIDE, cache_dir)
    assert (again.digest, again.accuracy, again.min_confidence) == (
        classifier.digest,
        classifier.accuracy,
        classifier.min_confidence,
    )


@pytest.mark.slow
def test_damaged_file_is_trained_again(classifier, cache_dir, capsys, monkeypatch):
    """The same weights, also amid mixed precision, without use of a global random generator; the damage is reported."""
    [path] = cache_dir.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    ticks = []

    def progress(title):
        return nullcontext(lambda done, total: ticks.append((title, done == total)))

    def train_again():
        DRAW(2, SIDE, 0)  # as a training without cached avatars does
        with monkeypatch.context() as patch:
            patch.setattr(avatar_classifier, "track_task", progress)
            avatar_classifier.load_classifier(SIDE, cache_dir)

    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        expected, found = random_numbers_after(lambda: None), random_numbers_after(train_again)
        assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"
        again = avatar_classifier.load_classifier(SIDE, cache_dir)
        noise = np.random.default_rng(1).integers(0, 256, (9, SIDE, SIDE, 3), np.uint8)
        for name, probabilities in classifier.predict(noise).items():
            np.testing.assert_array_equal(probabilities, again.predict(noise)[name])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert found == expected
    assert again.digest == classifier.digest
    assert str(path) in capsys.readouterr().err
    assert len(ticks) > 2 and ticks[-1][1]
    assert sorted(cache_dir.iterdir()) == [path]


def random_numbers_after(work):
    """Takes a number of each global generator, seeded before `work`."""
    keras.utils.set_random_seed(5)
    work()
    numbers = random.random(), np.random.random(), tf.random.uniform(()), keras.random.uniform(())
    return [float(number) for number in numbers]


def test_images_of_another_kind(classifier):
    """Another size, type or number of images is refused; the error names the right shape."""
    for images in (np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, SIDE, SIDE, 3)), np.zeros((0, SIDE, SIDE, 3))):
        with pytest.raises(ValueError, match=r"not uint8 images \(n, 16, 16, 3\)"):
            classifier.predict(images)


def test_larger_images_are_reduced():
    """The network gets images above 32 x 32 reduced to that, by area averages."""
    images, _ = DRAW(2, 64, 0)
    reduced = stored_network.reduce_images(images)
    assert reduced.shape == (2, 32, 32, 3)
    assert np.abs(reduced.astype(int) - DRAW(2, 32, 0)[0]).mean() < 6
    assert stored_network.reduce_images(reduced) is reduced
