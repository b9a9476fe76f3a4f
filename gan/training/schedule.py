"""When things happen in a run: how long it is, when grids and scores are due, how scheduled settings change.

length = RunLength(total=4000)
due = Milestones(length, every=0, progress=0.0)  # twenty times a run
if due.reached(iteration, seconds): ...
rate = interpolate("cosine", learning_rate, 0.0, length.progress(iteration, seconds))

`Loop.set_scheduled` sets such settings before each step. To add a schedule, write its function, a row of `SCHEDULES`,
and its name in gan/config.py.
"""

import math

MILESTONES = 20  # how often in a run something is due, unless asked otherwise


class RunLength:
    """The length of a run: `total` iterations, or, where `minutes` is not 0, that much training time."""

    def __init__(self, total: int, minutes: float = 0.0):
        self.total, self.seconds = total, 60 * minutes
        self.unit = " s" if minutes else ""

    def progress(self, iteration: int, seconds: float) -> float:
        """The share of the run that is done after that many iterations and seconds of training; the end is 1."""
        return seconds / self.seconds if self.seconds else iteration / self.total


class Milestones:
    """The moments when something is due: every `every` iterations, or, for 0, twenty times a run."""

    def __init__(self, length: RunLength, every: int, progress: float):
        self.length, self.last = length, int(MILESTONES * progress)
        self.every = every or (0 if length.seconds else max(1, length.total // MILESTONES))

    def reached(self, iteration: int, seconds: float) -> bool:
        """Whether this iteration is such a moment; to be called once after each."""
        if self.every:
            return iteration % self.every == 0
        before, self.last = self.last, int(MILESTONES * self.length.progress(iteration, seconds))
        return self.last > before


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def linear(progress: float) -> float:
    """From 1 down to 0 in a straight line."""
    return 1.0 - progress


def cosine(progress: float) -> float:
    """From 1 down to 0 along half a cosine. arXiv:1608.03983, eq. 5, without restarts."""
    return 0.5 + 0.5 * math.cos(math.pi * progress)


def cooldown(progress: float) -> float:
    """1 for two thirds of the way, then down to 0 in a straight line. arXiv:2405.18392."""
    return min(1.0, 3.0 * (1.0 - progress))


SCHEDULES = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "cooldown": cooldown,
}  # the share of the run that is done, 0 to 1 -> a factor from 1 down to 0


def interpolate(schedule: str, start: float, end: float, progress: float) -> float:
    """A setting that goes from `start` to `end` as a schedule goes from 1 to 0."""
    return end + (start - end) * SCHEDULES[schedule](progress)
