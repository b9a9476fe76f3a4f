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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from queue import SimpleQueue

import numpy as np

from gan import files, images, progress
from gan.datasets import Request, built_in_names, cache, open_source
from gan.datasets.joined import join
from gan.datasets.labels import find_labels
from gan.datasets.report import advise, describe, describe_choice, describe_labels, find_copies
from gan.datasets.source import Source, summarize_skipped
from gan.errors import RunError, UsageError
from gan.faces import alignment
from gan.files import cache_folder
from gan.labels import Labels

SIZES = range(16, 129, 4)
MOST_UNREADABLE = 0.05  # share of the images
FEWEST_HELD = 20  # held-out images that a score needs
WORKERS, AHEAD = 2, 3  # threads that prepare batches, and batches that are prepared ahead
MEASURED = 16  # images, evenly spread over a data set, whose sizes stand for all
PIECE = 32  # rows copied before the pages that they came from are released


@dataclass(frozen=True)
class Faces:
    """Decoded images, and what became of the other files.

    Arguments:
        images: uint8 (n, h, w, 3), on disk.
        report: counts of found, used and skipped files, sizes, modes and crop, for data.json.
        skipped: (name, reason), first of the unreadable images, then of the files that were passed over.
        avatars: whether all images are avatars, which a face detector does not find.
        digests: uint64 (n,), of the content of each file.
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

    def split(self, holdout: float) -> tuple[np.ndarray, np.ndarray]:
        """Splits the images into those to train on and those held out.

        The content of an image decides, so an image is on the same side on every machine and in every folder, and so
        are its copies. None is held out where fewer than `FEWEST_HELD` are to be expected, or where nearly all images
        are copies of one.

        Returns:
            The numbers of the images to train on, and of the share `holdout` that is held out, each in order; without
            images that have no label, unless these are kept.
        """
        used = np.ones(len(self.images), bool)
        if self.labels and self.unlabelled == "drop":
            used = self.labels.known
        share = holdout if holdout * used.sum() >= FEWEST_HELD else 0.0
        held = used & (self.digests < np.uint64(int(share * 2**64))) if share else np.zeros(len(used), bool)
        if (held == used).all() or len(np.unique(self.digests[held])) < 2:  # distances need two
            held[:] = False
        return np.flatnonzero(used & ~held), np.flatnonzero(held)


def load(
    source: str | Sequence[str],
    image_size: int,
    *,
    limit: int = 0,
    sample: int = 0,
    crop: int = 0,
    seed: int = 0,
    cache_dir: str | os.PathLike | None = None,
    allow_bad: bool = False,
    allow_truncated: bool = False,
    max_pixels: int = images.MAX_PIXELS,
    seconds_between_frames: float = 1.0,
    align: str = "no",
    min_face: int = 48,
    keep_duplicates: bool = False,
    labels: str = "none",
    attributes: str = "",
    unlabelled: str = "drop",
    opened: dict[str, Source] | None = None,
) -> Faces:
    """Opens a data source and decodes its images, once: after that they come from the cache.

    Arguments:
        source: as for --data (see gan/datasets); several are joined.
        image_size: the side of the decoded images in pixels, a multiple of 4 from 16 to 128.
        limit: how many images to use, the first by name; 0: all, or 10,000 avatars.
        sample: how many of these to use, chosen at random; 0: all.
        crop: as for `gan.images.crop_square`.
        seed: of the avatars, and of the choice.
        cache_dir: the folder of the cache; None: the user's cache folder.
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
        opened: sources that `open_files` has opened, by their names: they are taken out of it, not opened again.

    Raises:
        UsageError: where the source or a setting is not allowed.
        RunError: where more than 5% of the images cannot be read, unless `allow_bad`.
    """
    if image_size not in SIZES:
        raise UsageError(f"--image-size {image_size}: give a multiple of 4 from 16 to 128.")
    if limit < 0 or sample < 0 or crop < 0:
        raise UsageError(f"--limit {limit} --sample {sample} --crop {crop}: none can be negative; 0 is the default.")
    folder = cache_folder(cache_dir)
    names_of_data = [source] if isinstance(source, str) else source
    request = Request("", image_size, limit, seed, folder, max_pixels, seconds_between_frames, progress.track_task)
    sources = [(opened or {}).pop(each, None) or open_source(replace(request, data=each)) for each in names_of_data]
    joined = sources[0] if len(sources) == 1 else join(sources)
    numbers = choose(len(joined.names), limit, sample, seed)
    if sample > len(numbers):
        warnings.warn(f"--sample {sample:,}: there are only {len(numbers):,} images", stacklevel=2)
    with images.allow_truncated_files(allow_truncated):
        parts = split_by_source(numbers, [len(each.names) for each in sources])
        settings = {"min_face": min_face, "folder": folder, "progress": progress.track_task}
        decisions = [
            decide_alignment(align, crop, each, some, name in built_in_names(), settings)
            for name, each, some in zip(names_of_data, sources, parts, strict=True)
        ]
        aligned = [decision.align for decision in decisions]
        choice = [limit, *([sample, seed] if sample else [])]
        limits = [max_pixels, allow_truncated, images.has_heif(), images.has_avif()]
        extra = [alignment.VERSION, aligned, min_face, keep_duplicates] if any(aligned) else []
        path = folder / f"{cache.compute_key(joined.identity, image_size, crop, choice, limits, *extra)}.npy"

        def choose_images():
            if not any(aligned):
                return joined, numbers
            align_one = functools.partial(alignment.align, size=image_size, keep_copies=keep_duplicates, **settings)
            return alignment.join_aligned(sources, parts, decisions, align_one)

        pixels, report, skipped, digests = cache.open_or_build(
            path, choose_images, image_size, crop=crop, progress=progress.track_task
        )
    describe_choice(report, joined, sources, decisions, len(numbers), bool(sample))
    origins = find_origins(report, joined.names, numbers, skipped)
    left_out = skipped[: report["skipped"]["unreadable"] + report["skipped"].get("left_out", 0)]
    if not any(aligned):  # of faces that were cut out, the copies are left out already
        report["copies"], report["first_copy"] = find_copies([joined.names[i] for i in origins], digests)
    found = None
    if labels != "none" or attributes:
        if len(origins) != len(pixels):  # of a cache by an earlier version, whose images have equal or other names
            raise UsageError(f"{path} does not tell which images are unreadable. Delete it and repeat the command.")
        wanted = [name.strip() for name in attributes.split(",") if name.strip()]
        found, where = find_labels(sources, names_of_data, "auto" if labels == "none" else labels, wanted)
        report["labels"], found = {"from": where}, found.take(origins)
        left_out += describe_labels(found, [joined.names[i] for i in origins], unlabelled, report)
    faces = Faces(pixels, report, left_out + joined.passed_over, joined.avatars, digests, found, unlabelled)
    _require_readable(faces, allow_bad)
    return faces


def open_files(
    source: str | Sequence[str],
    *,
    cache_dir: str | os.PathLike | None = None,
    max_pixels: int = images.MAX_PIXELS,
    seconds_between_frames: float = 1.0,
) -> dict[str, Source]:
    """Opens data sources that are not built in, without decoding their images, by their names.

    Arguments and what is raised are those of `load`, which takes the result.
    """
    folder = cache_folder(cache_dir)
    # Files are opened alike for images of every size.
    request = Request("", SIZES[0], 0, 0, folder, max_pixels, seconds_between_frames, progress.track_task)
    names = [source] if isinstance(source, str) else source
    return {name: open_source(replace(request, data=name)) for name in names if name not in built_in_names()}


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


def find_origins(report: dict, names: Sequence[str], numbers: Sequence[int], skipped: list) -> Sequence[int]:
    """Returns, for each decoded image, the number of the image of the source that it comes from.

    The report of the cache lists them, and is given back without, where faces were cut out or images are unreadable.
    Else all of `numbers` were decoded; but of an earlier version's cache, the unreadable ones are left out by name.
    """
    if (origins := report.pop("origins", None)) is not None:
        return origins
    unreadable = {name for name, _ in skipped[: report["skipped"]["unreadable"]]}
    return [i for i in numbers if names[i] not in unreadable]


def split_by_source(numbers: Sequence[int], counts: list[int]) -> list[list[int]]:
    """Splits numbers of joined images into those of each source, which has `counts` images."""
    ends = np.cumsum([0, *counts])
    numbers = np.asarray(numbers)
    return [(numbers[(numbers >= low) & (numbers < high)] - low).tolist() for low, high in itertools.pairwise(ends)]


def decide_alignment(
    align: str, crop: int, source: Source, numbers: Sequence[int], built_in: bool, settings: dict
) -> alignment.Decision:
    """Decides whether the images of a source are aligned, as `load` is told. Raises UsageError."""
    if align == "yes" and crop:
        raise UsageError(
            f"--align yes --crop {crop}: aligned faces are cut out by eyes and mouth. Give one of the two."
        )
    if align == "auto" and not built_in and not crop:
        return alignment.decide(source, numbers, **settings)
    return alignment.Decision(align == "yes", "")


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
