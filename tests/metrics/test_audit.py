"""Audits: intervals by hand, shares and agreement of known codes, and the reports."""

import csv

import numpy as np
import pytest
from striped_images import ATTRIBUTES

from gan.images import read_png
from gan.labels import Attribute, Labels
from gan.metrics import audit
from gan.metrics.intervals import share_interval

LABELS = Labels(ATTRIBUTES, np.array([[1, 0], [0, 1], [0, 1], [0, 2]], np.int32))
ACCURACY = {"bright": 0.9, "stripe": np.nan}


@pytest.mark.parametrize(("drawn", "verdict"), [(300, ""), (400, "amplified"), (200, "reduced"), (0, "reduced")])
def test_shares_by_hand(drawn, verdict):
    """Of 1,000 real images 300 are bright; shares, ratio and verdict of samples are those of their number."""
    labels = Labels(ATTRIBUTES[:1], np.array([[1], [0], [0], [0]], np.int32))
    real, sampled = ((np.arange(1000) < count).astype(np.int32)[:, None] for count in (300, drawn))
    [row] = audit.compare_shares(labels, real, sampled, {"bright": 0.9})
    assert (row.name, row.labelled, row.accuracy, row.verdict) == ("bright", 0.25, 0.9, verdict)
    assert row.data == share_interval(0.3, 1000) and row.samples == share_interval(drawn / 1000, 1000)
    assert row.ratio == pytest.approx(drawn / 300) and row.difference.value == pytest.approx((drawn - 300) / 1000)


def test_a_value_that_is_not_in_the_data():
    """A row for each of several values; one that the classifier sees in no real image has no ratio."""
    rows = audit.compare_shares(LABELS, LABELS.codes[:3].repeat(50, axis=0), LABELS.codes.repeat(50, axis=0), ACCURACY)
    assert [row.name for row in rows] == ["bright", "stripe: none", "stripe: middle", "stripe: edges"]
    assert [row.labelled for row in rows] == [0.25, 0.25, 0.5, 0.25]
    assert np.isnan(rows[-1].ratio) and rows[-1].verdict == "amplified" and rows[-1].data.low < 1e-9


def test_equal_shares_are_rarely_flagged():
    """Of pairs of samples of one distribution, about 5% are called different, and the interval has the truth."""
    rng = np.random.default_rng(0)
    labels = Labels(tuple(Attribute(f"a{i}") for i in range(1000)), np.zeros((1, 1000), np.int32))
    shares = np.linspace(0.03, 0.6, 1000)
    real, sampled = (rng.random((count, 1000)) < shares for count in (500, 1500))
    rows = audit.compare_shares(labels, real, sampled, dict.fromkeys((each.name for each in labels.attributes), 1.0))
    assert 0.03 < np.mean([row.verdict != "" for row in rows]) < 0.07
    covered = [row.samples.low <= share <= row.samples.high for row, share in zip(rows, shares, strict=True)]
    assert 0.93 < np.mean(covered) < 0.97


def test_agreement_by_hand():
    """The share of samples with what was asked for, in all and by what was asked."""
    asked = np.array([[1, 0], [1, 1], [0, 1], [0, 1]])
    predicted = np.array([[1, 0], [0, 1], [0, 2], [0, 1]])
    found = {
        (each.name, each.asked): (each.count, each.share.value)
        for each in audit.measure_agreement(LABELS.attributes, asked, predicted)
    }
    assert found == {
        ("bright", "any"): (4, 0.75), ("bright", "no"): (2, 1.0), ("bright", "yes"): (2, 0.5),
        ("stripe", "any"): (4, 0.75), ("stripe", "none"): (1, 1.0), ("stripe", "middle"): (3, 2 / 3),
    }  # fmt: skip


def test_ask_evenly():
    """Each value is asked for equally often; the others are as in images with that value."""
    codes = audit.ask_evenly(LABELS, np.linspace(0, 1, 600, endpoint=False), 0)
    assert codes[:, 0].mean() == 0.5 and (codes[codes[:, 0] == 1, 1] == 0).all() and 0 not in codes[codes[:, 0] == 0, 1]


