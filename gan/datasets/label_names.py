"""Names of labelled images: fits the rows of a file of labels to the images of a data set.

labels, ambiguous = match(table, ["faces/000001.jpg", "faces/000002.jpg"])
"""

import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from gan.datasets.label_files import Table, remove_suffix
from gan.errors import UsageError
from gan.labels import UNKNOWN, Labels

SHOWN = 3  # names in messages
NO_ROW, AMBIGUOUS = -1, -2  # instead of the number of a row


class NoMatchError(UsageError):
    """A file of labels has no row for any image."""


def match(table: Table, names: Sequence[str]) -> tuple[Labels, list[str]]:
    """Fits the rows of a table to the names of images.

    An equal name fits first. Then names fit that are equal without some of the first folders of either, and then names
    that are equal in these ways without their suffixes. Of several rows, those that share the most folders with the
    name fit. Accented letters are the same whether they are composed or, as in file names of macOS, decomposed.

    Returns:
        Labels with a row for each name, and the names that fit several rows that differ, which are unknown.

    Raises UsageError where no name fits.
    """
    rows = np.full(len(names), NO_ROW)
    wanted, given = (
        [unicodedata.normalize("NFC", name.replace("\\", "/")) for name in each] for each in (names, table.names)
    )
    for shorten in (lambda name: name, remove_suffix):
        waiting = np.flatnonzero(rows == NO_ROW)
        if len(waiting):
            ends = [shorten(wanted[i]) for i in waiting]
            rows[waiting] = _match_ends(ends, [shorten(name) for name in given], table.labels.codes)
    if (rows == NO_ROW).all():
        raise NoMatchError(
            f"--labels {table.title}: it has no row for any image: these are named such as {list_some(names)}, and its"
            f" rows such as {list_some(table.names)}."
        )
    codes = np.full((len(names), table.labels.codes.shape[1]), UNKNOWN, np.int32)
    codes[rows >= 0] = table.labels.codes[rows[rows >= 0]]
    return Labels(table.labels.attributes, codes), [names[i] for i in np.flatnonzero(rows == AMBIGUOUS)]


def _match_ends(wanted: list[str], names: list[str], codes: np.ndarray) -> list[int]:
    """The number of the row, among those of `names`, for each wanted name; `NO_ROW`, or `AMBIGUOUS`."""
    index = _index_rows(enumerate(names), codes)
    found = [_find_end(name, index) for name in wanted]
    # Without leading folders of the table: by the ends of its names that have so many parts.
    deepest = min(max((name.count("/") for name in each), default=0) + more for each, more in ((wanted, 1), (names, 0)))
    for depth in range(deepest, 0, -1):
        if waiting := [i for i, row in enumerate(found) if row == NO_ROW]:
            index = _index_rows(((row, _take_end(name, depth)) for row, name in enumerate(names)), codes)
            for i in waiting:
                name = wanted[i]
                found[i] = index.get(name if name.count("/") == depth - 1 else _take_end(name, depth), NO_ROW)
    return found


def _index_rows(keys: Iterable[tuple[int, str]], codes: np.ndarray) -> dict[str, int]:
    """Key -> the number of its row, or `AMBIGUOUS` where several rows differ; takes pairs of both."""
    index = {}
    for row, key in keys:
        if not key:
            continue  # a row without a name, as spreadsheets write them at the end, or a name with fewer parts
        first = index.setdefault(key, row)
        if first not in (row, AMBIGUOUS) and not np.array_equal(codes[first], codes[row]):
            index[key] = AMBIGUOUS
    return index


def _find_end(name: str, index: dict[str, int]) -> int:
    """The row of the longest end of a name that there is."""
    rest = "/"
    while name not in index and rest:
        _, rest, name = name.partition("/")
    return index.get(name, NO_ROW)


def _take_end(name: str, depth: int) -> str:
    """The last parts of a name, `depth` of them; "" where it has no more than these."""
    parts = name.rsplit("/", depth)
    return "/".join(parts[1:]) if len(parts) > depth else ""


def list_some(names: Iterable[str]) -> str:
    """Lists the first names, for a message."""
    return ", ".join(list(names)[:SHOWN])
