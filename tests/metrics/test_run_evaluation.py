"""Evaluation of a run: which images it is compared with, and how its results are stored."""

import dataclasses
import json

import numpy as np
import pytest
from sample_runs import make_evaluation, make_run

from data import Faces
from gan.errors import UsageError
from gan.labels import Attribute, Labels
from gan.metrics import run_evaluation
from gan.metrics.run_evaluation import build_case


def dataset(count, seed=0, crop="all", avatars=False):
    """Builds a `data.Faces` of random images, 16 x 16, each with a digest of its own."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 16, 16, 3), np.uint8)
    digests = rng.integers(0, 2**64, count, np.uint64)
    return Faces(images, {"crop": crop}, [], avatars, digests)


def concatenate(one, other):
    """Concatenates two datasets."""
    images = np.concatenate([one.images, other.images])
    digests = np.concatenate([one.digests, other.digests])
    return Faces(images, {"crop": "other"}, [], False, digests)


@pytest.fixture
def run(tmp_path):
    """A run that holds out a third of its images."""
    return make_run(tmp_path, "run", holdout=0.33)


def test_held_out_images(run, tmp_path):
    """Without a reference, metrics and the search for copies use the run's own held-out images."""
    faces = dataset(120, avatars=True)
    case = build_case(run, faces, tmp_path, mirrors=True)
    training, held_out = faces.split(0.33)
    assert case.training.rows.tolist() == training.tolist()
    assert case.reference.rows.tolist() == case.held_out.rows.tolist() == held_out.tolist()
    assert case.reference.name == "held out" and case.avatars and case.mirrors and case.crop == "all"


def test_reference(run, tmp_path):
    """Of a reference, images that trained are left out; the search for copies uses the run's own held-out images."""
    faces, others = dataset(120), dataset(30, seed=1)
    _, held_out = faces.split(0.33)
    case = build_case(run, faces, tmp_path, mirrors=False, reference=concatenate(faces, others), name="others")
    assert case.reference.rows.tolist() == [*held_out, *range(120, 150)]
    assert (case.reference.name, case.crop, case.avatars) == ("others", "other", False)
    assert case.held_out.rows.tolist() == held_out.tolist() and case.held_out.name == "held out"


def test_reference_of_run_without_held_out_images(tmp_path):
    """The search for copies uses the reference where the run has too few held-out images."""
    run, faces, others = make_run(tmp_path, "run", holdout=0.0), dataset(40), dataset(30, seed=1)
    case = build_case(run, faces, tmp_path, mirrors=False, reference=others, name="others")
    assert case.held_out is case.reference and case.held_out.name == "others" and len(case.training) == 40


@pytest.mark.parametrize("holdout", [0.0, 0.33])
def test_labels_beside_a_reference(tmp_path, holdout):
    """Shares of labels are those of the run's own held-out images or, where none are, of those it was trained on."""
    run, others = make_run(tmp_path, "run", holdout=holdout), dataset(30, seed=1)
    codes = np.arange(120, dtype=np.int32)[:, None] % 2
    faces = dataclasses.replace(dataset(120), labels=Labels((Attribute("Happy"),), codes))
    case = build_case(run, faces, tmp_path, mirrors=False, reference=others, name="others")
    training, held_out = faces.split(holdout)
    expected = codes[held_out if holdout else training]
    assert case.labelled is None and case.shares.codes.tolist() == expected.tolist()


def test_too_few_images(tmp_path):
    """Fewer than 20 images to compare with are refused, with their number and the flag to use."""
    run, faces = make_run(tmp_path, "run", holdout=0.0), dataset(40)
    with pytest.raises(UsageError, match=r"run held out 0 images.*--reference DATA"):
        build_case(run, faces, tmp_path, mirrors=False)
    others = concatenate(faces, dataset(19, seed=1))
    with pytest.raises(UsageError, match=r"--reference others has 19 images.* 20 or more"):
        build_case(run, faces, tmp_path, mirrors=False, reference=others, name="others")


