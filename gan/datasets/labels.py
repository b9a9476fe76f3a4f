"""Labels of a data set: finds them in the data, beside it, in class folders or in a file, and fits them to its images.

    labels, where = find_labels([source], ["photos.zip"], "auto", ["Smiling", "Male"])

`find_labels` returns a `gan.labels.Labels` with a row for each image of the sources; what has no label has the code -1.
"""

import functools
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from gan.config import FILE_SUFFIXES
from gan.datasets.joined import add_prefix, join
from gan.datasets.label_files import NullLabelsError, read_table
from gan.datasets.label_names import NoMatchError, list_some, match
from gan.datasets.source import Source, summarize_skipped
from gan.errors import UsageError, summarize
from gan.files import expand_path
from gan.labels import UNKNOWN, Attribute, Labels

# Beside the data, or within a folder, in this order; after these a CSV that is named like the data.
# metadata.csv is that of Hugging Face's image folders, and of many other programs.
FILES = ("list_attr_celeba.txt", "list_attr_celeba.csv", "dataset.json", "labels.csv", "attributes.csv", "metadata.csv")
LARGEST = 64 << 20  # bytes of a label file, of which a zip may pack far more; CelebA's list has 26 MB
LEAST_SHARE = 0.5  # of the images that a file has to label which may be that of other data

# Folders of parts of a data set, in lower case, and of a thousand images each, as FFHQ has them and StyleGAN writes
# them.
SPLITS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}
THOUSAND = re.compile(r"\d\d000")
STYLEGAN = re.compile(r"(?:^|/)(\d{5})/img\1\d{3}\.\w+$")
ARCHIVE = re.compile(f"({'|'.join(map(re.escape, FILE_SUFFIXES))})$", re.IGNORECASE)


class Found(NamedTuple):
    """Labels of images of some sources.

    Arguments:
        labels: a row for each image.
        where: where they come from, in words.
        unusable: columns that are no labels, and why.
        count: how many images have a row in a file of labels.
    """

    labels: Labels
    where: str
    unusable: list[tuple[str, str]]
    count: int = 0


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
        found = _find_with_data(sources, data, wanted)
    else:
        path = expand_path(wanted)
        if not path.is_file():
            raise UsageError(f"--labels {wanted}: there is no such file; give a file, folders, auto or none.")
        found = [_match_file(_read_file(path, wanted), path.name, sources)]
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


def _find_with_data(sources: Sequence[Source], data: Sequence[str], wanted: str) -> list[Found]:
    """Finds the labels that each source has with it; where there are none, those of all by the titles of sources."""
    results = [_find_own(source, each, wanted) for source, each in zip(sources, data, strict=True)]
    if all(found is None for found, _ in results):
        # As paths, so that train and test are no classes here either.
        labels = label_folders([f"{source.title}/" for source in sources for _ in source.names])
        if labels is not None:
            others = [reason for _, reasons in results for reason in reasons]
            return [Found(labels, _add_reasons("the names of the data sets", others), [])]
    for source, (found, others) in zip(sources, results, strict=True):
        if found is None:
            _refuse(source, wanted, others)
    return [found for found, _ in results]


def _find_own(source: Source, data: str, wanted: str) -> tuple[Found | None, list[str]]:
    """Finds the labels that a source has with it; where it has none, also why files there are not used, in words."""
    if wanted == "auto" and source.labels:
        return Found(source.labels(), f"{source.title} itself", []), []
    others = []
    for read, where, is_doubtful in find_files(data) if wanted == "auto" else ():
        found = _try_file(read, where, is_doubtful, source)
        if isinstance(found, Found):
            return found._replace(where=_add_reasons(found.where, others)), []
        others.append(found)
    if (labels := label_folders(source.names)) is not None:
        return Found(labels, _add_reasons("class folders", others), []), []
    return None, others


def _try_file(read: Callable[[], bytes], where: str, is_doubtful: bool, source: Source) -> Found | str:
    """The labels of a file for the images of a source, or why it is not used, in words.

    Raises UsageError where it cannot be used and is not doubtful, so that it has to be that of the source.
    """
    try:
        found = _match_file(read(), where, [source])
    except NullLabelsError:
        return f"{where} has null in place of labels"
    except UsageError as error:
        if not is_doubtful:
            raise
        if isinstance(error, NoMatchError):
            return f"{where} has no row for any of its images"
        return f"{where} cannot be used: {str(error).removeprefix(f'--labels {where}: ').removesuffix('.')}"
    if is_doubtful and found.count < LEAST_SHARE * len(source.names):
        return f"{where} has rows for only {found.count:,} of its {len(source.names):,} images"
    return found


def _add_reasons(where: str, others: Sequence[str]) -> str:
    """Where labels come from, with why they do not come from other files."""
    return f"{where} ({'; '.join(dict.fromkeys(others))})" if others else where


