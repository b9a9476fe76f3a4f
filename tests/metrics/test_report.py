"""What is printed of scores, from results written by hand."""

import pytest

from gan.errors import UsageError
from gan.metrics import report


def result(kid=1.0, data="held out", size=32, **scores):
    """As tools/evaluate.py keeps it, of a run that copies nothing."""
    told = {"in_words": "no sign of copying", "ratio": 1.0149, "low": 0.9751, "high": 1.04}
    return {
        "protocol": {"samples": 2000, "weights": "raw", "size": size, "reference": {"data": data, "faces": 1000}},
        "generator": {"file": "best.keras", "iteration": 1500},
        "scores": {"kid-onet": kid, "memorisation": told, **scores},
    }


def test_a_column_a_run():
    """A row a score, "-" where a run has none; what kid is times, and of each run what was scored against what."""
    lines = report.format_table({"a": result(), "longer/than/twelve": result(2.5, data="orl", face_rate=0.5)})
    assert lines[0].split() == ["a", "longer/than/twelve"]
    assert lines[1].split() == ["kid-onet", "1.00", "2.50"]
    assert lines[2].split() == ["face_rate", "-", "0.500"]
    assert "kid" in lines[3] and "x 1000" in lines[3]
    assert lines[4] == "a: best.keras of iteration 1,500, 2,000 samples (raw weights) against 1,000 held-out faces"
    assert lines[7].endswith("against 1,000 faces of orl")


def test_how_near_the_nearest_are():
    """The verdict, then the ratio with its interval and what 1 means."""
    assert report.describe_scores("a", result())[1:] == [
        "  no sign of copying",
        "  nearest training face / nearest unseen face 1.01 [0.98, 1.04], 1 is as unseen faces are",
    ]


def test_what_drawn_faces_have_lost():
    """Mode coverage, the values that are missing, by attribute, and each attribute's distance."""
    lost = {"hair": ["bald", "bun"], "eyes": ["wink"]}
    found = {"mode_coverage": 0.9375, "attribute_distances": {"hair": 0.5, "eyes": 0.125}}
    lines = report.describe_scores("a", result(**found, modes_missing=lost))[3:]
    assert lines == [
        "  mode coverage 93.8%, missing: hair bald, bun; eyes wink",
        "  how far the shares of values are from the data's, 0 to 1: hair 0.50, eyes 0.12",
    ]
    assert report.describe_scores("a", result(**found, modes_missing={}))[3].endswith("missing: nothing")


def test_measured_differently(capsys):
    """A table for each alone, then the refusal with what differs; one table for all, and what differs, if told to."""
    found = {"a": result(1.0), "b": result(2.0), "c": result(3.0, size=64)}
    unlike = ["a and c were measured differently:", "  size: 32 and 64"]
    with pytest.raises(UsageError) as refused:
        report.print_scores(found, anyway=False)
    assert str(refused.value).splitlines()[:-1] == unlike
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("kid-onet")]
    assert rows == [["kid-onet", "1.00"], ["kid-onet", "2.00"], ["kid-onet", "3.00"]]
    report.print_scores(found, anyway=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == unlike and lines[3].split() == ["kid-onet", "1.00", "2.00", "3.00"]
