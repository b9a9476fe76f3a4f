import random
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from gan.datasets import avatars
from gan.metrics import avatar_classifier
from gan.metrics.avatar_classifier import compare_histograms, histograms

SIDE = 16
DRAW = avatars.draw


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Fewer faces, drawn once, so that a training takes seconds."""
    known = {}

    def draw(*given):
        *which, tick = given
        if tuple(which) not in known:
            known[tuple(which)] = DRAW(*given)
        tick(which[0], which[0])
        return known[tuple(which)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(avatar_classifier.avatars, "draw", draw)
        for name, value in {"LEARNT": 1600, "HELD_OUT": 400, "NO_FACES": 320, "BATCH": 32}.items():
            patch.setattr(avatar_classifier, name, value)
        yield


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def classifier(cache_dir):
    """A classifier of small faces, just trained."""
    return avatar_classifier.load_classifier(SIDE, cache_dir)


@pytest.fixture(scope="module")
def drawn(classifier):
    """1,000 faces that the classifier never saw, what it tells of them, and their attributes."""
    images, known = DRAW(1000, SIDE, 0)
    return images, classifier.predict(images), known


def certain(**values):
    """Told, without a doubt: attribute -> value of each face; attributes that are not named have their first value."""
    count = len(next(iter(values.values())))
    told = {}
    for name, all_values in avatars.ATTRIBUTES.items():
        words = values.get(name, [next(iter(all_values))] * count)
        told[name] = np.array([[float(value == word) for value in all_values] for word in words])
    return told


def test_told_are_probabilities(drawn):
    """Every attribute in its order, a row of probabilities for each face."""
    _, told, _ = drawn
    assert list(told) == list(avatars.ATTRIBUTES)
    for name, chances in told.items():
        assert chances.shape == (1000, len(avatars.ATTRIBUTES[name]))
        np.testing.assert_allclose(chances.sum(1), 1, atol=1e-5)


def test_accuracy_is_far_above_chance(classifier):
    """Held-out faces: always the commonest value would be right for 0.2 of the hair and 0.8 of the glasses."""
    assert list(classifier.accuracy) == list(avatars.ATTRIBUTES)
    for name in ("background", "skin", "hair_colour", "glasses", "clothes_colour"):
        assert classifier.accuracy[name] > 0.85, classifier.accuracy
    assert min(classifier.accuracy.values()) > 0.5, classifier.accuracy


def test_accuracy_is_what_it_says(classifier, drawn):
    """Counted again on other faces, the hair's colour only where there is hair to see."""
    _, told, known = drawn
    shows = avatar_classifier.hair_shows(known)
    for name, words in avatar_classifier.most_likely_values(told).items():
        right = words == np.array(known[name])
        right = right[shows] if name == "hair_colour" else right
        assert right.mean() == pytest.approx(classifier.accuracy[name], abs=0.08)


def test_histograms_are_those_of_the_known_attributes(drawn):
    """For drawn faces the classifier counts what is known to be there, or nearly so."""
    _, told, known = drawn
    exact = histograms(certain(**known))
    assert compare_histograms(histograms(told), exact).distances["skin"] < 0.05
    assert exact["glasses"]["none"] == known["glasses"].count("none") / 1000


def test_data_against_data(classifier, drawn):
    """Two draws of the same law differ by chance alone, most for the 17 kinds of hair; nothing is missing."""
    _, told, _ = drawn
    other = classifier.predict(DRAW(1000, SIDE, 1)[0])
    comparison = compare_histograms(histograms(other), histograms(told))
    assert comparison.distances.pop("hair") < 0.15
    assert max(comparison.distances.values()) < 0.08
    assert comparison.coverage == 1 and comparison.missing == {}
    assert compare_histograms(histograms(told), histograms(told)).distances == dict.fromkeys(told, pytest.approx(0))


def test_one_face_repeated(classifier, drawn):
    """It has 11 of the 61 values, or 10 where no hair shows, and is far from the data in nearly everything."""
    images, _, known = drawn
    comparison = compare_histograms(
        histograms(classifier.predict(images[:1].repeat(50, axis=0))), histograms(certain(**known))
    )
    total = sum(map(len, avatars.ATTRIBUTES.values()))
    assert comparison.coverage in (pytest.approx(10 / total), pytest.approx(11 / total))
    assert sum(map(len, comparison.missing.values())) == round(total * (1 - comparison.coverage))
    assert np.median(list(comparison.distances.values())) > 0.5


def test_without_glasses(drawn):
    """The distance is the data's share of glasses, by hand 0.2, and all three kinds are missing."""
    data = histograms(certain(glasses=["none"] * 80 + ["square"] * 10 + ["round"] * 5 + ["dark"] * 5))
    samples = histograms(certain(glasses=["none"] * 50))
    comparison = compare_histograms(samples, data)
    assert comparison.distances["glasses"] == pytest.approx(0.2)
    assert comparison.missing == {"glasses": ["square", "round", "dark"]}

    _, told, known = drawn
    bare = np.array(known["glasses"]) == "none"
    comparison = compare_histograms(
        histograms({name: chances[bare] for name, chances in told.items()}), histograms(told)
    )
    assert comparison.distances["glasses"] == pytest.approx(np.mean(~bare), abs=0.02)
    assert comparison.missing == {"glasses": ["square", "round", "dark"]}


