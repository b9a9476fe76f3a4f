"""Alignment: faces cut out of photographs, so that eyes and mouth lie at the same place in all images.

    if (decision := decide(source, numbers, min_face=48, folder=cache_folder())).align:
        faces = align(source, numbers, 64, min_face=48, keep_copies=False, folder=cache_folder())

Whether images are photographs that should be aligned is decided by a sample of them: most have a face, and these lie at
different places.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from gan import files, images
from gan.datasets.joined import join
from gan.datasets.source import Source, digest, stop_at_failures, summarize_skipped
from gan.devices import count_cores
from gan.errors import RunError, UsageError
from gan.faces import geometry, selection
from gan.faces.search import LazyDetector, Photograph, search
from gan.thumbnails import make_thumbnails

VERSION = 4  # raise it when other faces would be used, or cut out differently
SAMPLE = 100  # images by which it is decided
SIZED = 10  # of these at least, evenly spread, whose sizes tell whether they are photographs
MOST = 0.5  # share of them that must have a face
# Up to these, faces lie in one place: the deviation of the middles of their cuts and of the sides, as shares of a side,
# and of the angles in degrees. Those of CelebA's aligned faces are 0.011, 0.04 and 0.9; of the press photographs of
# Labeled Faces in the Wild 0.013, 0.04 and 2.7, as a detector has centered these; cut out here 0.002, 0.01 and 0.4.
ONE_PLACE = (0.03, 0.1, 1.8)
LARGEST_SHARE = 12  # of one photograph, the largest face is sought down to this part of its smaller side
ALIGNED = "aligned by eyes and mouth"  # in place of the crop, in reports


class Decision(NamedTuple):
    """Whether images are aligned, and why, in a line for a person."""

    align: bool
    reason: str


def decide(source: Source, numbers: Sequence[int], *, min_face: int, folder: Path, limits: Sequence = ()) -> Decision:
    """Decides by a sample of the images whether they should be aligned. It is done once: the cache knows the answer.

    Where the sample cannot be searched, as the detector is not installed, the cache cannot be written, or no image can
    be read, they are not, and it is decided anew the next time.

    Arguments:
        numbers: the images that would be used, as numbers in the source.
        folder: of the cache.
        limits: what decides which images can be read; with others, it is decided anew.
    """
    path = folder / f"alignment-{digest(VERSION, source.identity, list(numbers), min_face, *limits)[:24]}.json"
    if path.exists():
        try:
            known = files.read_json(path, kinds={"align": bool, "reason": str})
            return Decision(known["align"], known["reason"])
        except UsageError:
            pass  # damaged: it is decided again
    rng = np.random.default_rng(len(numbers))
    chosen = sorted(rng.choice(numbers, min(SAMPLE, len(numbers)), replace=False).tolist())
    try:
        stopping = stop_at_failures(source)
        decision = decide_by_sample(stopping, chosen, min_face=min_face, folder=folder)
    except (UsageError, images.UnreadableImage) as error:
        return Decision(False, f"all are left as they are, without a search for faces. {error}")
    with contextlib.suppress(OSError):
        files.write_json(path, decision._asdict())
    return decision


def decide_by_sample(source: Source, chosen: list[int], *, min_face: int, folder: Path) -> Decision:
    """Decides whether images should be aligned by those whose numbers are given.

    Raises UnreadableImage where none of those can be read that are tried first, for their size.
    """
    source.prepare()
    sizes, tried = [], chosen[:: max(1, len(chosen) // SIZED)]  # they are in order of name: the first may be alike
    for number in tried:
        try:
            sizes.append(min(source.read(number)[0].size))
        except images.UnreadableImage:
            continue
    if not sizes:
        raise images.UnreadableImage(f"None of {len(tried)} images that were tried can be read.")
    if np.median(sizes) < 2 * min_face:
        return Decision(False, "")  # too small for photographs with a face among other things
    photographs = search(source, chosen, min_face=min_face, folder=folder)
    places = []
    for photograph in photographs:
        good = [each for each in photograph.candidates if each.confidence >= selection.CONFIDENT]
        if good:
            places.append(find_place(max(good, key=lambda each: each.side).points, photograph.size))
    found = f"faces found in {len(places)} of {len(chosen)} images"
    if len(places) <= MOST * len(chosen):
        return Decision(False, f"{found}: all are left as they are (--align yes cuts the faces out)")
    if len(places) > 1 and lie_in_one_place(np.array(places)):
        return Decision(False, f"{found}, all level and at one place: left as they are (--align yes aligns them)")
    return Decision(True, f"{found}, tilted or at different places: each is cut out and aligned (--align no: as is)")


def find_place(points: np.ndarray, size: tuple[int, int]) -> list[float]:
    """Returns x and y of the middle of a face's cut, its side and its angle, of the image's centered square."""
    side = min(size)
    transform = geometry.fit_cut((points - (np.array(size) - side) / 2) / side, 1)
    middle = geometry.transform_points(transform, np.array([0.5, 0.5]))
    return [*middle, geometry.find_scale(transform), geometry.find_angle(transform)]


def lie_in_one_place(places: np.ndarray) -> bool:
    """Tests whether faces, float (n, 4) as from `find_place`, lie in one place, but for a few."""
    low, high = np.percentile(places, [16, 84], axis=0)
    deviations = (high - low) / 2
    side = np.median(places[:, 2])
    middle, sides, angle = ONE_PLACE
    return bool(deviations[:2].max() <= middle * side and deviations[2] <= sides * side and deviations[3] <= angle)


def align(
    source: Source, numbers: Sequence[int], size: int, *, min_face: int, keep_copies: bool, folder: Path
) -> Source:
    """Returns the faces of photographs as a source of aligned images, size x size.

    A face is named by its photograph and its place in that. Photographs that cannot be read stay in the list, and raise
    `images.UnreadableImage` when they are read. `left_out` has the other photographs and faces that are not used.
    """
    photographs = search(stop_at_failures(source), numbers, min_face=min_face, folder=folder)
    entries, left_out = choose_faces(photographs, min_face, keep_copies)
    titles, reasons = [source.names[i] for i in numbers], [photograph.reason for photograph in photographs]
    read_photograph = functools.lru_cache(count_cores())(source.read)  # once for all faces of one, which are in a row

    def read(i: int) -> tuple[Image.Image, images.ImageInfo, bytes]:
        number, points = entries[i]
        if points is None:
            raise images.UnreadableImage(reasons[number])
        image, info, content = read_photograph(numbers[number])
        cut = geometry.cut_out(image, geometry.fit_cut(points, size), size)
        # The photograph identifies the face: where it is found differs from machine to machine in the last digits.
        return cut, info, content

    return Source(
        source.title,
        digest(source.identity, list(numbers), VERSION, min_face, keep_copies),
        [titles[number] if points is None else name_face(titles[number], points) for number, points in entries],
        read,
        source.passed_over,
        left_out=[(titles[i] if points is None else name_face(titles[i], points), why) for i, points, why in left_out],
        origins=[numbers[number] for number, _ in entries],
        crop=ALIGNED,
    )


def align_largest(photograph: Image.Image, size: int) -> Image.Image | None:
    """Cuts out the largest face of an RGB photograph, size x size, aligned. None where there is no face."""
    detector = LazyDetector().load()
    faces = detector.find(np.asarray(photograph), min(photograph.size) / LARGEST_SHARE)
    if not faces:
        return None
    largest = max(faces, key=lambda face: geometry.find_scale(geometry.fit_cut(face.points, size)))
    return geometry.cut_out(photograph, geometry.fit_cut(largest.points, size), size)


def join_aligned(
    sources: list[Source], numbers: list[Sequence[int]], decisions: list[Decision], align_one: Callable
) -> tuple[Source, Sequence[int]]:
    """Joins sources, of which some are aligned first, and returns the numbers of the images in the joined one.

    Arguments:
        numbers: the images to use of each source.
        decisions: of each source.
        align_one: a function (source, numbers) -> source of all the faces in them.

    Raises RunError where there is no face in any.
    """
    found = [
        (align_one(source, some), None) if decision.align else (source, some)
        for source, some, decision in zip(sources, numbers, decisions, strict=True)
    ]
    chosen, origins, start, opened = [], [], 0, 0
    for (source, some), original in zip(found, sources, strict=True):
        chosen += range(start, start + len(source.names)) if some is None else [start + i for i in some]
        origins += [opened + i for i in (range(len(source.names)) if source.origins is None else source.origins)]
        start, opened = start + len(source.names), opened + len(original.names)
    joined = join([source for source, _ in found])
    if not any(decision.align for decision in decisions):
        return joined, chosen
    joined = dataclasses.replace(joined, origins=origins)
    if not chosen:
        reasons = summarize_skipped(joined.left_out)
        raise RunError(f"No face in {joined.title} can be used: {reasons}. --align no uses the images as they are.")
    return joined, chosen


def choose_faces(
    photographs: list[Photograph], min_face: int, keep_copies: bool
) -> tuple[list[tuple[int, np.ndarray | None]], list[tuple[int, np.ndarray | None, str]]]:
    """Chooses the faces that are used.

    Returns:
        (number of the photograph, points of the face) of each face that is used, the points None for a photograph that
        cannot be read; and (number, points, reason) of each that is not, the points None for a photograph without face.
    """
    entries, left_out, faces, thumbnails = [], [], [], []
    for i, photograph in enumerate(photographs):
        if photograph.reason:
            entries.append((i, None))
        elif not photograph.candidates:
            left_out.append((i, None, "a photograph without a face"))
        for candidate in photograph.candidates:
            if flaw := selection.find_flaw(candidate, min_face):
                left_out.append((i, candidate.points, flaw))
            else:
                faces.append(len(entries))
                entries.append((i, candidate.points))
                thumbnails.append(candidate.thumbnail)
    if keep_copies or not faces:
        return entries, left_out
    copies = {faces[j] for j in np.flatnonzero(selection.mark_duplicates(make_thumbnails(np.stack(thumbnails))))}
    left_out += [(*entries[j], "a copy of another face") for j in sorted(copies)]
    return [entry for j, entry in enumerate(entries) if j not in copies], left_out


def name_face(photograph: str, points: np.ndarray) -> str:
    """Names a face by its photograph, the left upper corner of its cut, and the cut's side, in pixels."""
    transform = geometry.fit_cut(points, 1)
    x, y = geometry.transform_points(transform, np.array([0.5, 0.5])) - geometry.find_scale(transform) / 2
    return f"{photograph} at {x:.0f},{y:.0f} ({geometry.find_scale(transform):.0f} pixels)"
