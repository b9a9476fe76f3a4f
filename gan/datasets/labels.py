"""Labels of a data set: finds them in the data, beside it, in class folders or in a file, and fits them to its images.

    labels, where = find_labels([source], ["photos.zip"], "auto", ["Smiling", "Male"])
    table = read_table(Path("list_attr_celeba.txt").read_bytes(), "list_attr_celeba.txt")  # a CSV or dataset.json, too

`find_labels` returns a `gan.labels.Labels` with a row for each image of the sources; what has no label has the code -1.
"""

import csv
import io
import json
import os
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.datasets.joined import add_prefix
from gan.datasets.source import SUFFIXES, Source, summarize_skipped
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.labels import NO, UNKNOWN, YES, Attribute, Labels

# Beside the data, or within a folder, in this order; after these a CSV that is named like the data.
FILES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "dataset.json", "labels.csv", "attributes.csv")
# Names of the column of file names, the likeliest first: beside one of the others, "name" may be that of a person.
IMAGE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path", "name")
CLASS_COLUMNS = ("class", "label")
EMPTY = ("nan", "null", "n/a")  # cells that spreadsheets and programs write where there is no value
LARGEST = 1 << 30  # bytes of a label file
MOST_VALUES = 0.5  # share of the rows that may have values of their own: a column of more is no label, but a caption
SHOWN = 3  # names in messages
LARGEST_CLASS = 2**53  # up to which floats are exact
NO_ROW, AMBIGUOUS = -1, -2  # instead of the number of a row


class Table(NamedTuple):
    """Labels by the names of images, as a file has them.

    Arguments:
        title: the name of the file.
        names: of the images, as they are there.
        labels: a row for each name.
        unusable: columns that are no labels, and why.
    """

    title: str
    names: list[str]
    labels: Labels
    unusable: list[tuple[str, str]]


class Found(NamedTuple):
    """Labels of the images of a source, where they come from in words, and columns that are no labels, and why."""

    labels: Labels
    where: str
    unusable: list[tuple[str, str]]


def find_labels(
    sources: Sequence[Source], data: Sequence[str], wanted: str, attributes: Sequence[str] = ()
) -> tuple[Labels, str]:
    """Finds the labels of the images of all sources, one after the other, and where they come from, in words.

    An attribute that a source lacks is unknown in its images.

    Arguments:
        data: the values of --data that the sources were opened from.
        wanted: the value of --labels: "auto", "folders" or a file, which may have the images of any of the sources.
        attributes: the names of those to use; empty: all.

    Raises UsageError where there are none, or none that fit.
    """
    if wanted in ("auto", "folders"):
        found = [_find_own(source, each, wanted) for source, each in zip(sources, data, strict=True)]
    else:
        path = expand_path(wanted)
        if not path.is_file():
            raise UsageError(f"--labels {wanted}: there is no such file; give a file, folders, auto or none.")
        found = [_match_file(_read_file(path), path.name, sources)]
    where = " and ".join(dict.fromkeys(_describe(each, attributes) for each in found))
    if not attributes:
        return join_labels([each.labels for each in found]), where
    known = {attribute.name.lower(): attribute for each in found for attribute in each.labels.attributes}
    if "label" not in known:  # a column of this name is the class
        attributes = ["class" if name.lower() == "label" else name for name in attributes]
    unusable = {name.lower(): reason for each in found for name, reason in each.unusable}
    for name in attributes:
        if name.lower() in unusable and name.lower() not in known:
            raise UsageError(
                f"--attributes {','.join(attributes)}: {name} is no label, as it has {unusable[name.lower()]}."
            )
    try:
        Labels(tuple(known.values()), np.zeros((0, len(known)), np.int32)).select(attributes)
        return join_labels([_select_known(each.labels, attributes) for each in found]).select(attributes), where
    except UsageError as error:
        raise UsageError(f"--attributes {','.join(attributes)}: {error}") from None


class NoMatchError(UsageError):
    """A file of labels has no row for any image."""


