"""Input pipeline: finds images, decodes them once into a cache, yields shuffled batches.

faces = load("photos.zip", image_size=64)
training, held_out = faces.split(holdout=0.1)
for images, labels in batches(faces.images, 128, rows=training, seed=1): ...
"""

import contextlib
import functools
import hashlib
import itertools
import mmap
import os
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from gan import files, images
from gan.config import IMAGE_SIZES
from gan.datasets import Request, built_in_names, cache, open_source
from gan.datasets.joined import join
from gan.datasets.labels import find_labels
from gan.datasets.report import advise, complete_report, describe, record_labels
from gan.datasets.sides import choose_sides
from gan.datasets.source import Source, summarize_skipped
from gan.errors import RunError, UsageError
from gan.faces import alignment
from gan.files import cache_folder
from gan.labels import Labels

MOST_UNREADABLE = 0.05  # share of the images
FEWEST_HELD = 20  # held-out images that a score needs
WORKERS, AHEAD = 2, 3  # threads that prepare batches, and batches that are prepared ahead
MEASURED = 16  # images, evenly spread over a data set, whose sizes stand for all
PIECE = 32  # rows copied before the pages that they came from are released


class Split(NamedTuple):
    """The numbers of the images to train on, and of those that are held out, int64, each in order."""

    training: np.ndarray
    held_out: np.ndarray


