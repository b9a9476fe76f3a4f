"""Validation during training: scores the averaged generators against held-out images, and keeps the best.

    validator = Validator(Scorer(held_out, training, generate), patience=3)
    score = validator.evaluate(iteration, planned_seconds, remaining)  # a row of metrics.csv, or None
    if validator.is_best(iteration, kept): ...

A score is a small KID of centered features, always of the same noise against the same images: it compares moments of
one run, not runs, and is not the number that `tools.evaluate` measures.
"""

import functools
import warnings
from collections.abc import Callable

import numpy as np

from gan.errors import UsageError, summarize
from gan.metrics import distances, memorization
from gan.metrics.evaluation import ImageSubset, feature_std, select_best
from gan.metrics.feature_extractors import (
    PACKAGES,
    installed_extractors,
    is_installed,
    load_extractor,
    load_face_detector,
)
from gan.thumbnails import make_thumbnails
from gan.training import diagnostics
from gan.training.clock import clock

BUDGET = 0.05  # share of a run's training time that scores may take in addition
SETUP_SECONDS = 5.0  # about what loading takes; a run whose budget is less is not scored unless asked
SHORTEST = SETUP_SECONDS / BUDGET  # seconds of training
LARGE_BUDGET = 20.0  # seconds from which the finest network is used: VGG16 takes some 25 times ONet's time
# Images that are used: held-out ones, training images, and samples for the face detector.
MAX_HELD_OUT, MAX_TRAINING, DETECTED = 250, 20_000, 64
MIN_SAMPLES, MAX_SAMPLES = 64, 1024  # of one score


class Scorer:
    """Scores samples against held-out images. `Validator` decides when.

    Arguments:
        held_out: images that are never trained on; 250 of them are used.
        training: images that are trained on, for the search for copies.
        generate: a function (count) -> samples uint8 (count, h, w, 3), of the same noise at every call.
        photographs: whether a face detector applies; it does not recognize avatars.
        mirrors: whether mirrored images are trained on, too.
        protocol: what else is to be recorded about how scores are measured.
    """

    def __init__(
        self,
        held_out: ImageSubset,
        training: ImageSubset,
        generate: Callable[[int], np.ndarray],
        *,
        photographs: bool = True,
        mirrors: bool = False,
        protocol: dict | None = None,
    ):
        self.held_out, self.training = held_out.subsample(MAX_HELD_OUT), training.subsample(MAX_TRAINING)
        self.generate, self.photographs, self.mirrors = generate, photographs, mirrors
        self.extra_protocol = protocol or {}
        self.extractor = None
        self.detection_seconds = 0.0  # of the last score

    def load(self, network: str) -> None:
        """Loads the networks, and computes what is the same for every score."""
        self.extractor = load_extractor(network)
        self.detect = load_face_detector() if self.photographs else None
        real = self.extractor.embed(self.held_out.images, self.held_out.rows)
        # What all faces have in common would hide the differences: with the mean left in, scores of 64 samples vary by
        # their own size, and those of ONet rise while faces get better.
        self.mean, self.std = real.mean(axis=0), feature_std(real)
        self.real = (real - self.mean) / self.std
        self.low, self.high = self.real.min(axis=0), self.real.max(axis=0)
        self.real_diversity = distances.diversity(self.real)
        self.training_thumbnails = make_thumbnails(self.training.images, self.training.rows)
        self.held_out_thumbnails = make_thumbnails(self.held_out.images, self.held_out.rows)
        self.baseline = (
            self.nearest(self.held_out_thumbnails, self.training_thumbnails),
            self.nearest(self.held_out_thumbnails, self.held_out_thumbnails, skip_self=True),
        )

    def nearest(self, thumbnails: np.ndarray, others: np.ndarray, skip_self: bool = False) -> np.ndarray:
        """The distance of each thumbnail to the nearest of the others, (n,)."""
        return memorization.nearest_thumbnails(thumbnails, others, flip=self.mirrors, skip_self=skip_self)[0]

    def score(self, count: int) -> dict:
        """Scores `count` samples.

        Returns:
            kid (x 1000) and kid_stderr; face_rate, None for avatars; diversity, 1 being the real images';
            memorization, 1 where samples are no nearer to training images than held-out images are; copied, the share
            of samples that are, some 0.01 by chance; copying, 1 where that is more than chance.
        """
        fake = self.generate(count)
        # A feature beyond those of all held-out images counts as the farthest of these: where they are few, one that
        # hardly any of them has would else decide the score, as a cubic kernel knows no limit.
        features = np.clip((self.extractor.embed(fake) - self.mean) / self.std, self.low, self.high)
        thumbnails = make_thumbnails(fake)
        start = clock.read()
        face_rate = float(self.detect(fake[:DETECTED]).mean()) if self.detect else None
        self.detection_seconds = clock.read() - start
        near = self.nearest(thumbnails, self.training_thumbnails), self.nearest(thumbnails, self.held_out_thumbnails)
        copies = memorization.measure_memorization(*near, *self.baseline, resamples=0)  # the interval is not used
        diversity = distances.diversity(features)
        return {
            "kid": 1000 * distances.mmd(self.real, features),
            "kid_stderr": 1000 * distances.mmd_standard_error(self.real, features),
            "face_rate": face_rate,
            "diversity": diversity / self.real_diversity if self.real_diversity else 1.0,  # 0: all real images are one
            "memorization": copies.ratio,
            "copied": copies.share,
            "copying": int(copies.copying),
        }

    def affordable_samples(self, seconds: float) -> tuple[int, float]:
        """How many samples, a multiple of 64, can be scored in that time, and how long that is expected to take."""
        self.score(MIN_SAMPLES)  # compiles what is to be compiled
        start = clock.read()
        self.score(MIN_SAMPLES)
        # The detector looks at the same number of samples, however many there are.
        each = (clock.read() - start - self.detection_seconds) / MIN_SAMPLES
        if not each:
            return MAX_SAMPLES, self.detection_seconds
        wanted = (seconds - self.detection_seconds) / each // MIN_SAMPLES * MIN_SAMPLES
        count = int(np.clip(wanted, MIN_SAMPLES, MAX_SAMPLES))
        return count, count * each + self.detection_seconds

    @functools.cached_property
    def real_saturation(self) -> float:
        """The share of the training images' color values that are black or white."""
        return diagnostics.saturated_share(self.training.subsample(MAX_HELD_OUT).load())

    @functools.cached_property
    def references(self) -> dict:
        """The number and the digest of the images that scores are measured against, for protocols."""
        subsets = {"reference": self.held_out, "training faces": self.training}
        return {name: {"faces": len(subset), "digest": subset.digest()} for name, subset in subsets.items()}

    def protocol(self, network: str) -> dict:
        """What scores are measured with and against."""
        if self.extractor is None:
            self.load(network)
        detector = f"mtcnn 1.0.0, of {DETECTED} samples" if self.photographs else "does not apply to avatars"
        return {
            "network": {self.extractor.name: self.extractor.protocol},
            **self.references,
            "face rate": detector,
            **self.extra_protocol,
            "kid": "cubic kernel of features less the mean, within the range, of the reference, unbiased, x 1000",
        }


