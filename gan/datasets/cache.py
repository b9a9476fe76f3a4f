"""Cache of decoded images: <key>.npy, which is mapped into memory, and <key>.json, which says what is in it.

path = folder / f"{compute_key(source.identity, 64, crop)}.npy"
images, report, skipped, digests, copies = open_or_build(path, lambda: (source, range(len(source.names))), 64)
"""

import contextlib
import errno
import functools
import hashlib
import json
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from gan import files, images
from gan.datasets.report import advise
from gan.datasets.source import stop_at_failures, summarize_skipped
from gan.devices import count_cores
from gan.errors import RunError, UsageError
from gan.image_files.value_range import ValueCounts, count_values, describe_range, find_range
from gan.progress import track_task

VERSION = 11  # raise it when the same files would give other pixels, or the report has other keys
CHUNK = 64  # images decoded by one task
HEADER = 128  # bytes of the header of a .npy file whose shape has four numbers
NEARLY = 20  # of 255: how far the pixels of a nearly black, white or one-colored image may be from that
# Of 255: the least that is not nearly black. Pillow reads the upper 8 of 16 bits, of which cameras use 12 or 14.
DARK = 64


def compute_key(*parts: object) -> str:
    """Computes the name of a cache file from all that its content depends on: 24 hexadecimal digits."""
    return hashlib.blake2b(json.dumps([VERSION, *parts]).encode(), digest_size=12).hexdigest()


class CachedImages(NamedTuple):
    """What a cache holds.

    Arguments:
        pixels: uint8 (n, h, w, 3), mapped from disk.
        report: counts of files, sizes and modes, as in data.json.
        skipped: (name, reason) of skipped files, first of unreadable images.
        digests: of the content of each image, uint64 (n,).
        copies: the number of an image, and that of an earlier one with the same pixels, int64 (k, 2).
    """

    pixels: np.ndarray
    report: dict
    skipped: list[tuple[str, str]]
    digests: np.ndarray
    copies: np.ndarray


def open_or_build(path: Path, choose: Callable, size: int, **settings) -> CachedImages:
    """Returns what `read` does, after `build` where the cache is not whole.

    What processes that were killed left in the folder is removed.

    Arguments:
        choose: a function () -> source and numbers of the images, as for `build`, which is called in that case only.
        size, settings: as for `build`.
    """
    files.remove_leftovers(path.with_name("[0-9a-f]" * len(path.stem) + ".*"))
    if path.exists():
        try:
            return read(path)
        except ValueError as error:
            print(f"The cache file {path} is damaged ({error}): building it again.", file=sys.stderr)
    source, numbers = choose()
    build(path, source, size, numbers=numbers, **settings)
    return read(path)


