"""Names of labelled images: fits the rows of a file of labels to the images of a data set.

labels, ambiguous, count = match(table, ["faces/000001.jpg", "faces/000002.jpg"])
"""

import copy
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from gan.datasets.label_files import Table, remove_image_suffix
from gan.errors import UsageError
from gan.labels import UNKNOWN, Labels

SHOWN = 3  # names in messages
NO_ROW, AMBIGUOUS = -1, -2  # instead of the number of a row, or of a place


class NoMatchError(UsageError):
    """A file of labels has no row for any image."""


class Match(NamedTuple):
    """Labels of images by a table.

    Arguments:
        labels: a row for each image.
        ambiguous: names of images that fit several rows that differ, or a row that images elsewhere fit as well; their
            labels are unknown.
        count: how many images have a row of the table.
    """

    labels: Labels
    ambiguous: list[str]
    count: int


def match(table: Table, names: Sequence[str], prefixed: Sequence[str] | None = None) -> Match:
    """Fits the rows of a table to the names of images.

    An equal name fits first. Then names fit of which one is the end of the other, the row's or the image's, by whole
    parts; of several rows, those that share the most folders with the image. Then names that are equal in these ways
    without their suffixes. Last, names fit that differ in the first folders of both, where the table has the paths of
    another machine: see `_fit_moved`. A row that images in different folders fit equally well belongs to none of them.
    Accented letters are the same whether they are composed or, as in file names of macOS, decomposed.

    Arguments:
        names: of the images.
        prefixed: the same names after that of what they are in, such as the folder that is --data, which the names in a
            table may have; None: as `names`.

    Raises NoMatchError where no name fits.
    """
    prefixed = names if prefixed is None else prefixed
    fit = _Fit(*([_normalize(name) for name in each] for each in (names, prefixed, table.names)), table.labels.codes)
    _fit_whole(fit)
    if fit.waiting:
        stems = fit.remove_suffixes()
        _fit_whole(stems)
        _fit_moved(stems)
    if (fit.found == NO_ROW).all():
        raise NoMatchError(
            f"--labels {table.title}: it has no row for any image: these are named such as {list_some(prefixed)}, and"
            f" its rows such as {list_some(table.names)}."
        )
    fits = fit.found >= 0
    codes = np.full((len(names), table.labels.codes.shape[1]), UNKNOWN, np.int32)
    codes[fits] = table.labels.codes[fit.found[fits]]
    ambiguous = [prefixed[i] for i in np.flatnonzero(fit.found == AMBIGUOUS)]
    return Match(Labels(table.labels.attributes, codes), ambiguous, int(fits.sum()))


class _Fit:
    """Names of images and rows, the row of each image, and the place of the images that each row belongs to.

    A place is a folder with a name without its suffix: 1.jpg and 1.png in one folder are the same picture.
    """

    def __init__(self, names: list[str], prefixed: list[str], rows: list[str], codes: np.ndarray):
        self.names, self.prefixed, self.rows, self.codes = names, prefixed, rows, codes
        numbers = {}
        self.places = np.array([numbers.setdefault(remove_image_suffix(name), len(numbers)) for name in prefixed], int)
        self.found = np.full(len(names), NO_ROW)  # `NO_ROW` while an image waits
        self.owners = np.full(len(rows), NO_ROW)

    def remove_suffixes(self) -> "_Fit":
        """The same with names that have no suffixes; what is found in either is found in both."""
        other = copy.copy(self)
        other.names, other.prefixed, other.rows = (
            [remove_image_suffix(name) for name in names] for names in (self.names, self.prefixed, self.rows)
        )
        return other

    @property
    def waiting(self) -> list[int]:
        """The numbers of the images that have no row yet."""
        return np.flatnonzero(self.found == NO_ROW).tolist()

    def claim(self, find: Callable[[int], int]) -> None:
        """Gives waiting images the rows that `find`, a function (number of an image) -> row, finds for them.

        A row that an image elsewhere has is not given away. One that images in several places claim is `AMBIGUOUS`.
        """
        images = self.waiting
        if not images:
            return
        found, places = np.array([find(i) for i in images]), self.places[images]
        owners = np.where(found >= 0, self.owners[found.clip(0)], NO_ROW)
        found[(found >= 0) & (owners >= 0) & (owners != places)] = NO_ROW
        found[owners == AMBIGUOUS] = AMBIGUOUS
        claimed, claimants = found[found >= 0], places[found >= 0]
        self.owners[claimed] = claimants  # of several, the last
        self.owners[claimed[self.owners[claimed] != claimants]] = AMBIGUOUS
        found[found >= 0] = np.where(self.owners[claimed] == AMBIGUOUS, AMBIGUOUS, claimed)
        self.found[images] = found


