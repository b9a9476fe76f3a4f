"""Labels of a data set: finds them in the data, beside it, in class folders or in a file, and fits them to its images.

    labels, where = find_labels(source, "photos.zip", "auto", ["Smiling", "Male"])
    table = read_table(Path("list_attr_celeba.txt").read_bytes(), "list_attr_celeba.txt")  # a CSV or dataset.json, too

`find_labels` returns a `gan.labels.Labels` with a row for each image of the source; what has no label has the code -1.
"""

import csv
import io
import json
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.datasets.source import Source, summarize_skipped
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.labels import NO, UNKNOWN, YES, Attribute, Labels

# Beside the data, or within a folder, in this order; after these a CSV that is named like the data.
FILES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "dataset.json", "labels.csv", "attributes.csv")
IMAGE_COLUMNS = ("file", "filename", "file_name", "image", "image_id", "path", "name")
CLASS_COLUMNS = ("class", "label")
LARGEST = 1 << 30  # bytes of a label file
MOST_VALUES = 0.5  # share of the rows that may have values of their own: a column of more is no label, but a caption
SHOWN = 3  # names in messages


class Table(NamedTuple):
    """Labels by the names of images, as a file has them.

    Arguments:
        title: the name of the file.
        names: of the images, with slashes.
        labels: a row for each name.
        unusable: columns that are no labels, and why.
    """

    title: str
    names: list[str]
    labels: Labels
    unusable: list[tuple[str, str]]


def find_labels(source: Source, data: str, wanted: str, attributes: Sequence[str] = ()) -> tuple[Labels, str]:
    """Finds the labels of the images of a source, and where they come from, in words.

    Arguments:
        data: the value of --data that the source was opened from.
        wanted: the value of --labels: "auto", "folders" or a file.
        attributes: the names of those to use; empty: all.

    Raises UsageError where there are none, or none that fit.
    """
    if wanted == "folders":
        labels, where = label_folders(source.names), "class folders"
        if labels is None:
            raise UsageError(
                f"--labels folders: the images of {source.title} are not in two or more class folders, but named such"
                f" as {_some(source.names)}."
            )
    elif wanted != "auto":
        path = expand_path(wanted)
        if not path.is_file():
            raise UsageError(f"--labels {wanted}: there is no such file; give a file, folders, auto or none.")
        labels, where = _match_file(_read_file(path), path.name, source, attributes)
    elif source.labels:
        labels, where = source.labels(), f"{source.title} itself"
    elif found := find_file(data):
        labels, where = _match_file(*found, source, attributes)
        where += " beside the data"
    elif (labels := label_folders(source.names)) is not None:
        where = "class folders"
    else:
        raise UsageError(
            f"--labels auto: {source.title} has none. Looked for arrays `labels` or `y` in an .npz file, for"
            f" {', '.join(FILES)} in or beside the data, and for class folders. --labels FILE names another file."
        )
    try:
        return (labels.select(attributes) if attributes else labels), where
    except UsageError as error:
        raise UsageError(f"--attributes {','.join(attributes)}: {error}") from None


def join_labels(parts: list[Labels]) -> Labels:
    """Joins the labels of several sources: attributes by name, and their values, those of one kind in one order.

    An attribute that a source lacks is unknown in its images. Raises UsageError where one is yes or no in one source,
    and has values in another.
    """
    found = {}
    for labels in parts:
        for attribute in labels.attributes:
            known = found.setdefault(attribute.name, attribute)
            if bool(known.values) != bool(attribute.values):
                raise UsageError(f"{attribute.name} is yes or no in one of the data sets, and has values in another.")
            if known.values != attribute.values:
                found[attribute.name] = Attribute(attribute.name, tuple(sorted({*known.values, *attribute.values})))
    columns = []
    for name, joined in found.items():
        column = []
        for labels in parts:
            number = next((i for i, each in enumerate(labels.attributes) if each.name == name), None)
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
    """Labels of an array: classes (n,) or (n, 1), numbers or strings; one-hot classes or yes and no (n, k).

    Raises ValueError for others.
    """
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or not array.size or array.dtype.kind not in "biufUS":
        raise ValueError(f"{array.dtype} {array.shape} are no labels: give classes (n,), or 0 and 1 (n, k)")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.round(array)).any():
            raise ValueError("they are not whole numbers")
        array = array.astype(np.int64)
    if array.ndim == 1:
        if array.dtype.kind == "S":
            array = np.char.decode(array, "utf-8", "replace")
        values, codes = np.unique(array, return_inverse=True)
        if len(values) > max(2, MOST_VALUES * len(array)):
            raise ValueError(f"{len(values):,} different values of {len(array):,} images are no classes")
        return Labels(
            (Attribute("class", tuple(str(value) for value in values.tolist())),), codes.reshape(-1, 1).astype(np.int32)
        )
    if array.dtype.kind in "US" or not np.isin(array, (-1, 0, 1)).all():
        raise ValueError("they are not all 0 and 1")
    positive = array == 1
    if (positive.sum(axis=1) == 1).all():
        values = tuple(map(str, range(array.shape[1])))
        return Labels((Attribute("class", values),), positive.argmax(axis=1).reshape(-1, 1).astype(np.int32))
    return Labels(tuple(Attribute(str(i)) for i in range(array.shape[1])), positive.astype(np.int32))