def build(path: Path, source, size: int, *, numbers: Sequence[int], crop: int = 0) -> None:
    """Decodes, crops and resizes the images of a source, and writes them to the cache.

    The .npy is written last and atomically, so the cache is whole where that file exists.

    Arguments:
        path: the .npy file; the .json is written beside it.
        source: a `gan.datasets.source.Source`.
        size: side of the decoded images in pixels.
        numbers: the images to use, as numbers in the source.
        crop: as for `gan.images.crop_square`.

    Raises:
        RunError: if no image can be read, or one cannot for a reason that may pass; then nothing is cached.
        UsageError: if the cache cannot be written.
    """
    source.prepare()
    names = [source.names[i] for i in numbers]
    ranges = {}  # mode -> `ValueCounts` and range of its values
    decode = functools.partial(_decode, stop_at_failures(source).read, size, crop, ranges)
    try:
        with files.atomic_write(path) as file:
            with track_task(f"Decoding {source.title}") as tick:
                decoded = _decode_all(file, names, lambda i: decode(numbers[i]), tick)
            if decoded.values:  # of modes whose range is known only now, so that their images can be decoded
                ranges |= {
                    mode: (counts, find_range(counts, images.INVERTED in mode))
                    for mode, counts in decoded.values.items()
                }
                with track_task(f"Decoding {source.title} again") as tick:
                    decoded = _decode_all(file, names, lambda i: decode(numbers[i]), tick)
            if not decoded.infos:
                skipped = decoded.skipped + source.left_out + source.passed_over
                reasons = summarize_skipped(skipped) or "it is empty"
                raise RunError(f"No usable image in {source.title}: {reasons}{advise(skipped)}.")
            _write_header(file, (decoded.infos.total(), size, size, 3))
            report = _make_report(source, decoded) | {"size": size, "key": path.stem}
            report["crop"] = source.crop or images.describe_crop(crop, report["sizes"])
            skipped = decoded.skipped + source.left_out + source.passed_over
            if source.origins is not None or decoded.skipped:  # else they are all that were asked for
                used = [numbers[i] for i in decoded.numbers]
                report["origins"] = used if source.origins is None else [source.origins[i] for i in used]
            parts = [report, skipped, decoded.digests.hex(), decoded.copies]
            with files.atomic_write(path.with_suffix(".json")) as beside:
                beside.write(json.dumps([*parts, compute_key(*parts)]).encode())  # with a checksum
    except OSError as error:
        reason = f"{path.parent} cannot be written ({error.strerror or error})"
        raise UsageError(f"The cache {reason}; choose another with --cache-dir.") from error


def read(path: Path) -> CachedImages:
    """Opens the cache.

    Raises:
        ValueError: if it is not whole.
        UsageError: if its files cannot be read.
        MemoryError: if there is too little memory to map them.
    """
    try:
        with files.damage_as_value_error():
            *parts, checksum = json.loads(path.with_suffix(".json").read_bytes())
            if checksum != compute_key(*parts):
                raise ValueError("its checksum is another")
            report, skipped, digests, copies = parts
            digests = np.frombuffer(bytes.fromhex(digests), ">u8")
            copies = np.array(copies, np.int64).reshape(-1, 2)
            pixels = files.map_array(path)
            size, length = report["size"], path.stat().st_size
            if pixels.dtype != np.uint8 or pixels.shape != (len(digests), size, size, 3):
                raise ValueError(f"its shape is {pixels.shape}")
            if len(digests) != report["used"] or length != HEADER + pixels.nbytes:
                raise ValueError("wrong length")
    except FileNotFoundError as error:
        raise ValueError("half of it is missing") from error
    except OSError as error:
        if error.errno == errno.ENOMEM:
            raise MemoryError(str(error)) from error
        reason = f"{path} cannot be read ({error.strerror or error})"
        raise UsageError(f"The cache file {reason}; choose another folder with --cache-dir.") from error
    return CachedImages(pixels, report, [(name, reason) for name, reason in skipped], digests, copies)


