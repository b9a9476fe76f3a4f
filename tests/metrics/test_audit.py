"""Audits: intervals by hand, a synthetic set with known shares, and agreement."""

import csv

import numpy as np
import pytest

from gan.images import read_png
from gan.labels import Attribute, Labels
from gan.metrics import attribute_classifier, audit

BRIGHT, STRIPE = Attribute("bright"), Attribute("stripe", ("none", "middle", "edges"))


def draw(count, bright, stripes, seed):
    """Images of 16 x 16 noise whose attributes anyone sees, and their codes: shares are those given."""
    rng = np.random.default_rng(seed)
    codes = np.stack([rng.random(count) < bright, rng.choice(3, count, p=stripes)], axis=1).astype(np.int32)
    pixels = rng.integers(0, 60, (count, 16, 16, 3))
    pixels[codes[:, 0] == 1, :8] += 120
    pixels[codes[:, 1] == 1, 8:, 5:11] += 150
    pixels[codes[:, 1] == 2, 8:, :3] += 150
    pixels[codes[:, 1] == 2, 8:, 13:] += 150
    return pixels.astype(np.uint8), codes


def test_wilson_by_hand():
    """Wilson's interval, by its formula and as published: 81 of 263 are 25.5% to 36.6%, 0 of 20 are 0 to 16.1%."""
    found = audit.wilson(81, 263)
    assert found.value == pytest.approx(81 / 263) and found.low == pytest.approx(0.2553, abs=1e-4)
    assert found.high == pytest.approx(0.3662, abs=1e-4)
    assert audit.wilson(0, 20).low == 0 and audit.wilson(0, 20).high == pytest.approx(0.1611, abs=1e-4)


