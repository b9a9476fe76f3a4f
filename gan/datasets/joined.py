"""Joins several data sources into one.

source = join([open_source(Request("photos", 64)), open_source(Request("more.zip", 64))])
"""

from bisect import bisect
from itertools import accumulate

import numpy as np
from PIL import Image

from gan import images
from gan.datasets.source import Source, digest


def join(sources: list[Source]) -> Source:
    """Joins sources, one after the other; the names of files begin with the title of their source.

    Titles are numbered where some are equal.

    Attributes, and labels, are kept where all sources have the same ones.
    """
    titles = [source.title for source in sources]
    if len(set(titles)) < len(titles):
        titles = [f"{title} [{i}]" for i, title in enumerate(titles, 1)]
    ends = list(accumulate(len(source.names) for source in sources))

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        number = bisect(ends, i)
        image, info, content = sources[number].read(i - ends[number] + len(sources[number].names))
        if image.mode in images.WIDE_MODES:  # the range of values is that of the source
            info = info._replace(mode=f"{info.mode} in --data {number + 1}")
        return image, info, content

    def prepare() -> dict[str, list[str]]:
        first, *others = (source.prepare() for source in sources)
        if any(other.keys() != first.keys() for other in others):
            return {}
        return {name: sum((other[name] for other in others), first[name]) for name in first}

    labels = [source.labels for source in sources]
    same_width = all(each is not None and each.shape[1] == labels[0].shape[1] for each in labels)
    return Source(
        " + ".join(titles),
        digest([source.identity for source in sources]),
        [f"{title}/{name}" for title, source in zip(titles, sources, strict=True) for name in source.names],
        read,
        [
            (f"{title}/{name}", reason)
            for title, source in zip(titles, sources, strict=True)
            for name, reason in source.passed_over
        ],
        prepare,
        np.concatenate(labels) if same_width else None,
        tuple((title, len(source.names)) for title, source in zip(titles, sources, strict=True)),
    )
