"""Files of labels: reads CelebA's list of attributes, a CSV, StyleGAN's dataset.json, or an array, whatever it holds.

table = read_table(Path("list_attr_celeba.txt").read_bytes(), "list_attr_celeba.txt")  # a CSV or dataset.json, too
labels = label_array(np.array([0, 2, 1]))
"""

import csv
import io
import json
import os
import re
from typing import NamedTuple

import numpy as np

from gan.datasets.source import SUFFIXES, summarize_skipped
from gan.errors import UsageError, summarize
from gan.labels import NO, UNKNOWN, YES, Attribute, Labels

# Names of the column of file names, without spaces, hyphens and underscores, the likeliest first: beside one of the
# others, "name" may be that of a person, and "id" a number of the row.
IMAGE_COLUMNS = (
    *("file", "filename", "image", "imagename", "imagefile", "img", "imgname", "imgfile", "imageid", "imgid"),
    *("imagepath", "imgpath", "filepath", "path", "name", "id"),
)
UNNAMED = re.compile(r"Unnamed: \d+")  # what pandas calls a column without a name when it writes it again
CLASS_COLUMNS = ("class", "label")
EMPTY = ("nan", "null", "n/a")  # cells that spreadsheets and programs write where there is no value
MOST_VALUES = 0.5  # share of the rows that may have values of their own: a column of more is no label, but a caption
LARGEST_CLASS = 2**53  # up to which floats are exact


class NullLabelsError(UsageError):
    """A dataset.json whose labels are null, as StyleGAN writes it for images without labels."""


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
    Columns without a name, such as the index that pandas writes, are passed over, unless they have file names.
    """
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise UsageError(f"--labels {title}: line {reader.line_num} is not as in a CSV ({error}).") from None
    header, rows = [UNNAMED.sub("", name.strip()) for name in lines[0][1]], [row for _, row in lines[1:]]
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise UsageError(f"--labels {title}: line {number} has {len(row)} columns, and the header {len(header)}.")
    is_row = any(name and name in {row[i].strip() for row in rows[:1000]} for i, name in enumerate(header))
    is_header = any(header) and not is_row and not any(remove_image_suffix(name) != name for name in header)
    image = find_image_column(header, rows) if is_header and rows else 0
    labelled = [i for i, name in enumerate(header) if name and i != image]
    if not is_header or not rows or not labelled:
        raise UsageError(
            f"--labels {title}: it needs a header, as file,label, with a column of file names and others of labels, and"
            " a row for each image."
        )
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
    """The number of the column of file names: of those whose first cell ends like an image's name, or else of those
    that have a name, the one with the first name of `IMAGE_COLUMNS`, or else the first.
    """
    names = [re.sub("[ _-]", "", name.lower()) for name in header]
    columns = [i for i, cell in enumerate(rows[0]) if remove_image_suffix(cell.strip()) != cell.strip()]
    columns = columns or [i for i, name in enumerate(header) if name]  # without a name it may be the number of the row
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

    An image whose label is null has none. Raises NullLabelsError where null is in place of the list.

    Source: dataset_tool.py of github.com/NVlabs/stylegan3.
    """
    try:
        rows = json.loads(text)
        if isinstance(rows, dict) and rows.get("labels", rows) is None:
            raise NullLabelsError(f"--labels {title}: its labels are null, so that its images have none.")
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


def _require_names(names: list[str], title: str) -> None:
    """Raises UsageError unless columns have names, different ones in any case."""
    if not names or not all(names) or len({name.lower() for name in names}) < len(names):
        raise UsageError(f"--labels {title}: its columns of labels, {', '.join(names)}, need names that differ.")


def remove_image_suffix(name: str) -> str:
    """Removes the suffix of an image; what comes after other dots stays."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in SUFFIXES else name