class EvaluationBudget:
    """The time that scores may take: a twentieth of the run's training time, saved up from milestone to milestone."""

    def __init__(self):
        self.seconds_spent = 0.0
        self.saved = 0.0  # seconds that scores might have taken so far and did not
        self.last_seconds = 0.0  # that the last score took

    def remaining(self, planned: float) -> float:
        """Seconds that scores may still take in a run of `planned` seconds of training."""
        return BUDGET * planned - self.seconds_spent

    def allows(self, planned: float, milestones: int) -> bool:
        """Whether a score is affordable now, `milestones` being left, this one included; to be called once at each."""
        remaining = self.remaining(planned)
        self.saved += max(0.0, remaining - self.last_seconds) / milestones  # one score is reserved for the end
        return self.saved > 0 and self.last_seconds <= min(self.saved, remaining - self.last_seconds)

    def spend(self, seconds: float) -> None:
        """Records a score."""
        self.last_seconds = seconds
        self.seconds_spent, self.saved = self.seconds_spent + seconds, self.saved - seconds

    @property
    def state(self) -> np.ndarray:
        """The account, float64 (3,), for a checkpoint."""
        return np.array([self.seconds_spent, self.saved, self.last_seconds])

    @state.setter
    def state(self, values: np.ndarray) -> None:
        self.seconds_spent, self.saved, self.last_seconds = map(float, values)