def test_many_images(run, tmp_path, monkeypatch):
    """At most MAX_HELD_OUT images are used to compare with, and all to train."""
    monkeypatch.setattr(run_evaluation, "MAX_HELD_OUT", 25)
    case = build_case(run, dataset(120), tmp_path, mirrors=False)
    assert len(case.reference) == len(case.held_out) == 25 and len(case.training) > 50


def test_scores_of_inception_have_plain_names(run, tmp_path, monkeypatch):
    """fd is called fid if Inception measured it, and fd-onet if ONet did."""
    monkeypatch.setattr(run_evaluation.evaluation, "compute_metrics", lambda *given: {"fd": 1.0, "kid": 2.0})
    case = build_case(run, dataset(120), tmp_path, mirrors=False)
    names = []
    for name in ("inception", "onet"):
        extractor = type("Extractor", (), {"name": name})
        names += run_evaluation.score_features(case, case.training.load(), extractor, seed=0)
    assert names == ["fid", "kid", "fd-onet", "kid-onet"]


def test_nearest_images(run, tmp_path, monkeypatch):
    """nearest.png has a row for each of the ten nearest samples: sample, training image, held-out image."""
    pictures = []
    monkeypatch.setattr(run_evaluation, "write_png", lambda path, picture: pictures.append((path, picture)))
    faces = dataset(120)
    case = build_case(run, faces, tmp_path, mirrors=False)
    fake = dataset(64, seed=1).images
    fake[5] = faces.images[case.training.rows[7]]
    scores = run_evaluation.score_copies(case, fake, seed=0)
    [(path, picture)] = pictures
    assert path == run.folder / "nearest.png" and picture.shape == (10 * 98 - 2, 3 * 98 - 2, 3)
    np.testing.assert_array_equal(picture[:96:6, :96:6], fake[5])
    np.testing.assert_array_equal(picture[:96:6, 98:194:6], fake[5])
    json.dumps(scores, allow_nan=False)


def test_protocol(run, tmp_path):
    """Fewer training images than samples are all in the floor; digests are those of the subsets."""
    case = build_case(run, dataset(120), tmp_path, mirrors=True)
    protocol = run_evaluation.describe_protocol(case, np.zeros((200, 16, 16, 3), np.uint8), [], seed=3)
    assert (protocol["samples"], protocol["seed"], protocol["weights"]) == (200, 3, "averaged")
    assert protocol["training faces"]["in the floor"] == protocol["training faces"]["faces"] == len(case.training)
    assert protocol["reference"] == protocol["unseen"] == case.reference.protocol
    assert protocol["training faces"]["digest"] == case.training.digest()
    assert protocol["memorization"]["mirrored too"] is True


def test_append_result(run):
    """A result replaces one of the same protocol and generator, and is added to all others."""

    def stored():
        return [(each["protocol"]["samples"], each["generator"]["iteration"]) for each in run.read_evaluations()]

    first = make_evaluation()
    other = make_evaluation(generator={"file": "generator.keras", "iteration": 9})
    for each in (first, other, {**first, "scores": {"fd-onet": 7.0}}):
        run_evaluation.append_result(run, each)
    assert stored() == [(2000, 9), (2000, 4)]
    assert run.read_evaluations()[-1]["scores"] == {"fd-onet": 7.0}


def test_append_result_to_older_ones(run):
    """Results of an earlier version are read by their former names, and replaced if they are of the same protocol."""
    new = make_evaluation()
    new["protocol"]["memorization"] = {"mirrored too": True}
    old = json.loads(json.dumps(new).replace("memorization", "memorisation").replace('"summary"', '"in_words"'))
    path = run.folder / "scores.json"
    path.write_text(json.dumps([old]))
    run_evaluation.append_result(run, {**new, "generator": {"file": "generator.keras", "iteration": 9}})
    assert "memorisation" not in path.read_text() and len(run.read_evaluations()) == 2
    assert run.read_evaluations()[0] == new
    run_evaluation.append_result(run, new)
    assert len(run.read_evaluations()) == 2
