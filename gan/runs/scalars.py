"""Scalars of a log: the columns that a train step returned, and which of them belong in one chart.

group_scalars(["iteration", "d_loss", "penalty", "g_loss"])  # {"loss": ["d_loss", "g_loss"], "penalty": ["penalty"]}

The tables themselves are read, written and cut back by gan/runs/tables.py.
"""

from collections.abc import Iterable

from gan.runs.tables import LOG_END, LOG_START

SUBJECTS = {"d", "g", "real", "fake"}  # parts of a scalar's name that say of what it was measured


def select_scalars(columns: Iterable[str]) -> list[str]:
    """Returns the columns that are scalars: all but the iteration, the number of images, the time and the speed."""
    return [name for name in columns if name not in (*LOG_START, *LOG_END)]


def group_scalars(columns: Iterable[str]) -> dict[str, list[str]]:
    """Returns the scalars among columns by what they measure: grad_norm_d and grad_norm_g are both a "grad norm".

    A scalar that is new needs no entry anywhere: it joins the group of its name, or is a group of its own.
    """
    groups = {}
    for name in select_scalars(columns):
        words = [word for word in name.split("_") if word not in SUBJECTS]
        groups.setdefault(" ".join(words) or name, []).append(name)
    return groups
