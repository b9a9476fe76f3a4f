"""The chart of a run, loss.png: losses, scores and every other scalar of the log, over iterations.

    draw_chart(run.tables.read_log(), run.tables.read_scores(), run.folder / "loss.png")

It needs no TensorFlow.
"""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.ticker import LogFormatter, StrMethodFormatter

from gan.files import atomic_write
from gan.metrics.evaluation import select_best
from gan.runs.scalars import group_scalars

# Points of a line, as many as it is pixels wide: a longer log takes no more time and memory to draw.
POINTS = 1000
LABELS = {"d_loss": "discriminator", "g_loss": "generator"}


def draw_chart(log: dict[str, np.ndarray], scores: list[dict], path: Path) -> None:
    """Draws one panel for each group of scalars, and two for the scores where there are any.

    Arguments:
        log: the columns of log.csv, float (n,), by name. With fewer than two iterations nothing is drawn.
        scores: the rows of metrics.csv; of several at an iteration, as of several averages, the last is drawn.
        path: the PNG file to write: 800 pixels wide, and 100 + 300 pixels high for each panel.
    """
    if len(log.get("iteration", ())) < 2:
        return
    scores = [*{row["iteration"]: row for row in scores}.values()]
    groups = group_scalars(name for name in log if np.isfinite(log[name]).any())
    losses = groups.pop("loss", [])
    panels = [(draw_scalars, log, "loss", losses)] if losses else []
    panels += [(draw_quality, scores), (draw_variety, scores)] if scores else []
    panels += [(draw_scalars, log, quantity, names) for quantity, names in groups.items()]
    if panels:
        with matplotlib.rc_context(), atomic_write(path) as file:
            matplotlib.rcdefaults()  # whatever the user's own settings are
            matplotlib.rcParams["axes.titlelocation"] = "left"  # legends are on the right of titles, clear of the lines
            draw_panels(panels).savefig(file, format="png", dpi=100)


def draw_panels(panels: list[tuple]):
    """Returns a figure of panels, one below the other; each is a function, and its arguments after the axes."""
    from matplotlib.figure import Figure  # not pyplot, which keeps every figure until it is closed

    height = 1 + 3 * len(panels)  # inches
    figure = Figure(figsize=(8, height))
    # Fixed margins, as to measure all texts ("constrained" layout) takes twice as long as to draw them.
    figure.subplots_adjust(left=0.11, right=0.98, bottom=0.5 / height, top=1 - 0.4 / height, hspace=0.18)
    all_axes = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, (draw, *arguments) in zip(all_axes, panels, strict=True):
        draw(axes, *arguments)
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0)
        axes.grid(alpha=0.3)
    all_axes[-1].set(xlabel="iteration")
    return figure


def draw_scalars(axes, log: dict[str, np.ndarray], quantity: str, names: list[str]) -> None:
    """Draws columns of the log: the values of all iterations in a light color, their running mean in a strong one.

    Of more than `POINTS` values, the least and the most of neighbors are drawn. Iterations without a value are left
    out: most have no penalty. An axis from 0 ends above 99.5% of the values, so that single large ones do not flatten
    the rest.
    """
    lines = []
    for i, name in enumerate(names):
        finite = np.isfinite(log[name])
        y = log[name][finite]
        x, means, least, most = group_neighbors(log["iteration"][finite], y)
        axes.plot(x.repeat(2), np.stack([least, most], 1).ravel(), color=f"C{i}", alpha=0.2, linewidth=0.8)
        axes.plot(*running_mean(x, means), color=f"C{i}", label=LABELS.get(name, name.replace("_", " ")))
        lines.append(y)
    axes.set(ylabel=quantity, title="Training losses" if quantity == "loss" else quantity.capitalize())
    values = np.concatenate(lines)
    top = np.percentile(values, 99.5)
    if top > 0 and values.min() >= 0:
        axes.set(ylim=(0, 1.1 * top))


def draw_quality(axes, scores: list[dict]) -> None:
    """Draws the KID during training, two standard errors around it, and a red dot at the score of best.keras."""
    iterations, kid, errors = (np.array([row[name] for row in scores]) for name in ("iteration", "kid", "kid_stderr"))
    best, name = select_best([*kid], [*errors]), f"kid-{scores[0]['network']}"
    axes.fill_between(iterations, kid - 2 * errors, kid + 2 * errors, color="tab:green", alpha=0.2, linewidth=0)
    axes.plot(iterations, kid, color="tab:green", marker=".", label=name)
    axes.plot(iterations[best], kid[best], "o", color="tab:red", label=f"best.keras: {kid[best]:,.0f}")
    axes.set(ylabel=f"{name}, centered; lower is better", title="Quality")
    # Scores fall from hundreds of thousands to about 0, on either side of it, where they differ by their errors alone.
    linear = 10 ** max(1, np.floor(np.log10(max(2 * np.median(errors), 1))))
    axes.set_yscale("symlog", linthresh=linear, subs=range(2, 10))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    sizes = np.abs(kid)
    if (np.sign(kid) == np.sign(kid[0])).all() and sizes.max() < 100 * sizes.min():
        # There may be no power of ten among so similar scores, so ticks between have labels, too.
        axes.yaxis.set_minor_formatter(PlainLogFormatter(minor_thresholds=(2, 0.5), linthresh=linear))


class PlainLogFormatter(LogFormatter):
    """Labels the ticks that `LogFormatter` chooses by whole numbers with their signs."""

    def __call__(self, x, pos=None):
        """The label of a tick; empty where it has none."""
        return f"{x:,.0f}" if super().__call__(x, pos) else ""


def draw_variety(axes, scores: list[dict]) -> None:
    """Draws face rate, diversity and memorization, each over the scores that have it."""
    for name in ("face_rate", "diversity", "memorization"):
        known = [(row["iteration"], row[name]) for row in scores if row[name] is not None]
        if known:
            axes.plot(*zip(*known, strict=True), marker=".", label=name.replace("_", " "))
    axes.set(ylabel="1 = real images", title="Variety", ylim=(0, None))


def group_neighbors(
    x: np.ndarray, y: np.ndarray, groups: int = POINTS
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns the means of x and y, and the least and the most of y, in at most `groups` groups of neighbors."""
    starts = np.linspace(0, len(y), min(len(y), groups), endpoint=False).astype(int)
    counts = np.diff(starts, append=len(y))
    sums = (np.add.reduceat(values, starts) for values in (x, y))
    return *(total / counts for total in sums), np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)


def running_mean(x: np.ndarray, y: np.ndarray, windows: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Returns the means of y, and of x, over windows whose width is a `windows`-th of its length (at least 1)."""
    width = max(1, len(y) // windows)
    kernel = np.ones(width) / width
    return np.convolve(x, kernel, "valid"), np.convolve(y, kernel, "valid")