def test_difference_by_hand():
    """Newcombe's method 10, as published in table II of 1998: 56 of 70 less 48 of 80 is 0.0524 to 0.3339."""
    found = audit.subtract(audit.wilson(56, 70), audit.wilson(48, 80))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A classifier of the synthetic images, its labels, and the rows that were held out."""
    patched = pytest.MonkeyPatch()
    patched.setattr(attribute_classifier, "STEPS", 150)
    patched.setattr(attribute_classifier, "WIDTHS", (8, 8, 8))
    pixels, codes = draw(1500, 0.3, (0.5, 0.4, 0.1), seed=0)
    labels, rows = Labels((BRIGHT, STRIPE), codes), np.arange(1500)
    folder = tmp_path_factory.mktemp("cache")
    found = attribute_classifier.load_classifier(pixels, labels, rows[:1000], rows[1000:], folder)
    yield found, pixels, labels, rows, folder
    patched.undo()


def test_classifier(classifier):
    """It is right where attributes are plain to see, and comes from the cache the next time, also a damaged one."""
    found, pixels, labels, rows, folder = classifier
    assert min(found.accuracy.values()) > 0.95 and found.accuracy.keys() == {"bright", "stripe"}
    predicted = found.predict(pixels[1000:])
    assert predicted.dtype == np.int32 and (predicted == labels.codes[1000:]).mean() > 0.95
    [path] = folder.glob("*.npz")
    written = path.stat().st_mtime_ns
    again = attribute_classifier.load_classifier(pixels, labels, rows[:1000], rows[1000:], folder)
    assert again.digest == found.digest and path.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.predict(pixels[:50]), found.predict(pixels[:50]))
    path.write_bytes(path.read_bytes()[:1000])
    trained = attribute_classifier.load_classifier(pixels, labels, rows[:1000], rows[1000:], folder)
    assert min(trained.accuracy.values()) > 0.95
    with pytest.raises(ValueError, match="uint8"):
        found.predict(pixels[:2].astype(np.float32))


def test_unknown_labels_are_not_learned(tmp_path, monkeypatch):
    """Images without a label change neither what is learned nor the accuracy; few held-out images have none."""
    monkeypatch.setattr(attribute_classifier, "STEPS", 150)
    monkeypatch.setattr(attribute_classifier, "WIDTHS", (8, 8, 8))
    pixels, codes = draw(900, 0.5, (0.5, 0.3, 0.2), seed=1)
    pixels[::3] = 255 - pixels[::3]  # which would teach the contrary
    codes[::3] = -1
    codes[600:, 1] = -1
    labels, rows = Labels((BRIGHT, STRIPE), codes), np.arange(900)
    found = attribute_classifier.load_classifier(pixels, labels, rows[:600], rows[600:], tmp_path)
    assert found.accuracy["bright"] > 0.9 and np.isnan(found.accuracy["stripe"])


def test_known_shares(classifier):
    """Samples with known shares: what is drawn more often is amplified, what is drawn less often reduced."""
    found, pixels, labels, rows, _ = classifier
    samples, _ = draw(3000, 0.3, (0.65, 0.33, 0.02), seed=2)
    table = audit.compare_shares(labels, found.predict(pixels[rows[1000:]]), found.predict(samples))
    assert [row.name for row in table] == ["bright", "stripe: none", "stripe: middle", "stripe: edges"]
    assert [row.verdict for row in table] == ["", "amplified", "reduced", "reduced"]
    for row, share in zip(table, (0.3, 0.65, 0.33, 0.02), strict=True):
        assert row.samples.low - 0.02 <= share <= row.samples.high + 0.02
    shares = np.concatenate([labels.take(rows[1000:]).shares()[0][1:], labels.take(rows[1000:]).shares()[1]])
    np.testing.assert_allclose([row.data.value for row in table], shares, atol=0.02)
    np.testing.assert_allclose([row.labelled for row in table], [*labels.shares()[0][1:], *labels.shares()[1]])


def test_agreement_by_hand():
    """The share of samples with what was asked for, in all and by what was asked."""
    labels = Labels((BRIGHT, STRIPE), np.zeros((1, 2), np.int32))
    asked = np.array([[1, 0], [1, 1], [0, 1], [0, 1]])
    predicted = np.array([[1, 0], [0, 1], [0, 2], [0, 1]])
    found = {
        (each.name, each.asked): (each.count, each.share.value)
        for each in audit.measure_agreement(labels, asked, predicted)
    }
    assert found == {
        ("bright", "any"): (4, 0.75), ("bright", "no"): (2, 1.0), ("bright", "yes"): (2, 0.5),
        ("stripe", "any"): (4, 0.75), ("stripe", "none"): (1, 1.0), ("stripe", "middle"): (3, 2 / 3),
    }  # fmt: skip


def test_ask_evenly():
    """Each value is asked for equally often; the others are as in images with that value."""
    labels = Labels((BRIGHT, STRIPE), np.array([[1, 0], [0, 1], [0, 1], [0, 2]], np.int32))
    codes = audit.ask_evenly(labels, np.linspace(0, 1, 600, endpoint=False), 0)
    assert codes[:, 0].mean() == 0.5 and (codes[codes[:, 0] == 1, 1] == 0).all() and 0 not in codes[codes[:, 0] == 0, 1]


def test_reports(tmp_path):
    """The table, its CSV, and a chart that is as high as there are rows."""
    labels = Labels((BRIGHT, STRIPE), np.array([[1, 0], [0, 1], [0, 1], [0, 2]], np.int32))
    rows = audit.compare_shares(labels, labels.codes.repeat(50, axis=0), labels.codes[:2].repeat(100, axis=0))
    agreements = audit.measure_agreement(labels, labels.codes, labels.codes)
    text = audit.format_report(rows, [], agreements, "A run", ["note"])
    assert text.startswith("# A run\n") and text.count("\n|") == 2 + len(rows) + 2 + len(agreements)
    audit.write_csv(tmp_path / "a.csv", rows)
    read = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert [float(row["samples"]) for row in read] == [0.5, 0.5, 0.5, 0.0]
    assert [row["verdict"] for row in read] == [row.verdict for row in rows]
    heights = []
    for part in (rows, rows * 10):
        audit.draw_chart(part, tmp_path / "a.png", "A run")
        heights.append(read_png(tmp_path / "a.png").shape[0])
    assert heights[0] < heights[1]
