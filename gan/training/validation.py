"""Scores while a run goes on: is it getting better, which generator was the best, and does it copy.

A score is a small KID of centred features, always of the same noise against the same faces: of little use between runs,
of much within one, and not the number that tools/evaluate.py finds.
"""

import functools
import time
import warnings
from collections.abc import Callable

import numpy as np

from gan.errors import UsageError
from gan.metrics import distances, memorization
from gan.metrics.evaluation import ImageSubset, feature_std
from gan.metrics.feature_extractors import (
    PACKAGES,
    FeatureExtractor,
    installed_extractors,
    is_installed,
    load_extractor,
    load_face_detector,
)
from gan.training import diagnostics

SHARE = 0.05  # of a run's time that scores may take
OPENING = 5.0  # seconds that getting ready takes, about; runs whose share is less are not scored unless told to
SLOW = 20.0  # seconds of scores from which there is time for the finest network: VGG16 takes some 25 times ONet's time
HELD, TRAIN, DETECTED = 250, 20_000, 64  # faces looked at: unseen ones, training ones, and samples for a detector
LEAST, MOST = 64, 1024  # samples of one score


class Validator:
    """Looks at the faces that `make(count)` gives, uint8, of the same noise whenever it is asked.

    `samples` is how many at a time (0: as many as a twentieth of the run's time allows); `forced`: score even where
    the run is too short for it; `patience`: scores without a lower one after which to stop; `photographs`: whether a
    detector knows such faces; `flip`: whether mirrored faces train too; `how`: what else the protocol is to tell.
    """

    def __init__(
        self,
        held: ImageSubset,
        train: ImageSubset,
        make: Callable[[int], np.ndarray],
        *,
        samples: int = 0,
        forced: bool = False,
        patience: int = 0,
        photographs: bool = True,
        flip: bool = False,
        how: dict | None = None,
    ):
        self.held, self.train, self.make = held.subsample(HELD), train.subsample(TRAIN), make
        self.samples, self.forced, self.patience = samples, forced, patience
        self.photographs, self.flip, self.how = photographs, flip, how or {}
        self.rows: list[dict] = []
        self.spent = 0.0  # seconds
        self.credit = 0.0  # seconds that scores may take and did not
        self.took = self.detecting = 0.0  # seconds, the last score, and of them for a detector
        self.failed = ""  # why there are no more scores
        self.name = ""  # of the network, once there is a score
        self.network: FeatureExtractor | None = None

    def able(self, planned: float, left: int = 2) -> bool:
        """Whether a run that trains for so many seconds is scored at all; what was scored once is, at its end."""
        worthwhile = self.forced or SHARE * planned > OPENING or (self.rows and left <= 1)
        return len(self.held) > 0 and not self.failed and bool(worthwhile)

    def look(self, iteration: int, planned: float, left: int) -> dict | None:
        """A score, or None where there is none, as `due` has it; or where scoring fails, and then for good."""
        try:
            return self.due(iteration, planned, left)
        except Exception as error:  # whatever it is, it must not cost the training
            self.give_up(" ".join(str(error).split()) or type(error).__name__)
            return None

    def give_up(self, why: str) -> None:
        """No more scores, until the next start; the training goes on."""
        self.failed = why
        warnings.warn(f"no more scores: {why}", stacklevel=2)

    def due(self, iteration: int, planned: float, left: int) -> dict | None:
        """A score, or None where there is nothing to score against, or no time to yet.

        `planned` is how many seconds the whole run is about to train, `left` how many scores are still to come, this
        one included. Where there is time for fewer they are spread over the run, and one is kept for its end.
        kid (x 1000) and its standard error, face_rate (None for drawn faces), diversity (1: as the real faces),
        memorisation (1: no nearer to training faces than unseen faces are), copied (a share; some 0.01 is to be
        expected), copying.
        """
        if not self.able(planned, left):
            return None
        start, budget = time.perf_counter(), SHARE * planned - self.spent
        if self.network is None:
            if budget <= OPENING and not (self.forced or (self.rows and left <= 1)):
                return None  # after a restart it would open again
            self.open(installed_extractors()[-1 if SHARE * planned > SLOW else 0])
        if not self.samples:
            self.samples = self.affordable((budget - (time.perf_counter() - start)) / (left + 1))
        begun = time.perf_counter()
        self.spent += begun - start
        budget -= begun - start
        self.credit += max(0.0, budget - self.took) / left
        due = self.credit > 0 and self.took <= min(self.credit, budget - self.took)
        last = left <= 1  # or the best would be of early ones alone, and getting ready perhaps for nothing
        if not (self.forced or due or last):
            return None
        score = self.score(self.samples)
        self.took = time.perf_counter() - begun
        self.spent, self.credit = self.spent + self.took, self.credit - self.took
        row = {"iteration": iteration, "network": self.name, "samples": self.samples, **score, "cost": self.spent}
        self.rows.append(row)
        return row

    def resume(self, rows: list[dict], kept: np.ndarray | None = None) -> None:
        """Goes on after the scores of an earlier sitting, by the same network, with as many samples unless told.

        `kept` is the account that `state` gave. Raises UsageError where the network is not installed any more, or none
        is that could give the scores that were asked for; where nobody asked, there are none.
        """
        if len(self.held) and not (installed_extractors() and (is_installed("onet") or not self.photographs)):
            why = f"what scores is not installed. To install it: pip install {PACKAGES['onet'][1]}"
            if self.forced:
                raise UsageError(f"--score-every: {why}. Without --score-every the run goes on unscored.")
            self.give_up(why)
        self.rows = rows
        if kept is not None:
            self.spent, self.credit, self.took = map(float, kept)
        if not rows:
            return
        self.name, self.samples = rows[-1]["network"], self.samples or rows[-1]["samples"]
        self.spent = max(self.spent, rows[-1]["cost"])
        if self.name not in installed_extractors():
            raise UsageError(
                f"This run's scores are by {self.name}, which is not installed here, and no other network's compare"
                f" with them. To install it: pip install {PACKAGES[self.name][1]}"
            )

    @property
    def state(self) -> np.ndarray:
        """The account of time, float64 (3,), for a checkpoint."""
        return np.array([self.spent, self.credit, self.took])

    def open(self, name: str) -> None:
        """Gets the networks ready, and what is the same for every score; earlier scores' network goes before `name`."""
        self.name = self.name or name
        self.network = load_extractor(self.name)
        self.detect = load_face_detector() if self.photographs else None
        real = self.network.embed(self.held.images, self.held.rows)
        # What all faces have in common would drown the differences: with the mean left in, scores of 64 samples swing
        # by their own size, and those of ONet rise while faces get better.
        self.mean, self.scale = real.mean(axis=0), feature_std(real)
        self.real = (real - self.mean) / self.scale
        self.apart = distances.diversity(self.real)
        self.known = memorization.thumbnails(self.train.images, self.train.rows)
        self.unknown = memorization.thumbnails(self.held.images, self.held.rows)
        self.unseen = self.near(self.unknown, self.known), self.near(self.unknown, self.unknown, skip_self=True)

    def near(self, thumbs: np.ndarray, others: np.ndarray, skip_self: bool = False) -> np.ndarray:
        """Distances to the nearest face."""
        return memorization.nearest_thumbnails(thumbs, others, flip=self.flip, skip_self=skip_self)[0]

    def affordable(self, seconds: float) -> int:
        """How many samples, a multiple of 64, can be scored in about so many seconds."""
        self.score(LEAST)  # traces what is to be traced
        start = time.perf_counter()
        self.score(LEAST)
        each = (time.perf_counter() - start - self.detecting) / LEAST  # a detector takes as long for any number
        count = int(np.clip((seconds - self.detecting) / each // LEAST * LEAST, LEAST, MOST)) if each else MOST
        self.took = count * each + self.detecting
        return count

    def score(self, count: int) -> dict:
        """The scores of `count` samples."""
        fake = self.make(count)
        made = (self.network.embed(fake) - self.mean) / self.scale
        thumbs = memorization.thumbnails(fake)
        start = time.perf_counter()
        found = float(self.detect(fake[:DETECTED]).mean()) if self.detect else None
        self.detecting = time.perf_counter() - start
        near = self.near(thumbs, self.known), self.near(thumbs, self.unknown)
        copied = memorization.measure_memorization(*near, *self.unseen, resamples=0)  # of an interval no use is made
        return {
            "kid": 1000 * distances.mmd(self.real, made),
            "error": 1000 * distances.mmd_standard_error(self.real, made),
            "face_rate": found,
            "diversity": distances.diversity(made) / self.apart if self.apart else 1.0,  # else all real faces are one
            "memorisation": copied.ratio,
            "copied": copied.share,
            "copying": int(copied.copying),
        }

    @functools.cached_property
    def ends(self) -> float:
        """The share of the real faces' colour values that are black or white."""
        return diagnostics.saturated_share(self.train.subsample(HELD).load())

    @property
    def protocol(self) -> dict:
        """What the scores were measured with and against."""
        if self.network is None:
            self.open(self.name)
        return {
            "network": {self.network.name: self.network.protocol},
            "reference": {"faces": len(self.held), "digest": self.held.digest()},
            "training faces": {"faces": len(self.train), "digest": self.train.digest()},
            "face rate": f"mtcnn 1.0.0, of {DETECTED} samples" if self.photographs else "does not apply to drawn faces",
            **self.how,
            "kid": "cubic kernel of features less the reference's mean, unbiased, all samples at once, x 1000",
        }

    def describe(self, seconds: float, planned: float, kept: int | None = None) -> str:
        """The best score, and what scoring cost, for a run that has trained for so many seconds of those planned.

        `kept` is the iteration that best.keras is of, None where there is none.
        """
        if not len(self.held):
            return "No score: no face was held out (--holdout)."
        if not self.rows and self.failed:
            return f"No score: {self.failed}."
        if not self.rows:
            if self.able(planned):
                return "No score yet; --score-every N scores whatever it takes."
            return "No score: it would take more than 5% of so short a run; --score-every N scores all the same."
        row, lowest = self.rows[self.best], min(self.rows, key=lambda row: row["kid"])
        near = "" if row is lowest else f", within the error of {lowest['kid']:,.0f} at {lowest['iteration']:,}"
        lost = f"but lost with a damaged checkpoint; {f'best.keras is of {kept:,}' if kept else 'the next is kept'}"
        ended = f" No more scores after iteration {self.rows[-1]['iteration']:,}: {self.failed}." if self.failed else ""
        return (
            f"Best of {len(self.rows)} scores: kid-{self.name}, centred, {row['kid']:,.0f} at iteration"
            f" {row['iteration']:,} (low is good{near}), {'kept as best.keras' if kept == row['iteration'] else lost}."
            f" Scoring took {100 * self.spent / seconds:.1f}% of the training's time.{ended}"
        )

    @property
    def best(self) -> int:
        """Which of the rows is the best, -1 where there is none (see metrics.latest_best)."""
        kids, errors = ([row[name] for row in self.rows] for name in ("kid", "error"))
        return distances.select_best(kids, errors) if kids else -1

    def prefers(self, iteration: int, kept: int | None) -> bool:
        """Whether the generator of an iteration is to be best.keras in place of that of `kept`, None where it was lost.

        It is where its score is the best; where that one's generator is lost, also if it is lower than that of `kept`.
        """
        kids = {row["iteration"]: row["kid"] for row in self.rows}
        if self.failed or iteration not in kids or iteration == kept:
            return False
        best = self.rows[self.best]["iteration"]
        return best == iteration or kept not in kids or kids[iteration] < kids[kept]

    @property
    def exhausted(self) -> bool:
        """Whether the last `patience` scores brought nothing better."""
        lowest = int(np.argmin([row["kid"] for row in self.rows])) if self.rows else 0
        return bool(self.patience) and len(self.rows) - 1 - lowest >= self.patience
