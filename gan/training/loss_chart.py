"""The chart of a run, loss.png: losses, scores, and every other scalar of the log; needs no TensorFlow.

draw_chart(run.log, run.read_scores(), run.folder / "loss.png")
"""

from pathlib import Path

import matplotlib
import numpy as np

from gan.files import atomic_write
from gan.metrics.evaluation import select_best

NOT_SCALARS = ("iteration", "images", "seconds", "images_per_second")
NETWORKS = {"d", "g", "real", "fake"}  # parts of a scalar's name that do not tell what it measures
LABELS = {"d_loss": "discriminator", "g_loss": "generator"}


def draw_chart(log: Path, scores: list[dict], path: Path) -> None:
    """Draws the columns of log.csv and the rows of metrics.csv over iterations. Fewer than two iterations: nothing.

    Scalars that measure the same thing share a panel (see `group_scalars`): a new scalar appears without further code.
    """
    matplotlib.use("Agg")
    matplotlib.rcParams["axes.titlelocation"] = "left"  # legends are at the right of it, where they cover no line
    from matplotlib.figure import Figure  # not pyplot: it keeps every figure until it is closed

    if not log.exists() or (rows := np.genfromtxt(log, delimiter=",", names=True)).size < 2:
        return
    losses, *others = group_scalars(rows.dtype.names)
    panels = [(draw_scalars, rows, losses)]
    panels += [(draw_quality, scores, ()), (draw_variety, scores, ())] if scores else []
    panels += [(draw_scalars, rows, group) for group in others]
    figure = Figure(figsize=(8, 1 + 3 * len(panels)), layout="constrained")
    axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for one, (draw, content, names) in zip(axes, panels, strict=True):
        draw(one, content, *names)
        one.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0)
        one.grid(alpha=0.3)
    axes[-1].set(xlabel="iteration")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def group_scalars(columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The scalars among a log's columns, those that differ in the network alone together: d_loss and g_loss."""
    groups = {}
    for name in columns:
        if name not in NOT_SCALARS:
            quantity = "_".join(part for part in name.split("_") if part not in NETWORKS)
            groups.setdefault(quantity, []).append(name)
    return [tuple(names) for names in groups.values()]


def draw_scalars(axes, rows: np.ndarray, *names: str) -> None:
    """Draws columns of the log: each iteration faintly, the running mean in full."""
    highest = []
    for i, name in enumerate(names):
        known = np.isfinite(rows[name])  # a penalty has no value in most iterations
        x, y = rows["iteration"][known], rows[name][known]
        if not len(y):
            continue
        axes.plot(x, y, color=f"C{i}", alpha=0.2, linewidth=0.8)
        axes.plot(*running_mean(x, y), color=f"C{i}", label=LABELS.get(name, name.replace("_", " ")))
        highest.append(y)
    quantity = "_".join(part for part in names[0].split("_") if part not in NETWORKS).replace("_", " ")
    title = "Training losses" if "d_loss" in names else quantity.capitalize()
    axes.set(ylabel=quantity, title=title)
    top = np.percentile(np.concatenate(highest), 99.5) if highest else 0.0
    if top > 0 and min(y.min() for y in highest) >= 0:
        axes.set(ylim=(0, 1.1 * top))


def draw_quality(axes, scores: list[dict]) -> None:
    """Draws the score, low is good, and marks that of best.keras."""
    iterations, kid, errors = ([row[name] for row in scores] for name in ("iteration", "kid", "kid_stderr"))
    best, name = select_best(kid, errors), f"kid-{scores[0]['network']}"
    axes.plot(iterations, kid, color="tab:green", marker=".", label=name)
    axes.plot(iterations[best], kid[best], "o", color="tab:red", label=f"kept: {kid[best]:,.0f}")
    axes.set(ylabel=f"{name}, centered; low is good", title="Quality")
    axes.set_yscale("symlog", linthresh=10)  # from hundreds of thousands to about 0, on either side of it


def draw_variety(axes, scores: list[dict]) -> None:
    """Draws face rate, diversity and memorization."""
    for name, label in [("face_rate", "faces found"), ("diversity", "diversity"), ("memorization", "memorization")]:
        known = [(row["iteration"], row[name]) for row in scores if row[name] is not None]
        if known:
            axes.plot(*zip(*known, strict=True), marker=".", label=label)
    axes.set(ylabel="1: as real images", title="Variety", ylim=(0, None))


def running_mean(x: np.ndarray, y: np.ndarray, windows: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Means of y over neighborhoods of a `windows`-th of its length, each beside the mean of its x."""
    width = max(1, len(y) // windows)
    kernel = np.ones(width) / width
    return np.convolve(x, kernel, "valid"), np.convolve(y, kernel, "valid")
