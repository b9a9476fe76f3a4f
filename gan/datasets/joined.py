"""Joins several data sources into one.

source = join([open_source(Request("photos", 64)), open_source(Request("more.zip", 64))])
"""

from bisect import bisect
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

from PIL import Image

from gan import images
from gan.datasets.source import Source, digest

UNCUT = "center square"  # what is cut out of the images of a source that says nothing of that


def join(sources: list[Source]) -> Source:
    """Joins sources, one after the other; the names of files begin with the title of their source.

    Titles are numbered where some are equal. A single source is returned as it is.
    """
    if len(sources) == 1:
        return sources[0]
    titles = [source.title for source in sources]
    if len(set(titles)) < len(titles):
        titles = [f"{title} [{i}]" for i, title in enumerate(titles, 1)]
    named = [
        add_prefix(replace(source, read=_mark_range(source.read, number)), title)
        for number, (source, title) in enumerate(zip(sources, titles, strict=True), 1)
    ]
    parts = tuple((title, len(source.names)) for title, source in zip(titles, sources, strict=True))
    return replace(concatenate(" + ".join(titles), named), parts=parts)


def add_prefix(source: Source, prefix: str) -> Source:
    """Puts the name of what a source is in before the names of its files: "a.zip/1.png", or "a.npy[1]"."""

    def extend(name: str) -> str:
        rest = name.removeprefix(source.title)
        numbered = rest != name and rest.startswith("[") and rest.endswith("]")
        return f"{prefix}{rest}" if numbered else f"{prefix}/{name}"

    return replace(
        source,
        names=[extend(name) for name in source.names],
        passed_over=[(f"{prefix}/{name}", reason) for name, reason in source.passed_over],
        left_out=[(extend(name), reason) for name, reason in source.left_out],
    )


def concatenate(title: str, sources: list[Source]) -> Source:
    """Makes one source of several, whose names stay."""
    ends = list(accumulate(len(source.names) for source in sources))

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        number = bisect(ends, i)
        return sources[number].read(i - ends[number] + len(sources[number].names))

    def prepare() -> None:
        for source in sources:
            source.prepare()

    crops = [source.crop or UNCUT for source in sources]
    return Source(
        title,
        digest([source.identity for source in sources]),
        [name for source in sources for name in source.names],
        read,
        [entry for source in sources for entry in source.passed_over],
        prepare,
        left_out=[entry for source in sources for entry in source.left_out],
        crop=", or ".join(dict.fromkeys(crops)) if any(source.crop for source in sources) else "",
        avatars=bool(sources) and all(source.avatars for source in sources),
        groups=_join_groups(sources),
    )


def _join_groups(sources: list[Source]) -> list[str | None] | None:
    """The groups of the images of several sources, none of which has images of two."""
    if all(source.groups is None for source in sources):
        return None
    groups = []
    for number, source in enumerate(sources):
        groups += [each and f"{number} {each}" for each in source.groups or [None] * len(source.names)]
    return groups


def _mark_range(read: Callable, number: int) -> Callable:
    """Adds the number of the source to the mode of images whose range of values is that of the source."""

    def read_and_mark(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        image, info, content = read(i)
        if image.mode in images.WIDE_MODES:
            info = info._replace(mode=f"{info.mode} in --data {number}")
        return image, info, content

    return read_and_mark