@dataclass
class _Decoded:
    """What became of the images of a source.

    Arguments:
        numbers: which images were read, by their place among those asked for.
        infos: how many images have each `ImageInfo`.
        looks: how many are nearly "black", "white" or of "one color".
        digests: of the content of each image, 8 bytes each.
        pixels: the different digests of pixels, each with the number of the first image that has it.
        copies: the numbers of an image, and of the first with the same pixels.
        skipped: (name, reason) of those that are unreadable.
        values: mode -> `ValueCounts` of the images that are not decoded yet, as their range is not known.
    """

    numbers: list[int] = field(default_factory=list)
    infos: Counter = field(default_factory=Counter)
    looks: Counter = field(default_factory=Counter)
    digests: bytearray = field(default_factory=bytearray)
    pixels: dict[bytes, int] = field(default_factory=dict)
    copies: list[tuple[int, int]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    values: dict[str, ValueCounts] = field(default_factory=dict)


def _decode_all(file: BinaryIO, names: list[str], decode: Callable, tick: Callable) -> _Decoded:
    """Writes all images that can be read."""
    result = _Decoded()
    file.truncate(0)
    _write_header(file, (0, 0, 0, 3))  # reserves its bytes
    with contextlib.closing(map_in_order(decode, len(names))) as decoded:
        for done, (name, image) in enumerate(zip(names, decoded, strict=True), start=1):
            if isinstance(image, str):
                result.skipped.append((name, image))
            elif isinstance(image, tuple):
                mode, counts = image
                result.values[mode] = result.values[mode] + counts if mode in result.values else counts
            else:
                file.write(image.pixels)
                result.numbers.append(done - 1)
                result.infos[image.info] += 1
                result.looks[image.look] += 1
                result.digests += image.digest
                number = len(result.numbers) - 1
                first = result.pixels.setdefault(hashlib.blake2b(image.pixels, digest_size=8).digest(), number)
                if first != number:
                    result.copies.append((number, first))
            tick(done, len(names))
    return result


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Writes the header of a .npy, of `HEADER` bytes, at the start of the file."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    assert file.tell() == HEADER


@dataclass(frozen=True)
class _Image:
    pixels: bytes
    info: images.ImageInfo
    look: str
    digest: bytes


def _decode(read: Callable, size: int, crop: int, ranges: dict, i: int) -> _Image | tuple[str, ValueCounts] | str:
    """Decodes image number `i`.

    Returns:
        The image; or its mode and the counts of its values, if the range of that mode is not in `ranges` yet; or the
        reason why it is unreadable.
    """
    try:
        image, info, content = read(i)
        if image.mode in images.WIDE_MODES:
            mode = info.mode.replace(images.FIRST, "")  # which does not change the range
            if mode not in ranges:
                return mode, count_values(np.asarray(image))
            counts, found = ranges[mode]
            image = images.scale_to_rgb(image, found)
            first = images.FIRST if mode != info.mode else ""
            info = info._replace(mode=f"{mode} of {describe_range(counts, found)}{first}")
        pixels = np.asarray(images.resize_image(images.crop_square(image, crop), size))
        digest = hashlib.blake2b(content, digest_size=8).digest()
        return _Image(pixels.tobytes(), info, _describe_look(pixels), digest)
    except images.UnreadableImage as error:
        return str(error)


def _describe_look(pixels: np.ndarray) -> str:
    """Returns "black", "white" or "one color" where an image is nearly that, else ""."""
    low, high = pixels.min(axis=(0, 1)), pixels.max(axis=(0, 1))
    if high.max() < NEARLY:
        return "black"
    if low.min() > 255 - NEARLY:
        return "white"
    if (high - low).max() < NEARLY:
        return "one color"
    return "black" if high.max() < DARK else ""


def map_in_order(work: Callable[[int], tuple], count: int, chunk: int = CHUNK) -> Iterator[tuple]:
    """Yields work(0), work(1), ..., computed on all cores a few chunks ahead, so memory does not grow with `count`."""
    workers = count_cores()
    pool, waiting = ThreadPoolExecutor(workers), deque()  # threads suffice, as Pillow releases the GIL
    try:
        for start in range(0, count, chunk):
            numbers = range(start, min(start + chunk, count))
            waiting.append(pool.submit(lambda numbers: [work(i) for i in numbers], numbers))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _make_report(source, decoded: _Decoded) -> dict:
    modes, sizes = Counter(), Counter()
    for info, count in decoded.infos.items():
        modes[info.mode] += count
        sizes["{}x{}".format(*info.size)] += count
    return {
        "source": source.title,
        "found": len(source.names),
        "used": decoded.infos.total(),
        "different": len(decoded.pixels),
        "looks": {look: count for look, count in decoded.looks.items() if look},
        "skipped": {"unreadable": len(decoded.skipped), "passed_over": len(source.passed_over)}
        | ({"left_out": len(source.left_out)} if source.left_out else {}),
        "modes": dict(modes.most_common()),
        "sizes": dict(sizes.most_common(5)),
        "distinct_sizes": len(sizes),
    }
