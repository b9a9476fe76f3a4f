"""Which rows may stand in one table, told of rows written by hand."""

import pytest

from gan.comparison import comparability


def rows(*changes):
    """Rows as far as they tell how they were measured: of photographs, by default."""
    return [row(str(number), **change) for number, change in enumerate(changes)]


def row(run, seed=0, data="photos", faces="300 of photos (a)", size=32, digest="a", by="", **protocol):
    """The run of one of them."""
    reference = {"data": "held out", "faces": 30, "digest": digest}
    protocol = {
        "size": size,
        "reference": reference,
        "face rate": {"classifier": by},
        "weights": "averaged",
        **protocol,
    }
    protocol = {"memorisation": {"mirrored too": True}, **protocol}
    return {"run": run, "seed": seed, "config": {"data": data, "faces": faces}, "protocol": protocol}


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (rows({}, {"digest": "b", "size": 28, "weights": "raw", "memorisation": {"mirrored too": False}}), []),
        (rows({"by": "b"}, {"size": 28, "by": "c"}), []),
        (rows({"by": "b"}, {"by": "c"}), ["0 and 1: face rate classifier: b and c"]),
        (rows({}, {"seed": 1}), []),
        (rows({}, {"crop": "108"}, {}), ["0 and 1: crop: None and 108"]),
        (rows({}, {"digest": "b"}), ["0 and 1: reference digest: a and b"]),
        (
            rows({}, {"size": 28, "digest": "b"}, {"size": 28, "digest": "c"}),
            ["1 and 2: reference digest: b and c"],
        ),
        (
            rows({}, {"size": 28, "digest": "b", "faces": "301 of photos (b)"}),
            ["0 and 1: trained on: 300 of photos (a) and 301 of photos (b)"],
        ),
        (
            rows({}, {"digest": "b", "faces": "301 of photos (b)", "seed": 1}),
            ["0 and 1: trained on: 300 of photos (a) and 301 of photos (b)"],
        ),
        (
            rows(
                {"data": "avatars"},
                {"data": "avatars", "seed": 1, "faces": "b", "digest": "b"},
                {"data": "avatars", "seed": 1, "faces": "c", "digest": "c"},
            ),
            ["1 and 2: trained on: b and c"],
        ),
    ],
)
def test_measured_differently(given, lines):
    """How, whoever it is; faces by their content at any size, at one size by what was held out; avatars by seed."""
    assert comparability.find_incomparable(given) == lines