@dataclass(frozen=True)
class Faces:
    """Decoded images, and what became of the other files.

    Arguments:
        images: uint8 (n, h, w, 3), on disk.
        report: counts of found, used and skipped files, sizes, modes and crop, for data.json.
        skipped: (name, reason): of unreadable images, then of faces that are not used, then of images without a label,
            and last of files that were passed over.
        avatars: whether all images are avatars, which a face detector does not find.
        digests: uint64 (n,), of the content of each file.
        sides: uint64 (n,), by which `split` decides, as from `gan.datasets.sides.choose_sides`; None: `digests`.
        labels: a row for each image; None: no labels.
        unlabelled: "keep": images without a label are used; "drop": `split` leaves them out.
    """

    images: np.ndarray
    report: dict
    skipped: list[tuple[str, str]]
    avatars: bool = False
    digests: np.ndarray = field(default_factory=lambda: np.zeros(0, ">u8"))
    labels: Labels | None = None
    unlabelled: str = "drop"
    sides: np.ndarray | None = None

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the content of all files, in order, wherever they are."""
        return hashlib.blake2b(self.digests.tobytes(), digest_size=8).hexdigest()

    @property
    def title(self) -> str:
        """Their number, source and digest, which a run records as what it was trained on."""
        return f"{self.report['used']:,} of {self.report['source']} ({self.digest})"

    def describe(self) -> list[str]:
        """Lines that describe the data, and warn of what will not train well, for a person."""
        return describe(self.report, self.skipped)

    def split(self, holdout: float) -> Split:
        """Splits the images into those to train on and those held out.

        The content of an image decides, so it is on the same side on every machine and in every folder, unless it has
        copies there, or is a frame of a film: images that are alike are on one side. None is held out where fewer than
        `FEWEST_HELD` are to be expected, or where nearly all images are copies of one.

        Images that have no label are on neither side, unless these are kept.

        Arguments:
            holdout: the share that is held out.
        """
        used = np.ones(len(self.images), bool)
        if self.labels and self.unlabelled == "drop":
            used = self.labels.known
        share = holdout if holdout * used.sum() >= FEWEST_HELD else 0.0
        sides = self.digests if self.sides is None else self.sides
        held = used & (sides < np.uint64(int(share * 2**64))) if share else np.zeros(len(used), bool)
        if (held == used).all() or len(np.unique(sides[held])) < 2:  # distances need two
            held[:] = False
        return Split(np.flatnonzero(used & ~held), np.flatnonzero(held))


@dataclass(frozen=True)
class DataSettings:
    """Which images of a data source are used, and how they are read.

    Arguments:
        limit: how many images to use, the first by name; 0: all, or 10,000 avatars.
        sample: how many of these to use, chosen at random; 0: all.
        crop: as for `gan.images.crop_square`.
        seed: of the avatars, and of the choice.
        cache_dir: the folder of the cache; None or "": the user's cache folder.
        allow_bad: whether more than 5% of the images may be unreadable.
        allow_truncated: whether files that are cut off are used.
        max_pixels: files of more pixels are left out.
        seconds_between_frames: from one frame of a video that is used to the next.
        align: "yes": the images are photographs, whose faces are cut out and aligned; "no": they are
            used as they are; "auto": `gan.faces.alignment.decide` decides.
        min_face: the least side of the cut of a face, in pixels of the photograph.
        keep_duplicates: whether faces that are copies of others are used.
        labels: "auto", "folders" or a file (see gan/datasets/labels.py); "none": none, unless attributes are named.
        attributes: the names of those to use, with commas; empty: all.
        unlabelled: as for `Faces`.
    """

    limit: int = 0
    sample: int = 0
    crop: int = 0
    seed: int = 0
    cache_dir: str | os.PathLike | None = None
    allow_bad: bool = False
    allow_truncated: bool = False
    max_pixels: int = images.MAX_PIXELS
    seconds_between_frames: float = 1.0
    align: str = "no"
    min_face: int = 48
    keep_duplicates: bool = False
    labels: str = "none"
    attributes: str = ""
    unlabelled: str = "drop"

    @functools.cached_property
    def folder(self) -> Path:
        """The folder of the cache."""
        return cache_folder(self.cache_dir)

    @property
    def limits_of_files(self) -> tuple:
        """What decides which files can be read."""
        return self.max_pixels, self.allow_truncated, images.has_heif(), images.has_avif()

    @property
    def search_options(self) -> dict:
        """Arguments of a search for faces."""
        return {"min_face": self.min_face, "folder": self.folder}

    def open_source(self, data: str, image_size: int) -> Source:
        """Opens a data source. Raises UsageError."""
        request = Request(
            data, image_size, limit=self.limit, seed=self.seed, cache_dir=self.folder, max_pixels=self.max_pixels,
            seconds_between_frames=self.seconds_between_frames,
        )  # fmt: skip
        return open_source(request)

    def decide_alignment(self, source: Source, numbers: Sequence[int], built_in: bool) -> alignment.Decision:
        """Decides whether the images of a source, of which `numbers` are used, are aligned."""
        if self.align == "auto" and not built_in and not self.crop:
            return alignment.decide(source, numbers, limits=self.limits_of_files, **self.search_options)
        return alignment.Decision(self.align == "yes", "")

    def compute_key(self, identity: str, image_size: int, aligned: list[bool]) -> str:
        """The key of the decoded images in the cache, of sources that together have an identity."""
        choice = [self.limit, *([self.sample, self.seed] if self.sample else [])]
        extra = [alignment.VERSION, aligned, self.min_face, self.keep_duplicates] if any(aligned) else []
        return cache.compute_key(identity, image_size, self.crop, choice, list(self.limits_of_files), *extra)


def load(source: str | Sequence[str], image_size: int, *, opened: dict[str, Source] | None = None, **settings) -> Faces:
    """Opens a data source and decodes its images, once: after that they come from the cache.

    Arguments:
        source: as for --data (see gan/datasets); several are joined.
        image_size: the side of the decoded images in pixels, a multiple of 4 from 16 to 128.
        opened: sources that `open_files` has opened, by their names: they are taken out of it, not opened again.
        settings: those of `DataSettings`.

    Raises:
        UsageError: where the source or a setting is not allowed.
        RunError: where more than 5% of the images cannot be read, unless `allow_bad`.
    """
    asked = DataSettings(**settings)
    _require_possible(asked, image_size)
    data = [source] if isinstance(source, str) else source
    sources = [(opened or {}).pop(each, None) or asked.open_source(each, image_size) for each in data]
    joined = join(sources)
    numbers = choose(len(joined.names), asked.limit, asked.sample, asked.seed)
    if asked.sample > len(numbers):
        warnings.warn(f"--sample {asked.sample:,}: there are only {len(numbers):,} images", stacklevel=2)
    with images.allow_truncated_files(asked.allow_truncated):
        parts = split_by_source(numbers, [len(each.names) for each in sources])
        decisions = [
            asked.decide_alignment(each, some, name in built_in_names())
            for name, each, some in zip(data, sources, parts, strict=True)
        ]
        key = asked.compute_key(joined.identity, image_size, [decision.align for decision in decisions])
        align_one = functools.partial(
            alignment.align, size=image_size, keep_copies=asked.keep_duplicates, **asked.search_options
        )
        pixels, report, skipped, digests, copies = cache.open_or_build(
            asked.folder / f"{key}.npy",
            functools.partial(alignment.join_aligned, sources, parts, decisions, align_one),
            image_size,
            crop=asked.crop,
        )
    complete_report(report, joined, sources, decisions, len(numbers), bool(asked.sample))
    origins = report.pop("origins", numbers)  # it is not there where all that were asked for are decoded
    unused = skipped[: report["skipped"]["unreadable"] + report["skipped"].get("left_out", 0)]
    report["copies"], report["first_copy"] = len(copies), ""
    if len(copies):
        report["first_copy"] = " of ".join(joined.names[origins[i]] for i in copies[0])
    sides = choose_sides(digests, copies, joined.groups and [joined.groups[i] for i in origins])
    labels = None
    if asked.labels != "none" or asked.attributes:
        wanted = [name.strip() for name in asked.attributes.split(",") if name.strip()]
        found, where = find_labels(sources, data, "auto" if asked.labels == "none" else asked.labels, wanted)
        report["labels"], labels = {"from": where}, found.take(origins)
        report["labels"]["shared"] = len(origins) - sum(count == 1 for count in Counter(origins).values())
        unused += record_labels(labels, [joined.names[i] for i in origins], asked.unlabelled, report)
    faces = Faces(pixels, report, unused + joined.passed_over, joined.avatars, digests, labels, asked.unlabelled, sides)
    _require_readable(faces, asked.allow_bad)
    return faces


def _require_possible(asked: DataSettings, image_size: int) -> None:
    if image_size not in IMAGE_SIZES:
        raise UsageError(f"--image-size {image_size}: give a multiple of 4 from 16 to 128.")
    if asked.limit < 0 or asked.sample < 0 or asked.crop < 0:
        raise UsageError(
            f"--limit {asked.limit} --sample {asked.sample} --crop {asked.crop}: none can be negative; 0 is the"
            " default."
        )
    if asked.align == "yes" and asked.crop:
        raise UsageError(
            f"--align yes --crop {asked.crop}: aligned faces are cut out by eyes and mouth. Give one of the two."
        )


def open_files(source: str | Sequence[str], **settings) -> dict[str, Source]:
    """Opens data sources that are not built in, without decoding their images, by their names.

    Arguments and what is raised are those of `load`, which takes the result.
    """
    asked = DataSettings(**settings)
    names = [source] if isinstance(source, str) else source
    # Files are opened alike for images of every size.
    return {name: asked.open_source(name, IMAGE_SIZES[0]) for name in names if name not in built_in_names()}


def measure_side(
    source: Source,
    *,
    limit: int = 0,
    crop: int = 0,
    allow_truncated: bool = False,
    cache_dir: str | os.PathLike | None = None,
) -> int:
    """Measures some of the images: the median side, in pixels, of the squares that are cut out of them.

    Of an even number, it is the lower median, so that most of them are at least that large. The result is kept in the
    cache, unless some cannot be read. Arguments are those of `load`. Returns 0 where none of these can be read.
    """
    numbers = choose(len(source.names), limit, 0, 0)
    numbers = numbers[:: -(-len(numbers) // MEASURED) or 1]
    key = cache.compute_key(source.identity, list(numbers), crop, allow_truncated)
    path = cache_folder(cache_dir) / f"side-{key}.json"
    if path.exists():
        with contextlib.suppress(UsageError):  # damaged: it is measured again
            return files.read_json(path, kinds={"side": int})["side"]

    def measure() -> list[int]:
        sides = []
        source.prepare()
        for i in numbers:
            with contextlib.suppress(images.UnreadableImage):
                image, *_ = source.read(i)
                sides.append(min(images.crop_square(image, crop).size))
        return sorted(sides)

    # In a thread, which takes with it what sources keep for each thread, such as a decoder.
    with ThreadPoolExecutor(1) as thread, images.allow_truncated_files(allow_truncated):
        sides = thread.submit(measure).result()
    if not sides:
        return 0
    side = sides[(len(sides) - 1) // 2]
    if len(sides) == len(numbers):  # others may be readable next time, with --max-pixels for example
        with contextlib.suppress(OSError):
            files.write_json(path, {"side": side})
    return side


def split_by_source(numbers: Sequence[int], counts: list[int]) -> list[list[int]]:
    """Splits numbers of joined images into those of each source, which has `counts` images."""
    ends = np.cumsum([0, *counts])
    numbers = np.asarray(numbers)
    return [(numbers[(numbers >= low) & (numbers < high)] - low).tolist() for low, high in itertools.pairwise(ends)]


def choose(count: int, limit: int, sample: int, seed: int) -> Sequence[int]:
    """Chooses among `count` images: `sample` of the first `limit`, in order; 0 means all."""
    numbers = range(count)[: limit or None]
    if not sample or sample >= len(numbers):
        return numbers
    return sorted(np.random.default_rng([seed, sample]).choice(len(numbers), sample, replace=False).tolist())


def order(seed: int, start: int, count: int, n: int) -> np.ndarray:
    """The numbers of the images, among `n`, that are drawn as number start .. start + count: int64 (count,).

    They are drawn in an endless sequence of passes, each its own permutation of all images, so a batch may cross from
    one pass to the next, and no image is ever dropped.
    """
    samples = np.arange(start, start + count)
    passes = range(start // n, (start + count - 1) // n + 1)
    return np.concatenate([_pass(seed, p, n)[samples[samples // n == p] % n] for p in passes])


@functools.lru_cache(maxsize=2)  # a batch needs one pass, or two at a border
def _pass(seed: int, number: int, n: int) -> np.ndarray:
    return np.random.default_rng([seed, number]).permutation(n)


def batches(
    real: np.ndarray,
    batch_size: int,
    *,
    rows: np.ndarray | None = None,
    labels: Labels | None = None,
    seed: int = 0,
    start: int = 0,
    augment: Callable | None = None,
    places: np.ndarray | None = None,
):
    """Returns endless shuffled batches (images, labels), prepared ahead.

    Batch number i depends on (seed, i) alone, so `start` continues exactly where an earlier run stopped, at once.

    Arguments:
        real: uint8 images (n, h, w, 3), which may be on disk.
        rows: the numbers of the images to use; None: all.
        labels: those of all images; None: batches have labels (batch_size, 0).
        augment: a function (uint8 images, numbers) -> uint8 images, applied to every batch; a number in [0, 1) each.
        places: the places in the batch of the images that are wanted, as one replica of several needs; None: all.

    Returns:
        `Batches` of float32 images (n, h, w, 3) in [-1, 1] and float32 labels (n, k), n being batch_size, or the number
        of `places`.
    """
    import tensorflow as tf  # takes seconds, which a mistyped --data should not wait for

    width = labels.width if labels else 0
    places = np.arange(batch_size) if places is None else places
    gather = _make_gather(real, np.arange(len(real)) if rows is None else rows, batch_size, places, seed)

    def load(i: int) -> tuple[np.ndarray, np.ndarray]:
        batch, chosen = gather(i)
        if augment:
            batch = augment(batch, np.random.default_rng([seed, i, 1]).random(batch_size)[places])
        # In NumPy, which is faster than TensorFlow.
        encoded = labels.encode(labels.codes[chosen]) if labels else np.zeros((len(chosen), 0), np.float32)
        return images.to_float(batch.astype(np.float32)), encoded

    loader = _Loader(load)

    def batch(i):
        loaded, chosen = tf.numpy_function(loader.take, [i], (tf.float32, tf.float32), stateful=False)
        return (
            tf.ensure_shape(loaded, (len(places), *real.shape[1:])),
            tf.ensure_shape(chosen, (len(places), width)),
        )

    options = tf.data.Options()  # without these, TensorFlow would prefetch in its own threads
    options.autotune.enabled = options.experimental_optimization.apply_default_optimizations = False
    dataset = tf.data.Dataset.range(start, np.iinfo(np.int64).max).map(batch).with_options(options)
    return Batches(dataset, loader, start)


class Batches:
    """An endless iterable over a tf.data.Dataset whose batches a `_Loader` prepares ahead.

    Each batch is waited for in Python, where Ctrl-C is heard, and not in TensorFlow.
    """

    def __init__(self, dataset, loader: "_Loader", start: int):
        self.dataset, self.loader, self.start = dataset, loader, start

    def __iter__(self) -> Iterator:
        iterator = iter(self.dataset)
        try:
            for i in itertools.count(self.start):
                self.loader.prepare(i).exception()  # waits; an exception is raised by the next line
                batch = next(iterator)
                # Only now: the loader's threads would compete with the line above for Python's lock, which is free
                # during the training step.
                self.loader.prepare(i + 1)
                yield batch
        finally:
            self.loader.close()


class _Loader:
    """Computes load(i), and the results after it in background threads.

    These are Python's threads, not those of `Dataset.prefetch`: at exit, Python and TensorFlow's threads would wait for
    each other for ever. They are daemons, so that Python does not wait for them either.
    """

    def __init__(self, load: Callable[[int], tuple]):
        self.load, self.jobs, self.futures, self.threads = load, SimpleQueue(), {}, []

    def prepare(self, i: int) -> Future:
        """Starts to compute load(i) and the next ones, as far as that was not done, and returns the first's future."""
        while len(self.threads) < WORKERS:
            self.threads.append(threading.Thread(target=self.work, daemon=True))
            self.threads[-1].start()
        for number in range(i, i + AHEAD):
            if number not in self.futures:
                self.futures[number] = Future()
                self.jobs.put((number, self.futures[number]))
        return self.futures[i]

    def take(self, i: int) -> tuple:
        """Returns load(i), and forgets it."""
        result = self.prepare(int(i)).result()
        del self.futures[int(i)]
        return result

    def work(self) -> None:
        """Computes what is asked for, in a thread, until `close`."""
        while job := self.jobs.get():
            number, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self.load(number))
            except BaseException as error:
                future.set_exception(error)

    def close(self) -> None:
        """Ends the threads, after what each is computing."""
        for future in self.futures.values():
            future.cancel()
        for _ in self.threads:
            self.jobs.put(None)
        self.futures, self.threads = {}, []