def _find_own(source: Source, data: str, wanted: str) -> Found:
    """Finds the labels that a source has with it."""
    if wanted == "auto" and source.labels:
        return Found(source.labels(), f"{source.title} itself", [])
    others = []  # beside the data there may be files of other data
    for content, where, is_beside in find_files(data) if wanted == "auto" else ():
        try:
            return _match_file(content, where, [source])
        except NoMatchError:
            if not is_beside:
                raise
            others.append(where)
    no_match = f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} no row for any of its images"
    if (labels := label_folders(source.names)) is not None:
        return Found(labels, f"class folders ({no_match})" if others else "class folders", [])
    named = f"named such as {_some(source.names)}"
    if wanted == "folders":
        raise UsageError(
            f"--labels folders: the images of {source.title} are not in two or more class folders, but {named}."
        )
    raise UsageError(
        f"--labels auto: {source.title} has none. Looked for arrays `labels` or `y` in an .npz file, for"
        f" {', '.join(FILES)} in a folder or zip of it, or beside it, and for class folders; its images are {named}."
        f"{f' {no_match}.' if others else ''} --labels FILE names another file."
    )


def _select_known(labels: Labels, names: Sequence[str]) -> Labels:
    """Selects those attributes of some names that there are."""
    known = {attribute.name.lower() for attribute in labels.attributes}
    return labels.select([name for name in names if name.lower() in known])


def _describe(found: Found, attributes: Sequence[str]) -> str:
    """Where labels come from and, unless some are asked for, which columns are no labels."""
    if attributes or not found.unusable:
        return found.where
    return f"{found.where} without {summarize_skipped(found.unusable)}"


def join_labels(parts: list[Labels]) -> Labels:
    """Joins the labels of several sources: attributes by name, in any case, and their values, which are then sorted.

    An attribute that a source lacks is unknown in its images. Raises UsageError where one is yes or no in one source,
    and has values in another.
    """
    found = {}
    for labels in parts:
        for attribute in labels.attributes:
            known = found.setdefault(attribute.name.lower(), attribute)
            if bool(known.values) != bool(attribute.values):
                raise UsageError(f"{attribute.name} is yes or no in one of the data sets, and has values in another.")
            if known.values != attribute.values:
                values = tuple(sorted({*known.values, *attribute.values}))
                found[attribute.name.lower()] = Attribute(known.name, values)
    columns = []
    for name, joined in found.items():
        column = []
        for labels in parts:
            number = next((i for i, each in enumerate(labels.attributes) if each.name.lower() == name), None)
            if number is None:
                column.append(np.full(len(labels.codes), UNKNOWN, np.int32))
                continue
            own = labels.attributes[number].values
            new = np.array([joined.values.index(value) for value in own] or [0, 1], np.int32)
            codes = labels.codes[:, number]
            column.append(np.where(codes < 0, UNKNOWN, new[codes]).astype(np.int32))
        columns.append(np.concatenate(column))
    return Labels(tuple(found.values()), np.stack(columns, axis=1))


# Sources of labels


def label_folders(names: Sequence[str]) -> Labels | None:
    """Labels images by the first folder of their names in which they differ; None where that is fewer than two.

    An image beside the class folders has no label.
    """
    folders = [name.replace("\\", "/").split("/")[:-1] for name in names]
    inner = [folder for folder in folders if folder] or [[]]
    first, last = min(inner), max(inner)  # between which all others are
    shared = next((i for i, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), len(first))
    classes = [folder[shared] if len(folder) > shared else "" for folder in folders]
    values = sorted(set(classes) - {""})
    if len(values) < 2:
        return None
    codes = {value: code for code, value in enumerate(values)} | {"": UNKNOWN}
    return Labels((Attribute("class", tuple(values)),), np.array([[codes[each]] for each in classes], np.int32))


