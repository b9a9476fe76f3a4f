"""Labels: codes, vectors and words."""

import numpy as np
import pytest

from gan.errors import UsageError
from gan.labels import Attribute, Labels, balance, load_labels

SMILE, HAIR = Attribute("Smiling"), Attribute("hair", ("bob", "long", "bald"))
CODES = np.array([[1, 0], [0, 0], [1, 2], [1, 0]], np.int32)
LABELS = Labels((SMILE, HAIR), CODES)


def test_encode():
    """One column for yes or no, one for each value; an unknown label is the mean of the known ones."""
    assert LABELS.width == 4 and LABELS.columns == ["Smiling", "hair=bob", "hair=long", "hair=bald"]
    vectors = LABELS.encode(CODES[:3])
    assert vectors.dtype == np.float32 and vectors.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 1]]
    np.testing.assert_allclose(LABELS.encode(np.array([[-1, -1]])), [[0.75, 0.75, 0, 0.25]])


def test_shares_and_combinations():
    """Shares are of the images that have a label; combinations are sorted by their frequency."""
    labels = Labels((SMILE, HAIR), np.concatenate([CODES, [[-1, 1]]]).astype(np.int32))
    np.testing.assert_allclose(labels.shares[0], [0.25, 0.75])
    np.testing.assert_allclose(labels.shares[1], [0.6, 0.2, 0.2])
    found = labels.count_combinations()
    assert found.codes.tolist() == [[1, 0], [0, 0], [1, 2]] and found.counts.tolist() == [2, 1, 1]
    assert labels.known.tolist() == [True] * 4 + [False]
    np.testing.assert_allclose(found.shares[0], [0.25, 0.75])


def test_many_combinations(monkeypatch):
    """Of more combinations than are kept, a random part of the images is."""
    monkeypatch.setattr("gan.labels.MOST_COMBINATIONS", 50)
    codes = np.arange(400, dtype=np.int32).reshape(-1, 1)
    labels = Labels((Attribute("class", tuple(map(str, range(400)))),), codes)
    found = labels.count_combinations(seed=1)
    assert found.counts.sum() == 50 and found.is_like(labels.count_combinations(seed=1))
    assert not found.is_like(labels.count_combinations(seed=2)) and found.is_like(labels, same_counts=False)


@pytest.mark.parametrize(
    ("text", "requested"),
    [
        ("Smiling=1", {0: 1}), ("smiling=No, hair=LONG", {0: 0, 1: 1}), ("bald", {1: 2}), ("Smiling,bob", {0: 1, 1: 0}),
        ("", {}), ("hair=bob,hair=bob", {1: 0}),
    ],
)  # fmt: skip
def test_parse(text, requested):
    """Attributes and values, or values alone, whatever their case."""
    assert LABELS.parse(text) == requested


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Smilng=1", "Smiling"),
        ("hair=bobb", "bob"),
        ("Smiling=2", "Smiling=1"),
        ("nose", "hair"),
        ("bob,long", "twice"),
    ],
)
def test_parse_what_there_is_not(text, named):
    """A wrong name or value raises UsageError, with the nearest one or all."""
    with pytest.raises(UsageError, match=named):
        LABELS.parse(text)


def test_values_with_commas_and_capitals():
    """A comma within a value does not end it; values that differ only in their case are told apart."""
    hair = Attribute("hair", ("brown", "dark, brown", "Dark", "dark"))
    labels = Labels((hair, SMILE), np.zeros((1, 2), np.int32))
    requests = ("Dark, brown", "hair=dark, brown,Smiling=1", "brown,Smiling", "Dark", "dark", "hair=Dark", "hair=DARK")
    assert [labels.parse(requested) for requested in requests] == [
        *({0: 1}, {0: 1, 1: 1}, {0: 0, 1: 1}, {0: 2}, {0: 3}, {0: 2}, {0: 3})
    ]