def test_ask_for_the_most_frequent_values():
    """Of many values the most frequent ones are asked for, which are those that agreement is reported of."""
    many = Labels((Attribute("class", tuple(map(str, range(100)))),), np.arange(100, dtype=np.int32)[:, None])
    many = Labels(many.attributes, many.codes, np.where(many.codes[:, 0] >= 70, 9, 1))
    codes = audit.ask_evenly(many, np.random.default_rng(0).random(400), 0)
    values, counts = np.unique(codes, return_counts=True)
    assert values.tolist() == [*range(70, 70 + audit.MOST_ASKED)] and set(counts) == {400 // audit.MOST_ASKED}
    assert [each.asked for each in audit.measure_agreement(many.attributes, codes, codes)] == [
        audit.ANY,
        *map(str, values),
    ]


def test_report():
    """The tables, a row for each share and each agreement; what was not measured has a dash."""
    rows = audit.compare_shares(LABELS, LABELS.codes.repeat(50, axis=0), LABELS.codes[:2].repeat(100, axis=0), ACCURACY)
    agreements = {"As asked": audit.measure_agreement(LABELS.attributes, LABELS.codes, LABELS.codes), "Others": []}
    text = audit.format_report(rows, agreements, "A run", ["note"])
    assert text.startswith("# A run\n") and "## As asked" in text and "Others" not in text
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(rows) + 2 + len(agreements["As asked"])
    assert {len(cells) for cells in table[: 2 + len(rows)]} == {8} and {len(cells) for cells in table[-9:]} == {4}
    assert [cells[0] for cells in table[2:6]] == ["bright", "stripe: none", "stripe: middle", "stripe: edges"]
    assert [cells[5:] for cells in table[2:6]] == [
        ["2.00", "90.0%", "amplified"], ["2.00", "-", "amplified"], ["1.00", "-", ""], ["0.00", "-", "reduced"],
    ]  # fmt: skip


def test_csv(tmp_path):
    """Each number reads back; what was not measured is empty."""
    rows = audit.compare_shares(LABELS, LABELS.codes.repeat(50, axis=0), LABELS.codes[:2].repeat(100, axis=0), ACCURACY)
    audit.write_csv(tmp_path / "a.csv", rows)
    read = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [float(row["samples"]) for row in read] == [0.5, 0.5, 0.5, 0.0]
    assert [float(row["ratio"]) for row in read] == [2, 2, 1, 0]
    assert [row["accuracy"] for row in read] == ["0.900000", "", "", ""]
    assert [row["verdict"] for row in read] == [row.verdict for row in rows]


def test_chart(tmp_path):
    """The chart is as high as there are rows, of which it has MOST_DRAWN at most."""
    rows = audit.compare_shares(LABELS, LABELS.codes.repeat(50, axis=0), LABELS.codes[:2].repeat(100, axis=0), ACCURACY)
    heights = []
    for part in (rows, rows * 10, rows * 100):
        audit.draw_chart(part, tmp_path / "a.png", "A run")
        heights.append(read_png(tmp_path / "a.png").shape[0])
    assert heights[0] < heights[1] < heights[2] < 2.2 * heights[1]


def test_names_that_mean_something_elsewhere(tmp_path):
    """A bar in a name ends no cell of the report, and dollars make no formula of the chart."""
    labels = Labels((Attribute("class", ("a|b", r"$\wrong$")),), np.array([[0], [1]], np.int32))
    rows = audit.compare_shares(labels, labels.codes, labels.codes, {"class": 0.9})
    agreements = {"As asked": audit.measure_agreement(labels.attributes, labels.codes, labels.codes)}
    tables = [line for line in audit.format_report(rows, agreements, "A", []).split("\n") if line.startswith("|")]
    assert [line.replace(r"\|", "").count("|") for line in tables] == [9] * 4 + [5] * 5
    audit.draw_chart(rows, tmp_path / "audit.png", r"$\wrong$")
    assert read_png(tmp_path / "audit.png").std() > 10