def label_array(array: np.ndarray) -> Labels:
    """Labels of an array: classes (n,) or (n, 1), numbers or strings, "" for none; one-hot or yes and no (n, k).

    Raises ValueError for others.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "biufUS":
        raise ValueError(f"{array.dtype} {array.shape} are no labels: give classes (n,), or 0 and 1 (n, k)")
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
        if not (np.abs(array) < LARGEST_CLASS).all() or (array != np.round(array)).any():
            raise ValueError("they are not whole numbers")
        array = array.astype(np.int64)
    if array.ndim == 1:
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8", "replace")
        values, codes = np.unique(array, return_inverse=True)
        if len(values) > max(2, MOST_VALUES * len(array)):
            raise ValueError(f"{len(values):,} different values of {len(array):,} images are no classes")
        names, codes = [str(value) for value in values.tolist()], codes.reshape(-1, 1).astype(np.int32)
        if "" in names:  # no label; it is the first
            names, codes = names[1:], np.where(codes > 0, codes - 1, UNKNOWN).astype(np.int32)
        return Labels((Attribute("class", tuple(names)),), codes)
    if array.dtype.kind in "US" or not np.isin(array, (-1, 0, 1)).all():
        raise ValueError("they are not all 0 and 1")
    positive = array == 1
    if (positive.sum(axis=1) == 1).all():
        values = tuple(map(str, range(array.shape[1])))
        return Labels((Attribute("class", values),), positive.argmax(axis=1).reshape(-1, 1).astype(np.int32))
    return Labels(tuple(Attribute(str(i)) for i in range(array.shape[1])), positive.astype(np.int32))


def find_files(data: str) -> Iterator[tuple[bytes, str, bool]]:
    """Yields the content of files of labels in a folder or a zip, or beside it, where they are, and if it is beside it.

    Raises UsageError where one cannot be read.
    """
    path = expand_path(data)
    if path.is_file() and zipfile.is_zipfile(path) and (found := _find_in_zip(path)):
        yield *found, False
    names = (*FILES, *dict.fromkeys(f"{stem}.csv" for stem in (path.stem, path.name.partition(".")[0])))
    places = [(path, f"in {path.name}")] if path.is_dir() else []
    for folder, where in [*places, (path.parent, "beside the data")] if path.exists() else []:
        for name in names:
            if os.path.isfile(folder / name) and folder / name != path:
                yield _read_file(folder / name), f"{name} {where}", folder != path


def _find_in_zip(path: Path) -> tuple[bytes, str] | None:
    try:
        archive = zipfile.ZipFile(path)
    except Exception:  # a damaged zip raises nearly every kind; that of its images tells of the damage
        return None
    with archive:
        entries = [entry for entry in archive.infolist() if entry.filename.rpartition("/")[2] in FILES]
        entries = [entry for entry in entries if "__MACOSX" not in entry.filename]
        if not entries:
            return None
        first = min(entries, key=lambda entry: (entry.filename.count("/"), FILES.index(Path(entry.filename).name)))
        title = f"{path.name}/{first.filename}"
        if first.file_size > LARGEST:
            raise UsageError(f"--labels {title}: more than {LARGEST >> 20:,} MB.")
        try:
            return archive.read(first), title
        except Exception as error:  # as above; it may have a password as well
            raise UsageError(f"--labels {title}: it cannot be read ({summarize(error)}).") from error


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"--labels {path}: more than {LARGEST >> 20:,} MB.")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--labels {path}: it cannot be read ({error.strerror or error}).") from error


def _match_file(content: bytes, title: str, sources: Sequence[Source]) -> Found:
    """The labels of a file that fit the images of some sources, and the file in words."""
    table = read_table(content, title)
    # A table may have the name of the folder that is --data, which names in it do not have.
    labels, ambiguous = match(table, [name for source in sources for name in add_prefix(source, source.title).names])
    where = table.title
    if ambiguous:
        where += f", in which {len(ambiguous):,} names, such as {ambiguous[0]}, have several rows that differ"
    return Found(labels, where, table.unusable)


# Files of labels


def read_table(content: bytes, title: str) -> Table:
    """Reads CelebA's list of attributes, a CSV with a header, or StyleGAN's dataset.json, which the content tells.

    Raises UsageError, with the number of the line, for what is none of these.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = ""
    if not text.strip() or "\0" in text:
        raise UsageError(f"--labels {title}: it is {'empty' if not content.strip() else 'not a text file in UTF-8'}.")
    if text.lstrip().startswith(("{", "[")):
        return read_dataset_json(text, title)
    first, _, rest = text.partition("\n")
    if first.strip().isdecimal() and rest.strip():
        return read_celeba(text, title)
    return read_csv(text, title)