def _make_gather(real: np.ndarray, rows: np.ndarray, batch_size: int, places: np.ndarray, seed: int) -> Callable:
    """A function from the number of a batch to a copy of its images at some places, and their numbers.

    It leaves no pages of the cache in memory.

    A page of a mapped file counts as this program's memory, and one row may bring two megabytes of its neighbors
    with it. Released pages stay in the system's file cache, and cost a microsecond to map again.
    """
    pixels, mapping = np.asarray(real), getattr(real, "_mmap", None)
    release = getattr(mapping, "madvise", None) if hasattr(mmap, "MADV_DONTNEED") else None  # not on Windows

    def gather(i: int) -> tuple[np.ndarray, np.ndarray]:
        batch = np.empty((len(places), *pixels.shape[1:]), np.uint8)
        numbers = rows[order(seed, i * batch_size, batch_size, len(rows))[places]]
        for piece in range(0, len(places), PIECE):
            batch[piece : piece + PIECE] = pixels[numbers[piece : piece + PIECE]]
            if release:
                release(mmap.MADV_DONTNEED)
        return batch, numbers

    return gather


def _require_readable(faces: Faces, allow_bad: bool) -> None:
    bad, chosen = faces.report["skipped"]["unreadable"], faces.report["chosen"]
    if bad > MOST_UNREADABLE * chosen and not allow_bad:
        raise RunError(
            f"{bad:,} of {chosen:,} images in {faces.report['source']} cannot be read: "
            f"{summarize_skipped(faces.skipped[:bad])}{advise(faces.skipped[:bad])}."
            " To train on the others, add --allow-bad; skipped.csv in the folder of the run then names each."
        )
