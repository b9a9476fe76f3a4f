"""Charts of a run, drawn from its log; no TensorFlow."""

from pathlib import Path

import matplotlib
import numpy as np

from gan.files import atomic


def losses(log: Path, path: Path) -> None:
    """Draws both losses of log.csv: each iteration faintly, their running mean in full."""
    matplotlib.use("Agg")
    from matplotlib.figure import Figure  # not pyplot: it keeps every figure until it is closed

    rows = np.genfromtxt(log, delimiter=",", names=True)
    if rows.size < 2:
        return
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    for column, label, colour in [
        ("d_loss", "discriminator", "tab:blue"),
        ("g_loss", "generator", "tab:orange"),
    ]:
        axes.plot(rows["iteration"], rows[column], color=colour, alpha=0.2, linewidth=0.8)
        iterations, smooth = running_mean(rows["iteration"], rows[column])
        axes.plot(iterations, smooth, color=colour, label=label)
    top = np.percentile(np.concatenate([rows["d_loss"], rows["g_loss"]]), 99.5)
    axes.set(xlabel="iteration", ylabel="loss", title="Training losses", ylim=(0, 1.1 * top))
    axes.legend(loc="upper right")
    axes.grid(alpha=0.3)
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=100)


def running_mean(x: np.ndarray, y: np.ndarray, windows: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Means of y over neighbourhoods of a `windows`-th of its length, each beside the mean of its x."""
    width = max(1, len(y) // windows)
    kernel = np.ones(width) / width
    return np.convolve(x, kernel, "valid"), np.convolve(y, kernel, "valid")