def find_file(data: str) -> tuple[bytes, str] | None:
    """The content and the name of a label file in a folder or a zip, or beside it; None where there is none."""
    path = expand_path(data)
    folders = [path, path.parent] if path.is_dir() else [path.parent] if path.exists() else []
    if path.is_file() and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [each for each in archive.infolist() if each.filename.rpartition("/")[2] in FILES]
                entries.sort(key=lambda each: (each.filename.count("/"), FILES.index(each.filename.rpartition("/")[2])))
                for entry in entries:
                    if "__MACOSX" not in entry.filename and entry.file_size <= LARGEST and not entry.flag_bits & 1:
                        return archive.read(entry), f"{path.name}/{entry.filename}"
        except Exception:  # damaged archives raise nearly every kind of exception; its images tell of that
            pass
    stem = path.name.partition(".")[0]
    for folder in folders:
        for name in (*FILES, f"{stem}.csv"):
            if (folder / name).is_file() and folder / name != path:
                return _read_file(folder / name), name
    return None


def _read_file(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"--labels {path}: more than {LARGEST >> 20:,} MB.")
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--labels {path}: it cannot be read ({error.strerror or error}).") from error


def _match_file(content: bytes, title: str, source: Source, attributes: Sequence[str]) -> tuple[Labels, str]:
    """The labels of a file that fit the images of a source, and the file in words."""
    table = read_table(content, title)
    unusable = dict(table.unusable)
    if asked := [name for name in attributes if name in unusable]:
        raise UsageError(
            f"--attributes {','.join(attributes)}: {asked[0]} of {title} is no label ({unusable[asked[0]]})."
        )
    labels, ambiguous = match(table, source.names)
    words = title
    if unusable and not attributes:
        words += f" without {summarize_skipped(table.unusable)}"
    if ambiguous:
        words += f", in which {len(ambiguous):,} names, such as {ambiguous[0]}, have several rows that differ"
    return labels, words


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
    header, rows = lines[1].split(), [line.split() for line in lines[2:]]
    for number, row in enumerate(rows, start=3):
        if row and len(row) != len(header) + 1:
            raise UsageError(f"--labels {title}: line {number} has {len(row)} columns, not {len(header) + 1}.")
    rows = [row for row in rows if row]
    if not rows:
        raise UsageError(f"--labels {title}: it has no rows.")
    codes = np.array([row[1:] for row in rows])
    if not np.isin(codes, ("1", "-1", "0")).all():
        number = int(np.flatnonzero(~np.isin(codes, ("1", "-1", "0")).all(axis=1))[0])
        raise UsageError(f"--labels {title}: the row of {rows[number][0]} has values other than 1 and -1.")
    labels = Labels(tuple(Attribute(name) for name in header), (codes == "1").astype(np.int32))
    return Table(title, [row[0] for row in rows], labels, [])