def read_celeba(text: str, title: str) -> Table:
    """Reads list_attr_celeba.txt: a count, the names of attributes, and rows of a file name and 1 or -1 for each.

    CelebA, arXiv:1411.7766. The count is not that of the rows where somebody has cut the list.
    """
    lines = text.splitlines()
    header = lines[1].split()
    _require_names(header, title)
    rows = [(number, line.split()) for number, line in enumerate(lines[2:], start=3) if line.strip()]
    for number, row in rows:
        if len(row) != len(header) + 1:
            raise UsageError(f"--labels {title}: line {number} has {len(row)} columns, not {len(header) + 1}.")
    if not rows:
        raise UsageError(f"--labels {title}: it has no rows.")
    codes = np.array([row[1:] for _, row in rows])
    allowed = np.isin(codes, ("1", "-1", "0")).all(axis=1)
    if not allowed.all():
        number = rows[int(np.flatnonzero(~allowed)[0])][0]
        raise UsageError(f"--labels {title}: line {number} has values other than 1 and -1.")
    labels = Labels(tuple(Attribute(name) for name in header), (codes == "1").astype(np.int32))
    return Table(title, [row[0] for _, row in rows], labels, [])


def read_csv(text: str, title: str) -> Table:
    """Reads a CSV with a header: a column of file names, and one for each attribute; an empty cell is no label.

    A column of nothing but `YES` and `NO` is yes or no; others, and that called class or label, have values.
    Columns without a name, such as the index that pandas writes, are passed over.
    """
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UsageError(f"--labels {title}: line {reader.line_num} is not as in a CSV ({error}).") from None
    header, rows = [name.strip() for name in lines[0][1]], [row for _, row in lines[1:]]
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise UsageError(f"--labels {title}: line {number} has {len(row)} columns, and the header {len(header)}.")
    is_row = any(name and name in {row[i].strip() for row in rows[:1000]} for i, name in enumerate(header))
    if not any(header[1:]) or not rows or is_row or any(_remove_suffix(name) != name for name in header):
        raise UsageError(
            f"--labels {title}: it needs a header, as file,label, with a column of file names and others of labels, and"
            " a row for each image."
        )
    image = find_image_column(header, rows)
    labelled = [i for i, name in enumerate(header) if name and i != image]
    _require_names([header[i] for i in labelled], title)
    classes = next((name for name in header if name.lower() in CLASS_COLUMNS), "")
    if classes.lower() == "label" and "class" in map(str.lower, header):
        classes = ""  # both are attributes
    attributes, columns, unusable = [], [], []
    for i in labelled:
        name, cells = header[i], [row[i].strip() for row in rows]
        try:
            attribute, codes = read_column("class" if name == classes else name, cells)
        except ValueError as error:
            unusable.append((name, str(error)))
            continue
        attributes.append(attribute)
        columns.append(codes)
    if not attributes:
        raise UsageError(f"--labels {title}: no column can be used: {summarize_skipped(unusable)}.")
    names = [row[image].strip() for row in rows]
    return Table(title, names, Labels(tuple(attributes), np.stack(columns, axis=1)), unusable)


def find_image_column(header: list[str], rows: list[list[str]]) -> int:
    """The number of the column of file names: of those whose first cell ends like an image's name, or else of all, the
    one with the first name of `IMAGE_COLUMNS`, or else the first.
    """
    names = [name.lower() for name in header]
    columns = [i for i, cell in enumerate(rows[0]) if _remove_suffix(cell.strip()) != cell.strip()] or range(len(names))
    return min(columns, key=lambda i: [*IMAGE_COLUMNS, names[i]].index(names[i]))