def test_coverage_by_hand():
    """A value is there at a tenth of the data's share; one that is rare in the data is not asked for."""
    data = {"eyes": {"open": 0.5, "smiling": 0.3, "narrow": 0.196, "winking": 0.004}}
    samples = {"eyes": {"open": 0.94, "smiling": 0.03, "narrow": 0.019, "winking": 0.011}}
    comparison = compare_histograms(samples, data)
    assert comparison.coverage == pytest.approx(2 / 3) and comparison.missing == {"eyes": ["narrow"]}
    assert comparison.distances["eyes"] == pytest.approx((0.44 + 0.27 + 0.177 + 0.007) / 2)


def test_hair_colour_counts_where_hair_shows():
    """A bald face without a beard has no say; where no hair shows at all, the distance is 1."""
    told = certain(
        hair=["bald", "bald", "long", "long"],
        beard=["none", "full", "none", "none"],
        hair_colour=["grey", "red", "red", "black"],
    )
    colours = histograms(told)["hair_colour"]
    assert colours["red"] == pytest.approx(2 / 3) and colours["grey"] == 0
    bald = histograms(certain(hair=["bald"]))
    assert compare_histograms(bald, histograms(told)).distances["hair_colour"] == 1


def test_face_rate(classifier, drawn):
    """Drawn faces get 0.95 or so; noise, fine, coarse or faint, and faces cut in two get nearly nothing."""
    images, told, _ = drawn
    assert classifier.face_rate(told) == pytest.approx(0.95, abs=0.04)
    rng = np.random.default_rng(0)
    fine = rng.integers(0, 256, (200, SIDE, SIDE, 3), np.uint8)
    coarse = fine[:, :2, :2].repeat(8, axis=1).repeat(8, axis=2)
    for noise in (fine, coarse, fine // 8 + 100, np.roll(images[:200], SIDE // 2, axis=1)):
        assert classifier.face_rate(classifier.predict(noise)) < 0.02


def test_sureness_leaves_unseen_hair_out():
    """Of a bald face, the colour of the hair does not count; of others it is one of eleven."""
    told = certain(hair=["bald", "long"], beard=["none", "none"])
    told["hair_colour"] = np.full((2, 6), 1 / 6)
    np.testing.assert_allclose(avatar_classifier.mean_confidence(told), [1, (10 + 1 / 6) / 11])


def test_the_second_call_loads(classifier, cache_dir, monkeypatch):
    """The same weights, without training."""
    monkeypatch.setattr(avatar_classifier, "_train", None)
    again = avatar_classifier.load_classifier(SIDE, cache_dir)
    assert (again.digest, again.accuracy, again.least_sure) == (
        classifier.digest,
        classifier.accuracy,
        classifier.least_sure,
    )


def test_damage_and_what_surrounds_a_training(classifier, cache_dir, capsys):
    """A damaged file is noted and trained again: the same weights amid mixed precision, no random number used up."""
    [path] = cache_dir.iterdir()
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 255
    path.write_bytes(whole)
    told = []

    def progress(title):
        return nullcontext(lambda done, total: told.append((title, done == total)))

    def train_again():
        DRAW(2, SIDE, 0)  # as a training does that has not been before
        avatar_classifier.load_classifier(SIDE, cache_dir, progress)

    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        expected, found = randoms(lambda: None), randoms(train_again)
        assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"
        again = avatar_classifier.load_classifier(SIDE, cache_dir)
        noise = np.random.default_rng(1).integers(0, 256, (9, SIDE, SIDE, 3), np.uint8)
        for name, chances in classifier.predict(noise).items():
            np.testing.assert_array_equal(chances, again.predict(noise)[name])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert found == expected
    assert again.digest == classifier.digest
    assert f"The cache file {path} is damaged" in capsys.readouterr().err
    assert len(told) > 2 and told[-1][1]
    assert sorted(cache_dir.iterdir()) == [path]


def randoms(between):
    """One number of each global generator, drawn from a fixed seed after what is done between."""
    keras.utils.set_random_seed(5)
    between()
    numbers = random.random(), np.random.random(), tf.random.uniform(()), keras.random.uniform(())
    return [float(number) for number in numbers]


def test_what_is_no_image_of_its_size(classifier):
    """The error says what was given and what is told."""
    for images in (np.zeros((2, 32, 32, 3), np.uint8), np.zeros((2, SIDE, SIDE, 3)), np.zeros((0, SIDE, SIDE, 3))):
        with pytest.raises(ValueError, match=r"not uint8 images \(n, 16, 16, 3\)"):
            classifier.predict(images)


def test_larger_images_are_reduced():
    """Above 32 x 32 the network sees an area average."""
    images, _ = DRAW(2, 64, 0)
    reduced = avatar_classifier._reduce(images)
    assert reduced.shape == (2, 32, 32, 3)
    assert np.abs(reduced.astype(int) - DRAW(2, 32, 0)[0]).mean() < 6
    assert avatar_classifier._reduce(reduced) is reduced
