"""Cache of decoded images: <key>.npy, which is mapped into memory, and <key>.json, which says what is in it.

path = folder / f"{compute_key(source.identity, 64, limit, crop)}.npy"
build(path, source, 64, crop=0, limit=0, progress=track_task)
images, report, skipped, attributes, digests = read(path)
"""

import contextlib
import functools
import hashlib
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan import files, images
from gan.errors import RunError, UsageError

VERSION = 4  # raise it when the same files would give other pixels, or the report has other keys
CHUNK = 64  # images decoded by one task


def compute_key(*parts: object) -> str:
    """Computes the name of a cache file from all that its content depends on: 24 hexadecimal digits."""
    return hashlib.blake2b(json.dumps([VERSION, *parts]).encode(), digest_size=12).hexdigest()


def build(path: Path, source, size: int, *, crop: int, limit: int, progress: Callable) -> None:
    """Decodes, crops and resizes the images of a source, and writes them to the cache.

    The .npy is written last and atomically, so the cache is whole where that file exists.

    Arguments:
        path: the .npy file; the .json is written beside it.
        source: a `gan.datasets.source.Source`.
        size: side of the decoded images in pixels.
        crop: as for `gan.images.crop_square`.
        limit: the number of images to use, the first by name; 0: all.
        progress: a function (title) -> context manager that yields tick(done, total).

    Raises:
        RunError: if no image can be read.
        UsageError: if the cache cannot be written.
    """
    files.remove_leftovers(path.with_name("*"))
    attributes = source.prepare()
    decode = functools.partial(_decode, source.read, size, crop)
    names = source.names[: limit or None]
    try:
        with files.atomic_write(path) as file:
            with progress(f"Decoding {source.title}") as tick:
                counts, digests, skipped = _decode_all(file, names, decode, tick)
            if not counts:
                reasons = list_first(skipped)
                if not skipped and source.passed_over:
                    reasons += f", or it is passed over: {list_first(source.passed_over)}"
                raise RunError(f"No readable image in {source.title}: {reasons}.")
            _write_header(file, (counts.total(), size, size, 3))
            report = _make_report(source, counts, len(skipped)) | {"size": size, "key": path.stem}
            report["crop"] = images.describe_crop(crop, report["sizes"])
            with files.atomic_write(path.with_suffix(".json")) as beside:
                beside.write(json.dumps([report, skipped + source.passed_over, attributes, digests.hex()]).encode())
    except OSError as error:
        reason = f"{path.parent} cannot be written ({error.strerror or error})"
        raise UsageError(f"The cache {reason}; choose another with --cache-dir.") from error


def read(path: Path) -> tuple[np.ndarray, dict, list[tuple[str, str]], dict, np.ndarray]:
    """Opens the cache. Raises ValueError if it is not whole.

    Returns:
        Images uint8 (n, h, w, 3), mapped from disk; the report, as in data.json; (name, reason) of skipped files, first
        of unreadable images; attributes, as from `Source.prepare`; digests of the images, uint64 (n,).
    """
    try:
        report, skipped, attributes, digests = json.loads(path.with_suffix(".json").read_bytes())
        digests = np.frombuffer(bytes.fromhex(digests), ">u8")
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
        used = report["used"]
    except (OSError, EOFError, TypeError, KeyError) as error:
        raise ValueError(str(error)) from error
    if not len(pixels) == len(digests) == used or path.stat().st_size != pixels.offset + pixels.nbytes:
        raise ValueError("wrong length")
    return pixels, report, [(name, reason) for name, reason in skipped], attributes, digests


def is_whole(path: Path) -> bool:
    """Tests whether the cache can be read, and reports a damaged one on standard error."""
    if not path.exists():
        return False
    try:
        read(path)
    except ValueError as error:
        print(f"The cache file {path} is damaged ({error}): building it again.", file=sys.stderr)
        return False
    return True


def list_first(skipped: list[tuple[str, str]], count: int = 5) -> str:
    """Formats the first few of (name, reason) in one line, with the number of the others."""
    named = [f"{name} ({reason})" for name, reason in skipped[:count]]
    more = [f"and {len(skipped) - count:,} more"] if len(skipped) > count else []
    return ", ".join(named + more) or "nothing is named like an image"


def _decode_all(file: BinaryIO, names: list[str], decode: Callable, tick: Callable) -> tuple[Counter, bytes, list]:
    """Writes all images that can be read.

    Returns:
        How many images have each `ImageInfo`; their digests, 8 bytes each; (name, reason) of those that are unreadable.
    """
    counts, digests, skipped = Counter(), bytearray(), []
    _write_header(file, (0, 0, 0, 3))  # reserves its bytes
    with contextlib.closing(_map_in_order(decode, len(names))) as decoded:
        for done, (name, (pixels, info_or_reason, digest)) in enumerate(zip(names, decoded, strict=True), start=1):
            if pixels is None:
                skipped.append((name, info_or_reason))
            else:
                file.write(pixels)
                counts[info_or_reason] += 1
                digests += digest
            tick(done, len(names))
    return counts, bytes(digests), skipped


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Writes the header of a .npy at the start of the file: 128 bytes for every shape of four numbers."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    assert file.tell() == 128


def _decode(read: Callable, size: int, crop: int, i: int) -> tuple[bytes | None, images.ImageInfo | str, bytes]:
    """Returns the pixels, `ImageInfo` and digest of image number `i`, or None and the reason why it is unreadable."""
    try:
        image, info, content = read(i)
        digest = hashlib.blake2b(content, digest_size=8).digest()
        return images.resize_image(images.crop_square(image, crop), size).tobytes(), info, digest
    except images.UnreadableImage as error:
        return None, str(error), b""


def _map_in_order(work: Callable[[int], tuple], count: int) -> Iterator[tuple]:
    """Yields work(0), work(1), ..., computed on all cores a few chunks ahead, so memory does not grow with `count`."""
    workers = os.cpu_count() or 1
    pool, waiting = ThreadPoolExecutor(workers), deque()  # threads suffice, as Pillow releases the GIL
    try:
        for start in range(0, count, CHUNK):
            numbers = range(start, min(start + CHUNK, count))
            waiting.append(pool.submit(lambda numbers: [work(i) for i in numbers], numbers))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _make_report(source, counts: Counter, unreadable: int) -> dict:
    modes, sizes = Counter(), Counter()
    for info, count in counts.items():
        modes[info.mode] += count
        sizes["{}x{}".format(*info.size)] += count
    return {
        "source": source.title,
        "found": len(source.names),
        "used": counts.total(),
        "skipped": {"unreadable": unreadable, "passed_over": len(source.passed_over)},
        "modes": dict(modes.most_common()),
        "sizes": dict(sizes.most_common(5)),
        "distinct_sizes": len(sizes),
    }
