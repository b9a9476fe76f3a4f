"""Charts of a run, drawn from its log; no TensorFlow."""

from pathlib import Path

import matplotlib
import numpy as np

from gan.files import atomic_write
from gan.metrics.distances import select_best


def draw_chart(log: Path, scores: list[dict], path: Path) -> None:
    """Draws both losses of log.csv and, above the same iterations, what became of the faces meanwhile.

    `scores` are rows of metrics.csv; without any, the losses stand alone.
    """
    matplotlib.use("Agg")
    matplotlib.rcParams["axes.titlelocation"] = "left"  # legends are at the right of it, where they cover no line
    from matplotlib.figure import Figure  # not pyplot: it keeps every figure until it is closed

    rows = np.genfromtxt(log, delimiter=",", names=True)
    if rows.size < 2:
        return
    panels = [(losses, rows), (quality, scores), (shares, scores)] if scores else [(losses, rows)]
    figure = Figure(figsize=(8, 1 + 3 * len(panels)), layout="constrained")
    for axes, (draw, content) in zip(
        figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels, strict=True
    ):
        draw(axes, content)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0)
        axes.grid(alpha=0.3)
    axes.set(xlabel="iteration")
    with atomic_write(path) as file:
        figure.savefig(file, format="png", dpi=100)


def losses(axes, rows: np.ndarray) -> None:
    """Both losses: each iteration faintly, their running mean in full."""
    for column, label, colour in [
        ("d_loss", "discriminator", "tab:blue"),
        ("g_loss", "generator", "tab:orange"),
    ]:
        axes.plot(rows["iteration"], rows[column], color=colour, alpha=0.2, linewidth=0.8)
        iterations, smooth = running_mean(rows["iteration"], rows[column])
        axes.plot(iterations, smooth, color=colour, label=label)
    top = np.percentile(np.concatenate([rows["d_loss"], rows["g_loss"]]), 99.5)
    axes.set(ylabel="loss", title="Training losses", ylim=(0, 1.1 * top or 1.0))


def quality(axes, scores: list[dict]) -> None:
    """The score, low is good, with that of best.keras marked."""
    iterations, kid, errors = ([row[name] for row in scores] for name in ("iteration", "kid", "error"))
    best, name = select_best(kid, errors), f"kid-{scores[0]['network']}"
    axes.plot(iterations, kid, color="tab:green", marker=".", label=name)
    axes.plot(iterations[best], kid[best], "o", color="tab:red", label=f"kept: {kid[best]:,.0f}")
    axes.set(ylabel=f"{name}, centred; low is good", title="Quality")
    axes.set_yscale("symlog", linthresh=10)  # from hundreds of thousands to about 0, on either side of it


def shares(axes, scores: list[dict]) -> None:
    """Face rate, diversity and memorisation."""
    for name, label in [("face_rate", "faces found"), ("diversity", "diversity"), ("memorisation", "memorisation")]:
        known = [(row["iteration"], row[name]) for row in scores if row[name] is not None]
        if known:
            axes.plot(*zip(*known, strict=True), marker=".", label=label)
    axes.set(ylabel="1: as real faces", title="Variety", ylim=(0, None))


def running_mean(x: np.ndarray, y: np.ndarray, windows: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Means of y over neighbourhoods of a `windows`-th of its length, each beside the mean of its x."""
    width = max(1, len(y) // windows)
    kernel = np.ones(width) / width
    return np.convolve(x, kernel, "valid"), np.convolve(y, kernel, "valid")
