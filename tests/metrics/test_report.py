"""What is printed of scores, from results written by hand."""

import pytest

from gan.errors import UsageError
from gan.metrics import report
from gan.metrics.memorization import MemorizationResult


def result(kid=1.0, data="held out", size=32, **scores):
    """Builds a result as in scores.json, of a run that copies nothing."""
    memorization = {"summary": "no sign of copying", "ratio": 1.0149, "low": 0.9751, "high": 1.04}
    return {
        "protocol": {"samples": 2000, "weights": "raw", "size": size, "reference": {"data": data, "faces": 1000}},
        "generator": {"file": "best.keras", "iteration": 1500},
        "scores": {"kid-onet": kid, "memorization": memorization, **scores},
    }


def test_format_number():
    """About three digits, so that no column is wider than its title; a count has all its digits."""
    numbers = [None, 0.0, -0.0123, 1.234, 12.345, 1234.6, 2_000_000, -5e12, float("nan")]
    texts = ["-", "0.000", "-0.012", "1.23", "12.3", "1,235", "2,000,000", "-5.00e+12", "nan"]
    assert [report.format_number(value) for value in numbers] == texts


def test_table():
    """A row a score and a column a run, "-" where a run has no score; then the legend, and what each run is."""
    lines = report.format_table({"a": result(), "longer/than/twelve": result(2.5, data="orl", face_rate=0.5)})
    assert lines[0].split() == ["a", "longer/than/twelve"]
    assert lines[1].split() == ["kid-onet", "1.00", "2.50"]
    assert lines[2].split() == ["face_rate", "-", "0.500"]
    assert lines[3] == report.LEGEND
    assert lines[4] == "a: best.keras of iteration 1,500, 2,000 samples (raw weights) against 1,000 held-out faces"
    assert lines[7].endswith("against 1,000 faces of orl")


def test_sentences_on_copies():
    """The summary, then the ratio with its interval."""
    summary, ratio = report.describe_scores("a", result())[1:]
    assert summary == "  no sign of copying" and "1.01 [0.98, 1.04]" in ratio


@pytest.mark.parametrize("copies", [{}, {"in_words": "no"}])
def test_scores_of_older_versions(copies):
    """Without a search for copies, or with its former names, the first line is there."""
    assert len(report.describe_scores("a", result(memorization=copies))) == 1


def test_sentences_on_avatars():
    """Mode coverage with the missing values, and the distance of each attribute."""
    missing = {"hair": ["bald", "bun"], "eyes": ["wink"]}
    scores = {"mode_coverage": 0.9375, "attribute_distances": {"hair": 0.5, "eyes": 0.125}}
    coverage, far = report.describe_scores("a", result(**scores, modes_missing=missing))[3:]
    assert coverage == "  mode coverage 93.8%, missing: hair bald, bun; eyes wink"
    assert far.endswith("hair 0.50, eyes 0.12")
    assert report.describe_scores("a", result(**scores, modes_missing={}))[3].endswith("missing: nothing")


@pytest.mark.parametrize(("copying", "finding"), [(True, "copying"), (False, "no sign of copying")])
def test_describe_memorization(copying, finding):
    """The finding, the share of samples and the expected one."""
    found = MemorizationResult(1.0, 0.9, 1.1, 0.125, 0.1, 0.15, 0.05, copying)
    text = report.describe_memorization(found)
    assert text.startswith(f"{finding}: 12.5% of samples") and "than 95% of" in text and "(5% expected)" in text


def test_different_protocols(capsys):
    """A table for each run, then an error with the differences; one table, below the differences, with `anyway`."""
    results = {"a": result(1.0), "b": result(2.0), "c": result(3.0, size=64)}
    differences = ["a and c were measured differently:", "  size: 32 and 64"]
    with pytest.raises(UsageError, match="--anyway") as caught:
        report.print_scores(results, anyway=False)
    assert str(caught.value).splitlines()[:-1] == differences
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("kid-onet")]
    assert rows == [["kid-onet", "1.00"], ["kid-onet", "2.00"], ["kid-onet", "3.00"]]
    report.print_scores(results, anyway=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == differences and lines[3].split() == ["kid-onet", "1.00", "2.00", "3.00"]