def test_a_value_of_two_attributes():
    """A value that two attributes have must be given with its attribute."""
    labels = Labels((HAIR, Attribute("beard", ("none", "long"))), np.zeros((1, 2), np.int32))
    with pytest.raises(UsageError, match="hair=long or beard=long"):
        labels.parse("long")


def test_values_that_differ_by_case():
    """Of values such as letters, each is found by its own case."""
    labels = Labels((Attribute("class", ("A", "B", "a")),), np.zeros((1, 1), np.int32))
    for text, code in (("A", 0), ("class=A", 0), ("a", 2), ("class=a", 2), ("b", 1), ("class=b", 1)):
        assert labels.parse(text) == {0: code}


def test_draw():
    """Labels are drawn as often as the images have them; what is not requested, as where the rest is true."""
    fractions = (np.arange(4000) + 0.5) / 4000
    drawn = LABELS.draw(fractions)
    assert drawn.shape == (4000, 2) and drawn.dtype == np.int32
    kinds, counts = np.unique(drawn, axis=0, return_counts=True)
    assert kinds.tolist() == [[0, 0], [1, 0], [1, 2]] and counts.tolist() == [1000, 2000, 1000]
    assert np.unique(LABELS.draw(fractions, {0: 0}), axis=0).tolist() == [[0, 0]]
    bald = LABELS.draw(fractions, {0: 0, 1: 2})  # which no image is: the rest is as in all
    assert np.unique(bald, axis=0).tolist() == [[0, 2]]


def test_balance():
    """Every combination of the rows becomes as frequent as the most frequent, by whole repetitions and a rest.

    Images that lack a label are drawn once.
    """
    rows = np.array([0, 1, 2, 3])
    balanced = balance(CODES, rows, seed=0)
    assert balanced.tolist() == [0, 1, 1, 2, 2, 3]
    _, counts = np.unique(CODES[balanced], axis=0, return_counts=True)
    assert counts.tolist() == [2, 2, 2]
    np.testing.assert_array_equal(balanced, balance(CODES, rows, seed=0))
    codes = np.array([[0, 0], [0, 0], [1, 0], [-1, 0], [-1, -1], [-1, -1], [-1, -1]], np.int32)
    assert balance(codes, np.arange(7), seed=0).tolist() == [0, 1, 2, 2, 3, 4, 5, 6]
    assert balance(codes, np.array([3, 5]), seed=0).tolist() == [3, 5]


def test_save(tmp_path):
    """labels.json reads back the same; a damaged one raises UsageError, and none is None."""
    path = tmp_path / "labels.json"
    assert load_labels(path) is None
    saved = LABELS.count_combinations()
    saved.save(path)
    assert load_labels(path).is_like(saved) and load_labels(path).codes.dtype == np.int32
    good = path.read_text()
    for bad in (
        "",
        "[]",
        good.replace("2", "7"),
        good[:-5],
        good.replace('"counts"', '"count"'),
        good.replace("[1, 0]", "[1]"),
    ):
        path.write_text(bad)
        with pytest.raises(UsageError):
            load_labels(path)


def test_words():
    """Labels in words name what holds."""
    assert LABELS.describe([1, 0]) == "Smiling, hair bob" and LABELS.describe([0, 2]) == "hair bald"
    assert Labels((SMILE,), CODES[:, :1]).describe([0]) == "none of these"
    assert LABELS.select(["HAIR"]).attributes == (HAIR,)
    with pytest.raises(UsageError):
        LABELS.select(["hair", "hair"])


def test_the_class_by_the_name_of_its_column():
    """A column `label` of a CSV is the class, which that name finds, unless an attribute has it."""
    classes = Labels((SMILE, Attribute("class", ("anna", "bert"))), CODES % 2)
    assert classes.find("label") == classes.find("Class") == 1
    named = Labels((Attribute("label", ("a", "b")), Attribute("class", ("anna", "bert"))), CODES % 2)
    assert named.find("label") == 0