def _refuse(source: Source, wanted: str, others: Sequence[str]) -> NoReturn:
    """Raises UsageError for a source that has no labels with it, with what was looked for."""
    named = f"named such as {list_some(source.names)}"
    if wanted == "folders":
        raise UsageError(
            f"--labels folders: the images of {source.title} are not in two or more class folders, but {named}. Give"
            " each class a folder, or a --data of its own."
        )
    raise UsageError(
        f"--labels auto: {source.title} has none. Looked for arrays `labels` or `y` in an .npz file, for"
        f" {', '.join(FILES)} in a folder or zip of it, or beside it, and for class folders; its images are {named}."
        f"{''.join(f' {reason}.' for reason in others)} --labels FILE names another file."
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

    Folders of parts of a data set, such as train and test, and of a thousand images each are left out first. An archive
    in a folder counts as one. An image beside the class folders has no label.
    """
    folders = _leave_out_parts([_list_folders(name) for name in names])
    inner = [folder for folder in folders if folder] or [[]]
    first, last = min(inner), max(inner)  # between which all others are
    shared = next((i for i, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), len(first))
    classes = [folder[shared] if len(folder) > shared else "" for folder in folders]
    values = sorted(set(classes) - {""})
    if len(values) < 2:
        return None
    codes = {value: code for code, value in enumerate(values)} | {"": UNKNOWN}
    return Labels((Attribute("class", tuple(values)),), np.array([[codes[each]] for each in classes], np.int32))


def _list_folders(name: str) -> list[str]:
    """The folders of a name, an archive without its suffix, and without StyleGAN's, as in 00001/img00001234.png."""
    name = name.replace("\\", "/")
    folders = name.split("/")[: -2 if STYLEGAN.search(name) else -1]
    return [ARCHIVE.sub("", folder) for folder in folders]


def _leave_out_parts(folders: list[list[str]]) -> list[list[str]]:
    """Leaves out folders of parts of a data set, and of a thousand images each, where all at their depth are such."""
    for depth in reversed(range(max(map(len, folders), default=0))):
        values = {folder[depth] for folder in folders if len(folder) > depth}
        if {value.lower() for value in values} <= SPLITS or all(map(THOUSAND.fullmatch, values)):
            folders = [folder[:depth] + folder[depth + 1 :] for folder in folders]
    return folders


def find_files(data: str) -> Iterator[tuple[Callable[[], bytes], str, bool]]:
    """Yields files of labels in a folder or a zip, and then beside it, each of which may be missing.

    Of each it yields a function to read it, which raises UsageError where that fails, where it is, in words, and
    whether it may be that of other data: those beside the data, and metadata.csv.
    """
    path = expand_path(data)
    if path.is_file() and zipfile.is_zipfile(path):
        for name in _list_zip(path):
            title = f"{path.name}/{name}"
            yield functools.partial(_read_from_zip, path, name, title), title, name.endswith("metadata.csv")
    names = (*FILES, *dict.fromkeys(f"{stem}.csv" for stem in (path.stem, path.name.partition(".")[0])))
    places = [(path, f"in {path.name}")] if path.is_dir() else []
    for folder, place in [*places, (path.parent, "beside the data")] if path.exists() else []:
        for name in names:
            if os.path.isfile(folder / name) and folder / name != path:
                where, is_doubtful = f"{name} {place}", folder != path or name == "metadata.csv"
                yield functools.partial(_read_file, folder / name, where), where, is_doubtful


def _list_zip(path: Path) -> list[str]:
    """Lists the files of labels in a zip, the least deep first, and then in the order of `FILES`."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged zip raises nearly every kind; that of its images tells of the damage
        return []
    names = [name for name in names if name.rpartition("/")[2] in FILES and "__MACOSX" not in name]
    return sorted(dict.fromkeys(names), key=lambda name: (name.count("/"), FILES.index(name.rpartition("/")[2])))


def _read_from_zip(path: Path, name: str, title: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            _require_size(archive.getinfo(name).file_size, title)
            return archive.read(name)
    except UsageError:
        raise
    except Exception as error:  # as above; it may have a password as well
        raise UsageError(f"--labels {title}: it cannot be read ({summarize(error)}).") from error


def _read_file(path: Path, title: str) -> bytes:
    try:
        _require_size(path.stat().st_size, title)
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--labels {title}: it cannot be read ({error.strerror or error}).") from error


def _require_size(size: int, title: str) -> None:
    """Raises UsageError for a file of more bytes than `LARGEST`."""
    if size > LARGEST:
        raise UsageError(
            f"--labels {title}: it has {size / 2**20:,.1f} MB, and {LARGEST / 2**20:,.0f} MB are the most. Give a file"
            " with fewer columns, or with no other rows than those of the images."
        )


def _match_file(content: bytes, title: str, sources: Sequence[Source]) -> Found:
    """The labels of a file that fit the images of some sources, and the file in words."""
    table = read_table(content, title)
    names = [name for source in sources for name in source.names]
    # A table may have the name of the folder that is --data, which names in it do not have.
    prefixed = add_prefix(sources[0], sources[0].title) if len(sources) == 1 else join(sources)
    labels, ambiguous, count = match(table, names, prefixed.names)
    where = table.title
    if ambiguous:
        where += (
            f", in which {len(ambiguous):,} names, such as {ambiguous[0]}, have several rows that differ, or a row that"
            " other images have as well"
        )
    return Found(labels, where, table.unusable, count)