def _fit_whole(fit: _Fit) -> None:
    """Fits rows to images where their names are equal, or one is the end of the other."""
    index = _index_rows(enumerate(fit.rows), fit.codes)
    fit.claim(lambda i: index.get(fit.names[i], NO_ROW))
    fit.claim(lambda i: index.get(fit.prefixed[i], NO_ROW))
    wanted = {fit.prefixed[i] for i in fit.waiting}
    deepest = max(map(_count_parts, fit.rows))
    depths = {depth for depth in map(_count_parts, wanted) if depth < deepest}
    ends = ((row, _take_end(name, depth)) for depth in depths for row, name in enumerate(fit.rows))
    longer = _index_rows(((row, end) for row, end in ends if end in wanted), fit.codes)
    fit.claim(lambda i: longer.get(fit.prefixed[i], NO_ROW))
    fit.claim(lambda i: _find_end(fit.prefixed[i], index))


def _fit_moved(fit: _Fit) -> None:
    """Fits rows to images whose names are equal only without the first folders of both.

    Such an end has to be that of one row and of one image. Where other images below the same first folder have a row by
    their whole names, or other rows of the same folder an image, the folders are known, and what is left is not moved.
    """
    # An image without a folder tells nothing of where folders are.
    fitted = [i for i in np.flatnonzero(fit.found >= 0).tolist() if "/" in fit.names[i]]
    tops = {_find_top(fit.names[i]) for i in fitted}
    folders = {_find_folder(fit.rows[fit.found[i]]) for i in fitted}
    images = [i for i in fit.waiting if _find_top(fit.names[i]) not in tops]
    if not images:
        return
    rows = [i for i in np.flatnonzero(fit.owners == NO_ROW).tolist() if _find_folder(fit.rows[i]) not in folders]
    moved = _find_moved(fit, images, rows)
    fit.claim(lambda i: moved.get(i, NO_ROW))


def _find_moved(fit: _Fit, images: list[int], rows: list[int]) -> dict[int, int]:
    """Finds for the number of each image the row, among some, with which it shares the longest end, or `AMBIGUOUS`."""
    index = _index_rows(enumerate(fit.rows), fit.codes)
    waiting, free = set(images), set(rows)
    deepest = min(max(map(_count_parts, names), default=1) for names in (fit.rows, fit.prefixed)) - 1
    moved = {}
    for depth in range(deepest, 0, -1):
        ends = {i: end for i in waiting if (end := _take_end(fit.prefixed[i], depth))}
        wanted = set(ends.values())
        row_ends = [(row, end) for row, name in enumerate(fit.rows) if (end := _take_last(name, depth)) in wanted]
        row_at = _index_single((index[fit.rows[row]], end) for row, end in row_ends)
        places = ((fit.places[i], _take_last(name, depth)) for i, name in enumerate(fit.prefixed))
        place_at = _index_single((place, end) for place, end in places if end in wanted)
        free_ends = {end for row, end in row_ends if row in free}
        for i, end in ends.items():
            if end in row_at:
                waiting.remove(i)  # a shorter end is that of these rows as well
                if end in free_ends:
                    moved[i] = AMBIGUOUS if place_at[end] == AMBIGUOUS else row_at[end]
    return moved


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


def _index_single(keys: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Key -> the one number that it has, or `AMBIGUOUS`; takes pairs of both."""
    index = {}
    for number, key in keys:
        if index.setdefault(key, number) != number:
            index[key] = AMBIGUOUS
    return index


def _find_end(name: str, index: dict[str, int]) -> int:
    """The row of the longest end of a name that there is."""
    rest = "/"
    while name not in index and rest:
        _, rest, name = name.partition("/")
    return index.get(name, NO_ROW)


def _normalize(name: str) -> str:
    """The name with slashes, without those in front, and with composed letters."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./").lstrip("/"))


def _count_parts(name: str) -> int:
    return name.count("/") + 1


def _find_top(name: str) -> str:
    """The first folder of a name."""
    return name.partition("/")[0]


def _find_folder(name: str) -> str:
    """All folders of a name."""
    return name.rpartition("/")[0]


def _take_end(name: str, depth: int) -> str:
    """The last parts of a name, `depth` of them; "" where it has no more than these."""
    parts = name.rsplit("/", depth)
    return "/".join(parts[1:]) if len(parts) > depth else ""


def _take_last(name: str, depth: int) -> str:
    """The last parts of a name, `depth` of them; "" where it has fewer."""
    return "/".join(name.rsplit("/", depth)[-depth:]) if _count_parts(name) >= depth else ""


def list_some(names: Iterable[str]) -> str:
    """Lists the first names, for a message."""
    return ", ".join(list(names)[:SHOWN])