def read_csv(text: str, title: str) -> Table:
    """Reads a CSV with a header: a column of file names, and one for each attribute; an empty cell is no label.

    A column of 1, 0, -1, yes, no, true or false is yes or no; others have values.
    """
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    try:
        header, *rows = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise UsageError(f"--labels {title}: it is no CSV ({error}).") from None
    header = [name.strip() for name in header]
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            raise UsageError(f"--labels {title}: line {number} has {len(row)} columns, and the header {len(header)}.")
    rows = [row for row in rows if row]
    if len(header) < 2 or not rows:
        raise UsageError(
            f"--labels {title}: it needs a header, as file,label, with a column of file names and others of labels."
        )
    if len({*header}) < len(header) or not all(header):
        raise UsageError(f"--labels {title}: its columns {', '.join(header)} need different names.")
    image = next((i for i, name in enumerate(header) if name.lower() in IMAGE_COLUMNS), 0)
    attributes, columns, unusable = [], [], []
    for i, name in enumerate(header):
        if i == image:
            continue
        cells = [row[i].strip() for row in rows]
        try:
            attribute, codes = read_column(name, cells)
        except ValueError as error:
            unusable.append((name, str(error)))
            continue
        attributes.append(attribute)
        columns.append(codes)
    if not attributes:
        raise UsageError(f"--labels {title}: no column can be used: {summarize_skipped(unusable)}.")
    names = [row[image].strip().replace("\\", "/") for row in rows]
    return Table(title, names, Labels(tuple(attributes), np.stack(columns, axis=1)), unusable)


def read_column(name: str, cells: list[str]) -> tuple[Attribute, np.ndarray]:
    """The attribute and the codes, int32 (n,), of a column of a CSV. Raises ValueError where it is no label."""
    values = sorted({*cells} - {""})
    if not values:
        raise ValueError("it is empty")
    if {value.lower() for value in values} <= {*YES, *NO}:
        codes = {value: int(value.lower() in YES) for value in values}
        attribute = Attribute(name)
    else:
        if len(values) > max(2, MOST_VALUES * len(cells)):
            raise ValueError(f"{len(values):,} different values in {len(cells):,} rows")
        codes = {value: code for code, value in enumerate(values)}
        attribute = Attribute("class" if name.lower() in CLASS_COLUMNS else name, tuple(values))
    codes[""] = UNKNOWN
    return attribute, np.array([codes[cell] for cell in cells], np.int32)


def read_dataset_json(text: str, title: str) -> Table:
    """Reads StyleGAN's dataset.json: {"labels": [["00000/img00000000.png", 3], ...]}, a class or a list of 0 and 1.

    Source: dataset_tool.py of github.com/NVlabs/stylegan3.
    """
    try:
        rows = json.loads(text)
        rows = rows["labels"] if isinstance(rows, dict) else rows
        names, values = [str(name) for name, _ in rows], [value for _, value in rows]
        array = np.array(values)
        if array.dtype.kind not in "biuf":
            raise ValueError("they are neither whole numbers nor lists of 0 and 1")
        labels = label_array(array)
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--labels {title}: no labels as StyleGAN's dataset.json has them ({summarize(error)})."
        ) from None
    return Table(title, [name.replace("\\", "/") for name in names], labels, [])


# Names


def match(table: Table, names: Sequence[str]) -> tuple[Labels, list[str]]:
    """Fits the rows of a table to the names of images.

    A name fits exactly, or else without some of its first folders, or those of the table's, or else without suffixes.

    Returns:
        Labels with a row for each name, and the names that fit several rows that differ, which are unknown.

    Raises UsageError where no name fits.
    """
    rows = {}
    for by in (_identity, _file_name, _stem):
        index = {}
        for number, name in enumerate(table.names):
            index.setdefault(by(name), []).append(number)
        rows[by] = index
    codes, ambiguous = np.full((len(names), len(table.labels.attributes)), UNKNOWN, np.int32), []
    matched = 0
    for i, name in enumerate(names):
        found = _find_rows(name.replace("\\", "/"), rows)
        if not found:
            continue
        matched += 1
        values = table.labels.codes[found]
        if (values == values[0]).all():
            codes[i] = values[0]
        else:
            ambiguous.append(name)
    if not matched:
        raise UsageError(
            f"--labels {table.title}: it has no row for any image: these are named such as {_some(names)}, and its rows"
            f" such as {_some(table.names)}."
        )
    return Labels(table.labels.attributes, codes), ambiguous


def _find_rows(name: str, rows: dict) -> list[int]:
    """The rows of the longest end of a name that the table has; of its file name; of that without its suffix."""
    parts = name.split("/")
    for start in range(len(parts)):
        if found := rows[_identity].get("/".join(parts[start:])):
            return found
    return rows[_file_name].get(parts[-1]) or rows[_stem].get(_stem(name)) or []


def _identity(name: str) -> str:
    return name


def _file_name(name: str) -> str:
    return name.rpartition("/")[2]


def _stem(name: str) -> str:
    return os.path.splitext(_file_name(name))[0]


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:SHOWN])