def read_column(name: str, cells: list[str]) -> tuple[Attribute, np.ndarray]:
    """The attribute and the codes, int32 (n,), of a column of a CSV. Raises ValueError where it is no label."""
    cells = ["" if cell.lower() in EMPTY else cell for cell in cells]
    values = sorted({*cells} - {""})
    if not values:
        raise ValueError("no values")
    if name != "class" and {value.lower() for value in values} <= {*YES, *NO}:
        codes = {value: int(value.lower() in YES) for value in values}
        attribute = Attribute(name)
    else:
        if len(values) > max(2, MOST_VALUES * len(cells)):
            raise ValueError(f"{len(values):,} different values in {len(cells):,} rows")
        codes = {value: code for code, value in enumerate(values)}
        attribute = Attribute(name, tuple(values))
    codes[""] = UNKNOWN
    return attribute, np.array([codes[cell] for cell in cells], np.int32)


def read_dataset_json(text: str, title: str) -> Table:
    """Reads StyleGAN's dataset.json: {"labels": [["00000/img00000000.png", 3], ...]}, a class or a list of 0 and 1.

    An image whose label is null has none.

    Source: dataset_tool.py of github.com/NVlabs/stylegan3.
    """
    try:
        rows = json.loads(text)
        rows = rows.get("labels") if isinstance(rows, dict) else rows
        if not isinstance(rows, list):
            raise ValueError(f"its labels are {summarize(json.dumps(rows), 50)}, not a list")
        if not all(isinstance(row, list) and len(row) == 2 for row in rows):
            raise ValueError("its labels are not pairs of a name and a label")
        rows = [(str(name), value) for name, value in rows if value is not None]
        if not rows:
            raise ValueError("it has no labels")
        names, array = [name for name, _ in rows], np.array([value for _, value in rows])
        if array.dtype.kind not in "biuf":
            raise ValueError("they are neither whole numbers nor lists of 0 and 1")
        labels = label_array(array)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--labels {title}: no labels as StyleGAN's dataset.json has them ({summarize(error)})."
        ) from None
    return Table(title, names, labels, [])


# Names


def match(table: Table, names: Sequence[str]) -> tuple[Labels, list[str]]:
    """Fits the rows of a table to the names of images.

    An equal name fits first. Then names fit whose last folders are equal, and then those that are equal without
    suffixes. Of several rows, those that share the most folders with the name fit. Accented letters are the same
    whether they are composed or, as in file names of macOS, decomposed.

    Returns:
        Labels with a row for each name, and the names that fit several rows that differ, which are unknown.

    Raises UsageError where no name fits.
    """
    rows = np.full(len(names), NO_ROW)
    wanted, given = (
        [unicodedata.normalize("NFC", name.replace("\\", "/")) for name in each] for each in (names, table.names)
    )
    for shorten in (lambda name: name, _remove_suffix):
        waiting = np.flatnonzero(rows == NO_ROW)
        if len(waiting):
            ends = [shorten(wanted[i]) for i in waiting]
            rows[waiting] = _match_ends(ends, [shorten(name) for name in given], table.labels.codes)
    if (rows == NO_ROW).all():
        raise NoMatchError(
            f"--labels {table.title}: it has no row for any image: these are named such as {_some(names)}, and its rows"
            f" such as {_some(table.names)}."
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


def _require_names(names: list[str], title: str) -> None:
    """Raises UsageError unless columns have names, different ones in any case."""
    if not names or not all(names) or len({name.lower() for name in names}) < len(names):
        raise UsageError(f"--labels {title}: its columns of labels, {', '.join(names)}, need names that differ.")


def _remove_suffix(name: str) -> str:
    """Removes the suffix of an image; what comes after other dots stays."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:SHOWN])
