"""Labels: classes and attributes of images, as whole numbers, as the vectors that networks take, and as words.

    labels = Labels((Attribute("Smiling"), Attribute("hair", ("bob", "long"))), codes)  # codes int32 (n, 2)
    labels.encode(labels.codes[:8])                       # float32 (8, 3): Smiling, and one column for each hair
    requested = labels.parse("Smiling=1,hair=bob")        # {0: 1, 1: 0}
    labels.draw(fractions, requested)                     # codes; the other attributes are as in the data

Rows are the images of a data set. `count_combinations` makes rows of their different combinations, which is what a run
keeps in labels.json.
"""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gan.errors import UsageError, suggest, summarize
from gan.files import atomic_write

FILE = "labels.json"  # in the folder of a run
MOST_COMBINATIONS = 10_000  # whose shares a run keeps; of more, it keeps the labels of so many images, drawn at random
UNKNOWN = -1  # the code of an image that has no label
YES, NO = ("1", "1.0", "yes", "y", "true"), ("0", "0.0", "no", "n", "false", "-1", "-1.0")


@dataclass(frozen=True)
class Attribute:
    """What images are labelled by: yes or no, in one column of a label, or one of several values, in a column each.

    Arguments:
        name: such as "Smiling", or "class".
        values: names of the values; empty: yes (code 1) or no (code 0).
    """

    name: str
    values: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Columns in the vector that networks take."""
        return len(self.values) or 1

    @property
    def codes(self) -> range:
        """The codes of the values."""
        return range(len(self.values) or 2)

    @property
    def value_names(self) -> tuple[str, ...]:
        """The names of the values, by their codes."""
        return self.values or ("no", "yes")

    def describe(self, code: int) -> str:
        """A value in words: "Smiling", "not Smiling", "hair bob"; of classes, the name alone."""
        if not self.values:
            return self.name if code == 1 else f"not {self.name}"
        return self.values[code] if self.name == "class" else f"{self.name} {self.values[code]}"

    def parse(self, value: str) -> int:
        """The code of a value; its case matters only where values differ by it. Raises UsageError, with the values."""
        value = value.strip()
        if value in self.values:
            return self.values.index(value)
        names = {name.lower(): code for code, name in enumerate(self.values)}
        names = names or {**dict.fromkeys(YES, 1), **dict.fromkeys(NO, 0)}
        if value.lower() in names:
            return names[value.lower()]
        if not self.values:
            raise UsageError(f"{self.name}={value}: give {self.name}=1 or {self.name}=0.")
        hint = suggest(value, self.values)
        raise UsageError(f"{self.name}={value}: there is no such value.{hint} Give {_list(self.values)}.")


@dataclass(frozen=True)
class Labels:
    """Labels of images, or of groups of images that have the same ones.

    Arguments:
        attributes: what images are labelled by.
        codes: int32 (n, len(attributes)), a row an image; `UNKNOWN` where it has no label.
        counts: int64 (n,), how many images have the labels of a row; None: one.
    """

    attributes: tuple[Attribute, ...]
    codes: np.ndarray
    counts: np.ndarray | None = None

    @property
    def widths(self) -> list[int]:
        """The number of columns of each attribute in the vector that networks take."""
        return [attribute.width for attribute in self.attributes]

    @property
    def width(self) -> int:
        """The length of the vector that networks take."""
        return sum(self.widths)

    @property
    def columns(self) -> list[str]:
        """The names of that vector's columns, as `parse` takes them: "Smiling", "hair=bob"."""
        return [
            name
            for attribute in self.attributes
            for name in ([f"{attribute.name}={value}" for value in attribute.values] or [attribute.name])
        ]

    @property
    def weights(self) -> np.ndarray:
        """How many images have the labels of each row, int64 (n,)."""
        return np.ones(len(self.codes), np.int64) if self.counts is None else self.counts

    @property
    def known(self) -> np.ndarray:
        """Which rows have every label, bool (n,)."""
        return (self.codes >= 0).all(axis=1)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the attributes, their values, and all codes."""
        digest = hashlib.blake2b(repr(self.attributes).encode(), digest_size=8)
        digest.update(np.ascontiguousarray(self.codes, "<i4").tobytes())
        return digest.hexdigest()

    def take(self, rows: np.ndarray) -> "Labels":
        """The labels of some images."""
        return dataclasses.replace(
            self, codes=self.codes[rows], counts=None if self.counts is None else self.counts[rows]
        )

    def find(self, name: str) -> int:
        """The number of the attribute of a name, in any case. Raises UsageError where there is none."""
        names, wanted = [attribute.name.lower() for attribute in self.attributes], name.strip().lower()
        if wanted == "label" and wanted not in names:
            wanted = "class"  # as a column of a CSV called label is
        if wanted not in names:
            raise UsageError(self._no_attribute(name))
        return names.index(wanted)

    def select(self, names: Sequence[str]) -> "Labels":
        """The attributes of some names, in that order. Raises UsageError for others."""
        numbers = [self.find(name) for name in names]
        if len(set(numbers)) < len(numbers):
            raise UsageError(f"{', '.join(names)}: an attribute is named twice.")
        return dataclasses.replace(
            self, attributes=tuple(self.attributes[i] for i in numbers), codes=self.codes[:, numbers]
        )

    def is_like(self, other: "Labels", same_counts: bool = True) -> bool:
        """Whether the attributes and values are the same and, with `same_counts`, the rows and their counts."""
        same = self.attributes == other.attributes
        rows = [np.column_stack([labels.codes, labels.weights]) for labels in (self, other)]
        return same and (not same_counts or np.array_equal(*rows))

    @functools.cached_property
    def shares(self) -> list[np.ndarray]:
        """For each attribute the share of each value, among the images that have a label."""
        result = []
        for attribute, codes in zip(self.attributes, self.codes.T, strict=True):
            counts = np.bincount(codes[codes >= 0], self.weights[codes >= 0], minlength=len(attribute.codes))
            result.append(counts / max(1, counts.sum()))
        return result

    def describe_shares(self, most: int = 10) -> str:
        """The attributes with the shares of their values, in words, of the first `most`."""
        words = []
        for attribute, shares in zip(self.attributes[:most], self.shares, strict=False):
            if not attribute.values:
                words.append(f"{attribute.name} {shares[1]:.1%}")
            elif len(attribute.values) <= most:
                values = ", ".join(
                    f"{value} {share:.1%}" for value, share in zip(attribute.values, shares, strict=True)
                )
                words.append(f"{attribute.name} ({values})")
            else:
                words.append(
                    f"{attribute.name} (of {len(attribute.values):,} values, {shares.min():.1%} to {shares.max():.1%})"
                )
        rest = len(self.attributes) - most
        return ", ".join([*words, f"and {rest} more"] if rest > 0 else words)

    def encode(self, codes: np.ndarray) -> np.ndarray:
        """The vectors that networks take, float32 (n, width), for codes (n, len(attributes)).

        A column is 1 where its attribute holds, or has its value, and 0 elsewhere; an unknown label is the mean one.
        """
        codes, parts = np.asarray(codes), []
        for i, attribute in enumerate(self.attributes):
            column = codes[:, i]
            kinds = np.arange(len(attribute.values)) if attribute.values else np.ones(1, int)
            part = (column[:, None] == kinds).astype(np.float32)
            if (column < 0).any():
                share = self.shares[i]
                part[column < 0] = share if attribute.values else share[1:]
            parts.append(part)
        return np.concatenate(parts, axis=1)

    def count_combinations(self, seed: int = 0) -> "Labels":
        """The different combinations of labels, the most frequent first, without images that lack one.

        Where there are more than `MOST_COMBINATIONS`, those of as many images, chosen at random by `seed`.
        """
        known = self.take(np.flatnonzero(self.known))
        codes, inverse = np.unique(known.codes, axis=0, return_inverse=True)
        if len(codes) > MOST_COMBINATIONS:
            some = np.random.default_rng([seed, 5]).choice(len(known.codes), MOST_COMBINATIONS, replace=False)
            known = known.take(np.sort(some))
            codes, inverse = np.unique(known.codes, axis=0, return_inverse=True)
        counts = np.bincount(inverse.reshape(-1), known.weights, minlength=len(codes)).astype(np.int64)
        order = np.argsort(-counts, kind="stable")
        return Labels(self.attributes, codes[order], counts[order])

    def parse(self, text: str) -> dict[int, int]:
        """The numbers and codes of attributes that a text names: "Smiling=1,hair=bob", or values alone, "bob".

        Raises UsageError for what there is not, with what there is.
        """
        requested = {}
        for part in self._split(text):
            name, equals, value = part.partition("=")
            if equals:
                number = self.find(name)
                code = self.attributes[number].parse(value)
            else:
                number, code = self._find_value(part)
            if requested.setdefault(number, code) != code:
                raise UsageError(f"{text}: {self.attributes[number].name} is given twice.")
        return requested

    def _split(self, text: str) -> list[str]:
        """Splits a text at commas, except at those within a value."""
        values = sorted((value for each in self.attributes for value in each.values if "," in value), key=len)
        pattern = "|".join([*map(re.escape, reversed(values)), "[^,]"])
        return [part.strip() for part in re.findall(f"(?:{pattern})+", text, re.IGNORECASE) if part.strip()]

    def _find_value(self, text: str) -> tuple[int, int]:
        """The number and code that one value means, or the name of an attribute that is yes or no."""
        named = [
            (name, i, code)
            for i, attribute in enumerate(self.attributes)
            for name, code in ([(value, code) for code, value in enumerate(attribute.values)] or [(attribute.name, 1)])
        ]
        found = [(i, code) for name, i, code in named if name == text]
        found = found or [(i, code) for name, i, code in named if name.lower() == text.lower()]
        if len(found) == 1:
            return found[0]
        if found:
            names = " or ".join(f"{self.attributes[i].name}={text}" for i, _ in found)
            raise UsageError(f"{text} is a value of several attributes: give {names}.")
        if len(self.attributes) == 1 and self.attributes[0].values:
            return 0, self.attributes[0].parse(text)
        raise UsageError(self._no_attribute(text))

    def _no_attribute(self, name: str) -> str:
        names = [attribute.name for attribute in self.attributes]
        return f"{name}: there is no such attribute.{suggest(name, names)} There are {_list(names)}."

    def draw(self, fractions: np.ndarray, requested: dict[int, int] | None = None) -> np.ndarray:
        """Draws labels as the images have them, codes int32 (n, len(attributes)), for uniform fractions in [0, 1).

        Attributes in `requested` have the codes that it gives; the others are drawn from the images that have these
        codes, or from all where there are none.
        """
        requested, known = requested or {}, self.take(np.flatnonzero(self.known))
        fits = np.all([known.codes[:, i] == code for i, code in requested.items()], axis=0) if requested else None
        if fits is not None and fits.any():
            known = known.take(np.flatnonzero(fits))
        ends = np.cumsum(known.weights)
        codes = known.codes[np.searchsorted(ends, np.asarray(fractions) * ends[-1], side="right")].copy()
        for i, code in requested.items():
            codes[:, i] = code
        return codes

    def describe(self, codes: np.ndarray) -> str:
        """One row of codes in words: "Male, Smiling", "hair long"; "none of these" where no attribute holds."""
        words = [
            attribute.describe(code)
            for attribute, code in zip(self.attributes, codes, strict=True)
            if attribute.values or code == 1
        ]
        return ", ".join(words) or "none of these"

    def save(self, path: Path) -> None:
        """Writes these labels as JSON."""
        content = {
            "attributes": [dataclasses.asdict(attribute) for attribute in self.attributes],
            "codes": self.codes.tolist(),
            "counts": self.weights.tolist(),
        }
        with atomic_write(path) as file:
            file.write(json.dumps(content).encode())


def load_labels(path: Path) -> Labels | None:
    """Loads labels from JSON; None where there is no such file. Raises UsageError where it is damaged."""
    try:
        content = json.loads(path.read_bytes())
        attributes = tuple(
            Attribute(str(each["name"]), tuple(map(str, each["values"]))) for each in content["attributes"]
        )
        codes, counts = np.array(content["codes"], np.int32), np.array(content["counts"], np.int64)
        limits = [len(attribute.codes) for attribute in attributes]
        if codes.shape != (len(counts), len(attributes)) or not len(counts) or (counts < 1).any():
            raise ValueError(f"codes {codes.shape} and counts {counts.shape} do not fit")
        if (codes < 0).any() or (codes >= limits).any():
            raise ValueError("a code has no value")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}).") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UsageError(f"{path} is damaged ({summarize(error)}).") from error
    return Labels(attributes, codes, counts)


def balance(codes: np.ndarray, rows: np.ndarray, seed: int) -> np.ndarray:
    """Repeats rows, the numbers of images, until each combination of their codes is as frequent as the most frequent.

    Images that lack a label are of no combination, and stay as they are.

    Arguments:
        codes: int32 (n, attributes), of all images.
        seed: decides which images are repeated once more than others.
    """
    known = (codes[rows] >= 0).all(axis=1)
    rows, others = rows[known], rows[~known]
    _, group, counts = np.unique(codes[rows], axis=0, return_inverse=True, return_counts=True)
    groups = np.split(rows[np.argsort(group.reshape(-1), kind="stable")], np.cumsum(counts)[:-1])
    most, random = counts.max(initial=0), np.random.default_rng([seed, 6])
    return np.sort(np.concatenate([others, *(np.resize(random.permutation(each), most) for each in groups)]))


def _list(names: Sequence[str], most: int = 50) -> str:
    shown = ", ".join(names[:most])
    return f"{shown}, and {len(names) - most:,} more" if len(names) > most else shown