class Validator:
    """Decides when to score, records the scores, and says which generator is the best and when to stop.

    The trainer asks at the milestones of `gan.training.schedule`; the best is chosen by
    `gan.metrics.evaluation.select_best`.

    Arguments:
        scorer: measures.
        samples: how many samples a score takes; 0: as many as the budget allows.
        forced: whether to score even where the run is too short for it.
        patience: scores without a lower one after which to stop; 0: never.
    """

    def __init__(self, scorer: Scorer, *, samples: int = 0, forced: bool = False, patience: int = 0):
        self.scorer, self.samples, self.forced, self.patience = scorer, samples, forced, patience
        self.budget = EvaluationBudget()
        self.rows: list[dict] = []
        self.failure = ""  # why there are no more scores
        self.network = ""  # the name of the feature extractor, once there is a score

    def can_evaluate(self, planned: float, remaining: int = 2) -> bool:
        """Whether a run of `planned` seconds is long enough to be scored; one that has scores is, at its end, too."""
        worthwhile = self.forced or planned > SHORTEST or (self.rows and remaining <= 1)
        return len(self.scorer.held_out) > 0 and not self.failure and bool(worthwhile)

    def evaluate(
        self, iteration: int, planned: float, remaining: int, averages: dict[float, Callable] | None = None
    ) -> dict | None:
        """Scores the generator if a score is due. Whatever fails ends the scoring, with a warning, not the training.

        Of several averaged generators each is scored, and the best is the one that generates samples at the end. If
        no score is due, any of them may be left selected, and the caller selects again.

        Arguments:
            iteration: the present iteration.
            planned: seconds that the whole run is expected to train.
            remaining: milestones at which a score may be taken, this one included. Where there is time for fewer,
                scores are spread over the run, and one is kept for its end.
            averages: a function for each half-life, which makes its average the one that generates samples; None: there
                is one generator.

        Returns:
            The row of metrics.csv, without images and seconds, or None where no score is due. Of several averages it is
            the last one: the last rows of `rows` are theirs, from the highest score to the lowest.
        """
        try:
            return self._evaluate(iteration, planned, remaining, averages or {0.0: lambda: None})
        except Exception as error:  # whatever it is, it must not cost the training
            self.give_up(summarize(error))
            return None

    def give_up(self, reason: str) -> None:
        """Ends the scoring until the next start; the training goes on."""
        self.failure = reason
        warnings.warn(f"no more scores: {reason}", stacklevel=2)

    def _evaluate(self, iteration: int, planned: float, remaining: int, averages: dict) -> dict | None:
        last = remaining <= 1  # scored in any case, else the best would be one of early scores alone
        if not self.can_evaluate(planned, remaining):
            return None
        start = clock.read()
        if self.scorer.extractor is None:
            if self.budget.remaining(planned) <= SETUP_SECONDS and not (self.forced or (self.rows and last)):
                return None  # after a restart, loading again would exceed the budget
            # Later scores come from the network of the first.
            self.network = self.network or installed_extractors()[-1 if BUDGET * planned > LARGE_BUDGET else 0]
            self.scorer.load(self.network)
        if not self.samples:
            self._choose_samples(planned, remaining, averages, start)
        begun = clock.read()
        self.budget.seconds_spent += begun - start
        affordable = self.budget.allows(planned, remaining)
        if not (self.forced or affordable or last):
            return None
        rows = self._score_averages(iteration, averages)
        self.budget.spend(clock.read() - begun)
        self.rows += [row | {"eval_seconds": self.budget.seconds_spent} for row in rows]
        return self.rows[-1]

    def _choose_samples(self, planned: float, remaining: int, averages: dict, start: float) -> None:
        """Chooses how many samples each average is scored by, so that this score and the later ones fit the budget.

        `start` is when this evaluation began.
        """
        selected_at = clock.read()
        for select in averages.values():
            select()
        select_seconds = clock.read() - selected_at
        seconds = (self.budget.remaining(planned) - (clock.read() - start)) / (remaining + 1)
        self.samples, each_seconds = self.scorer.affordable_samples((seconds - select_seconds) / len(averages))
        self.budget.last_seconds = select_seconds + len(averages) * each_seconds

    def _score_averages(self, iteration: int, averages: dict) -> list[dict]:
        """Scores each average, and selects the one with the lowest score. Returns the rows of metrics.csv.

        The lowest comes last, as `select_best` takes the last within two standard errors of the lowest. These are for
        independent noise. The averages share theirs, so it would let a worse one win.
        """
        rows, known = [], {"iteration": iteration, "network": self.network, "samples": self.samples}
        for half_life, select in averages.items():
            select()
            average = {"half_life": half_life} if len(averages) > 1 else {}
            rows.append({**known, **self.scorer.score(self.samples), **average})
        rows.sort(key=lambda row: row["kid"], reverse=True)
        if len(averages) > 1:
            averages[rows[-1]["half_life"]]()
        return rows

    def resume(self, rows: list[dict], budget: np.ndarray | None = None) -> None:
        """Continues after earlier scores, with the same network and number of samples unless asked otherwise.

        `budget` is the state of the `EvaluationBudget` in the checkpoint. Raises UsageError where that network is no
        longer installed, or where scores were asked for and none can be measured; where nobody asked, there are none.
        """
        if len(self.scorer.held_out) and not (
            installed_extractors() and (is_installed("onet") or not self.scorer.photographs)
        ):
            reason = f"what scores is not installed. To install it: pip install {PACKAGES['onet'][1]}"
            if self.forced:
                raise UsageError(f"--score-every: {reason}. Without --score-every the run goes on unscored.")
            self.give_up(reason)
        self.rows = rows
        if budget is not None:
            self.budget.state = budget
        if not rows:
            return
        self.network, self.samples = rows[-1]["network"], self.samples or rows[-1]["samples"]
        self.budget.seconds_spent = max(self.budget.seconds_spent, rows[-1]["eval_seconds"])
        if self.network not in installed_extractors():
            how = f" To install it: pip install {PACKAGES[self.network][1]}" if self.network in PACKAGES else ""
            raise UsageError(
                f"This run's scores are by {summarize(self.network)}, which is not installed here, and no other"
                f" network's compare with them.{how}"
            )

    def protocol(self) -> dict:
        """What the scores are measured with and against."""
        return self.scorer.protocol(self.network)

    @property
    def best_row(self) -> int:
        """The index of the best row (see `evaluation.select_best`); -1 where there is none."""
        kids, errors = ([row[name] for row in self.rows] for name in ("kid", "kid_stderr"))
        return select_best(kids, errors) if kids else -1

    def is_best(self, iteration: int, kept: int | None) -> bool:
        """Whether the generator of an iteration is to become best.keras, in place of that of iteration `kept`.

        True if its score is the best; or, if the generator of the best score was lost, if it is lower than that of
        `kept`.
        """
        kids = self.kid_by_iteration
        if self.failure or iteration not in kids or iteration == kept:
            return False
        best = self.rows[self.best_row]["iteration"]
        return best == iteration or kept not in kids or kids[iteration] < kids[kept]

    @property
    def kid_by_iteration(self) -> dict[int, float]:
        """The KID of each iteration; of several averages, the lowest, which comes last."""
        return {row["iteration"]: row["kid"] for row in self.rows}

    @property
    def should_stop(self) -> bool:
        """Whether the last `patience` scores brought no lower one."""
        return bool(self.patience) and self.scores_since_lowest >= self.patience

    @property
    def scores_since_lowest(self) -> int:
        """How many scores have come after the lowest."""
        kids = [*self.kid_by_iteration.values()]
        return len(kids) - 1 - int(np.argmin(kids)) if kids else 0

    def describe(self, seconds: float, planned: float, kept: int | None = None) -> str:
        """The best score and what scoring took, for a person, after `seconds` of training out of `planned`.

        `kept` is the iteration of best.keras, or None.
        """
        if not len(self.scorer.held_out):
            return "No score: fewer than 20 images would be held out, or all are alike (--holdout)."
        if not self.rows and self.failure:
            return f"No score: {self.failure}."
        if not self.rows:
            if self.can_evaluate(planned):
                return "No score yet; --score-every N scores in any case."
            return "No score: it would take more than 5% of so short a run; --score-every N scores in any case."
        row, lowest = self.rows[self.best_row], min(self.rows, key=lambda row: row["kid"])
        first = lowest["iteration"]
        near = "" if row["iteration"] == first else f", within two standard errors of {lowest['kid']:,.0f} at {first:,}"
        average = f" with a half-life of {row['half_life']:,g} images" if "half_life" in row else ""
        lost = f"but lost with a damaged checkpoint; {f'best.keras is of {kept:,}' if kept else 'the next is kept'}"
        ended = (
            f" No more scores after iteration {self.rows[-1]['iteration']:,}: {self.failure}." if self.failure else ""
        )
        return (
            f"Best of {len(self.rows)} scores: kid-{self.network}, centered, {row['kid']:,.0f} at iteration"
            f" {row['iteration']:,}{average} (low is good{near}),"
            f" {'kept as best.keras' if kept == row['iteration'] else lost}. Scoring took"
            f" {100 * self.budget.seconds_spent / seconds:.1f}% of the training's time.{ended}"
        )
