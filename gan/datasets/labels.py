"""Labels of a data set: finds them in the data, beside it, in class folders or in a file, and fits them to its images.

    labels, where = find_labels([source], ["photos.zip"], "auto", ["Smiling", "Male"])

`find_labels` returns a `gan.labels.Labels` with a row for each image of the sources; what has no label has the code -1.
"""

import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan.datasets.joined import add_prefix
from gan.datasets.label_files import read_table
from gan.datasets.label_names import NoMatchError, list_some, match
from gan.datasets.source import Source, summarize_skipped
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.labels import UNKNOWN, Attribute, Labels

# Beside the data, or within a folder, in this order; after these a CSV that is named like the data.
FILES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "dataset.json", "labels.csv", "attributes.csv")
LARGEST = 1 << 30  # bytes of a label file


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
    named = f"named such as {list_some(source.names)}"
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
