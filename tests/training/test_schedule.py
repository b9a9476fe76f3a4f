import pytest

from gan.training.schedule import SCHEDULES, Milestones, RunLength


def milestones(length, every=0, seconds_each=1.0, start=0, end=None):
    """The milestones of a training session from iteration `start` to `end`, or to the end of the run."""
    found = Milestones(length, every, length.progress(start, start * seconds_each))
    reached, i = [], start
    while length.progress(i, i * seconds_each) < 1 and i != end:
        i += 1
        if found.reached(i, i * seconds_each):
            reached.append(i)
    return reached


def test_run_length():
    """The progress is the share of the iterations, or of the minutes if they are given, and may be more than 1."""
    by_steps, by_clock = RunLength(40), RunLength(40, 2.0)
    assert (by_steps.progress(20, 1e9), by_steps.seconds, by_steps.unit) == (0.5, 0, "")
    assert (by_clock.progress(10**9, 60.0), by_clock.seconds, by_clock.unit) == (0.5, 120.0, " s")
    assert by_steps.progress(50, 0) == 1.25 and by_clock.progress(0, 0.0) == 0


def test_milestones_by_iteration():
    """Milestones are every `every` iterations; by default every twentieth of the run, rounded down, but at least 1."""
    assert milestones(RunLength(10), 3) == [3, 6, 9]
    assert milestones(RunLength(2000)) == list(range(100, 2001, 100))
    assert milestones(RunLength(47)) == list(range(2, 47, 2))
    assert milestones(RunLength(3)) == [1, 2, 3]


def test_milestones_by_minutes():
    """Two minutes have twenty milestones, one every six seconds; slower iterations are a milestone each."""
    assert milestones(RunLength(1, 2.0)) == list(range(6, 121, 6))
    assert milestones(RunLength(1, 2.0), seconds_each=30.0) == [1, 2, 3, 4]
    assert milestones(RunLength(1, 2.0), every=50) == [50, 100]


@pytest.mark.parametrize("length", [RunLength(100), RunLength(1, 2.0)])
@pytest.mark.parametrize("stop", [5, 6, 7, 60])
def test_milestones_after_a_resume(length, stop):
    """Two training sessions have the same milestones as one, wherever the first ends."""
    assert milestones(length, end=stop) + milestones(length, start=stop) == milestones(length)


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("cosine", [1, 0.5 + 0.5 * 2**-0.5, 0.5, 0.5 - 0.5 * 2**-0.5, 0]),
        ("cooldown", [1, 1, 1, 0.75, 0]),
    ],
)
def test_schedules_by_hand(name, factors):
    """Each schedule has the given factors at the start, after each quarter, and at the end of a run."""
    assert [SCHEDULES[name](progress) for progress in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx(factors)
