"""Audit: which attributes a generator draws more or less often than the data have them, and whether it does as asked.

    rows = compare_shares(labels, predicted_codes, codes_of_samples, classifier.accuracy)
    rows[0].data, rows[0].samples, rows[0].verdict       # Interval(0.065, ...), Interval(0.021, ...), "reduced"
    agreements = measure_agreement(labels.attributes, asked, predicted)

Codes are those of `gan.labels.Labels`. One classifier predicts them on both sides of a comparison, so that its mistakes
are on both.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan import files
from gan.labels import Attribute, Labels
from gan.metrics.intervals import Interval, measure_share, subtract

ANY = "any"  # in place of what was asked, of all samples
MOST_ASKED = 20  # values of an attribute that are asked for and reported one by one, the most frequent ones
MOST_DRAWN = 60  # rows of a chart, those of the largest differences


class ShareRow(NamedTuple):
    """How often images have a value of an attribute.

    Arguments:
        name: of the attribute, with its value where it is not yes or no.
        labelled: share among all images, by their labels.
        data, samples: share among real images and among samples, as the classifier sees both.
        difference: of samples and data.
        accuracy: the share of held-out images whose attribute the classifier predicts right; NaN: not measured.
        verdict: "amplified" or "reduced" where the interval of the difference is above or below 0, else "".
    """

    name: str
    labelled: float
    data: Interval
    samples: Interval
    difference: Interval
    accuracy: float
    verdict: str

    @property
    def ratio(self) -> float:
        """The share among samples by that in the data; NaN where the classifier sees none there."""
        return self.samples.value / self.data.value if self.data.value else math.nan


class Agreement(NamedTuple):
    """How often samples have what was asked for: of an attribute, what was asked, in how many, and the share."""

    name: str
    asked: str
    count: int
    share: Interval


def compare_shares(
    labels: Labels, predicted: np.ndarray, sampled: np.ndarray, accuracy: dict[str, float]
) -> list[ShareRow]:
    """Compares the shares of every value of every attribute among samples with those among real images.

    Arguments:
        labels: of all images.
        predicted: codes of real images that the classifier was not trained on, int32 (n, attributes).
        sampled: codes of samples (m, attributes), by the same classifier.
        accuracy: of that classifier, by attribute.
    """
    rows = []
    for i, (attribute, shares) in enumerate(zip(labels.attributes, labels.shares, strict=True)):
        for code in attribute.codes if attribute.values else [1]:
            data, samples = (measure_share(codes[:, i] == code) for codes in (predicted, sampled))
            difference = subtract(samples, data)
            verdict = "amplified" if difference.low > 0 else "reduced" if difference.high < 0 else ""
            name = attribute.name if not attribute.values else f"{attribute.name}: {attribute.values[code]}"
            rows.append(
                ShareRow(name, float(shares[code]), data, samples, difference, accuracy[attribute.name], verdict)
            )
    return rows


def measure_agreement(attributes: Sequence[Attribute], asked: np.ndarray, predicted: np.ndarray) -> list[Agreement]:
    """Measures how often samples have the labels that were asked for, in all and by what was asked.

    Arguments:
        attributes: those of the codes, in order.
        asked, predicted: codes int32 (n, attributes).
    """
    found = []
    for i, attribute in enumerate(attributes):
        right = asked[:, i] == predicted[:, i]
        found.append(Agreement(attribute.name, ANY, len(right), measure_share(right)))
        counts = np.bincount(asked[:, i], minlength=len(attribute.codes))
        for code in sorted(np.argsort(-counts, kind="stable")[:MOST_ASKED]):
            if counts[code]:
                share = measure_share(right[asked[:, i] == code])
                found.append(Agreement(attribute.name, attribute.value_names[code], int(counts[code]), share))
    return found


def ask_evenly(labels: Labels, fractions: np.ndarray, number: int) -> np.ndarray:
    """Draws labels that ask for each value of attribute `number` equally often: codes int32 (n, attributes).

    Of more than `MOST_ASKED` values, these are the most frequent ones, as in `measure_agreement`. The other attributes
    are as images with that value have them. `fractions` are uniform in [0, 1).
    """
    codes = np.empty((len(fractions), len(labels.attributes)), np.int32)
    values = np.sort(np.argsort(-labels.shares[number], kind="stable")[:MOST_ASKED]).tolist()
    for i, code in enumerate(values):
        part = slice(i, None, len(values))
        codes[part] = labels.draw(fractions[part], {number: code})
    return codes


# Reports


def format_report(
    rows: Sequence[ShareRow],
    agreements: dict[str, Sequence[Agreement]],
    heading: str,
    notes: Sequence[str],
) -> str:
    """Formats an audit as Markdown: the table of shares, the largest difference first, and those of agreement.

    Arguments:
        agreements: by the title of their table; one that is empty is left out.
    """
    lines = [f"# {heading}", "", *notes, "", "## Shares", ""]
    lines += ["| attribute | labelled | in the data | drawn | difference | ratio | classifier right | verdict |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|---|"]
    for row in sort_rows(rows):
        low, high = 100 * row.difference.low, 100 * row.difference.high
        points = f"{100 * row.difference.value:+.1f} ({low:+.1f} to {high:+.1f})"
        ratio, accuracy = _format(row.ratio, ".2f"), _format(row.accuracy, ".1%")
        name = format_cell(row.name)
        lines.append(
            f"| {name} | {row.labelled:.1%} | {row.data} | {row.samples} | {points} | {ratio} | {accuracy} |"
            f" {row.verdict} |"
        )
    for title, found in agreements.items():
        if found:
            lines += ["", f"## {title}", "", "| attribute | label | images | seen as that |", "|---|---|--:|--:|"]
            lines += [
                f"| {format_cell(each.name)} | {format_cell(each.asked)} | {each.count:,} | {each.share} |"
                for each in found
            ]
    return "\n".join(lines) + "\n"


def format_cell(text: str) -> str:
    """Formats a text as the cell of a Markdown table: in one line, and without a bar that would end it."""
    return " ".join(text.split()).replace("|", "\\|")


def _format(value: float, spec: str, missing: str = "-") -> str:
    return missing if math.isnan(value) else format(value, spec)


def sort_rows(rows: Sequence[ShareRow]) -> list[ShareRow]:
    """Sorts rows by their difference, what is drawn too often first."""
    return sorted(rows, key=lambda row: -row.difference.value)


def write_csv(path: Path, rows: Sequence[ShareRow]) -> None:
    """Writes the shares as a CSV."""
    columns = [f"{name}{end}" for name in ("data", "samples", "difference") for end in ("", "_low", "_high")]
    lines = [["attribute", "labelled", *columns, "ratio", "accuracy", "verdict"]]
    for row in rows:
        values = (row.labelled, *row.data, *row.samples, *row.difference, row.ratio, row.accuracy)
        name = row.name.encode("utf-8", "replace").decode()  # of a folder, it may hold bytes that are no text
        lines.append([name, *(_format(value, ".6f", "") for value in values), row.verdict])
    files.write_csv(path, lines)


def draw_chart(rows: Sequence[ShareRow], path: Path, title: str) -> None:
    """Draws the shares in the data and among samples, with intervals, the largest difference first; a PNG file.

    Of more than `MOST_DRAWN` rows it has those whose differences are furthest from 0, and says so.
    """
    import matplotlib
    from matplotlib.figure import Figure

    if len(rows) > MOST_DRAWN:
        title = f"{title}, the {MOST_DRAWN} largest differences of {len(rows):,}"
        rows = sorted(rows, key=lambda row: -abs(row.difference.value))[:MOST_DRAWN]
    rows = sort_rows(rows)[::-1]  # axes go upwards
    colors = {"amplified": "#c44e2e", "reduced": "#2e6fc4", "": "#777777"}
    with matplotlib.rc_context(), files.atomic_write(path) as file:
        matplotlib.rcdefaults()
        figure = Figure(figsize=(8, 1.6 + 0.28 * len(rows)), layout="constrained")
        axes = figure.subplots()
        for y, row in enumerate(rows):
            for share, color, marker, shift in (
                (row.data, "black", "o", 0.14),
                (row.samples, colors[row.verdict], "D", -0.14),
            ):
                axes.plot([100 * share.low, 100 * share.high], [y + shift] * 2, color=color, linewidth=1.2)
                axes.plot([100 * share.value], [y + shift], marker, color=color, markersize=4)
        axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=8, parse_math=False)
        axes.set_ylim(-0.7, len(rows) - 0.3)
        axes.set_xlim(left=0)
        axes.set_xlabel("share of images in %, with 95% intervals")
        axes.set_title(title, loc="left", fontsize=10, parse_math=False)  # "$" is no formula
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.plot([], [], "ko", markersize=4, label="data")
        for verdict, color in colors.items():
            axes.plot([], [], "D", color=color, markersize=4, label=f"samples{', ' if verdict else ''}{verdict}")
        figure.legend(loc="outside upper right", ncols=4, fontsize=8, frameon=False)
        figure.savefig(file, format="png", dpi=110)
