"""Cache of decoded images: <key>.npy, which is mapped into memory, and beside it <key>.json, the report.

build(path, source, 64, crop=0, limit=0, progress=track_task)  # from a gan.datasets.source.Source
images, report, skipped, attributes, digests = read(path)
"""

import contextlib
import functools
import hashlib
import json
import os
import sys
import time
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


def key(*parts: object) -> str:
    """The name of a cache file that depends on these parts: 24 hexadecimal digits."""
    return hashlib.blake2b(json.dumps([VERSION, *parts]).encode(), digest_size=12).hexdigest()


def build(path: Path, source, size: int, *, crop: int, limit: int, progress: Callable) -> None:
    """Decodes a source to `size` x `size`. The .npy is written last and atomically: where it is, the cache is whole.

    Raises `RunError` when no image can be read, `UsageError` when the cache cannot be written.
    """
    for part in path.parent.glob(f".{path.name}.*.part"):
        if time.time() - part.stat().st_mtime > 3600:  # of a build that was killed, not of one at work
            part.unlink(missing_ok=True)
    attributes = source.prepare()
    decode = functools.partial(_decode, source.read, size, crop)
    names = source.names[: limit or None]
    try:
        with files.atomic_write(path) as file:
            with progress(f"Decoding {source.title}") as tick:
                seen, digests, skipped = _decode_all(file, names, decode, tick)
            if not seen:
                raise RunError(f"No readable image in {source.title}: {first_few(skipped)}.")
            _rewind(file, (seen.total(), size, size, 3))
            report = _report(source, seen, len(skipped)) | {"size": size, "key": path.stem}
            report["crop"] = images.describe_crop(crop, report["sizes"])
            with files.atomic_write(path.with_suffix(".json")) as beside:
                beside.write(json.dumps([report, skipped + source.passed_over, attributes, digests.hex()]).encode())
    except OSError as error:
        reason = f"{path.parent} cannot be written ({error.strerror or error})"
        raise UsageError(f"The cache {reason}; choose another with --cache-dir.") from error


def read(path: Path) -> tuple[np.ndarray, dict, list[tuple[str, str]], dict, np.ndarray]:
    """Images uint8 (n, h, w, 3) on disk, report, (name, reason) of skipped files, attributes, digests uint64 (n,).

    Raises `ValueError` when the cache is not whole.
    """
    try:
        report, skipped, attributes, digests = json.loads(path.with_suffix(".json").read_bytes())
        digests = np.frombuffer(bytes.fromhex(digests), ">u8")
        pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, TypeError) as error:
        raise ValueError(str(error)) from error
    if not len(pixels) == len(digests) == report["used"] or path.stat().st_size != pixels.offset + pixels.nbytes:
        raise ValueError("wrong length")
    return pixels, report, [(name, reason) for name, reason in skipped], attributes, digests


def is_whole(path: Path) -> bool:
    """Whether the cache can be read; a damaged one is reported on standard error."""
    if not path.exists():
        return False
    try:
        read(path)
    except ValueError as error:
        print(f"The cache file {path} is damaged ({error}): building it again.", file=sys.stderr)
        return False
    return True


def first_few(skipped: list[tuple[str, str]], most: int = 5) -> str:
    """The first few of (name, reason), in one line for a person."""
    named = [f"{name} ({reason})" for name, reason in skipped[:most]]
    more = [f"and {len(skipped) - most:,} more"] if len(skipped) > most else []
    return ", ".join(named + more) or "nothing is named like an image"


def _decode_all(file: BinaryIO, names: list[str], decode: Callable, tick: Callable) -> tuple[Counter, bytes, list]:
    """Writes all images that can be read; returns counts of their `ImageInfo`s, their digests, and the skipped ones."""
    seen, digests, skipped = Counter(), bytearray(), []
    _rewind(file, (0, 0, 0, 3))  # holds the place of the header
    with contextlib.closing(_in_order(decode, len(names))) as decoded:
        for done, (name, (row, found, digest)) in enumerate(zip(names, decoded, strict=True), start=1):
            if row is None:
                skipped.append((name, found))
            else:
                file.write(row)
                seen[found] += 1
                digests += digest
            tick(done, len(names))
    return seen, bytes(digests), skipped


def _rewind(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Writes the header of a .npy at the start of the file: 128 bytes, whatever the shape."""
    file.seek(0)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    assert file.tell() == 128


def _decode(read: Callable, size: int, crop: int, i: int) -> tuple[bytes | None, images.ImageInfo | str, bytes]:
    """The pixels, `ImageInfo` and digest of image number `i`, or None and the reason why it cannot be read."""
    try:
        image, info, content = read(i)
        digest = hashlib.blake2b(content, digest_size=8).digest()
        return images.resize_image(images.crop_square(image, crop), size).tobytes(), info, digest
    except images.UnreadableImage as error:
        return None, str(error), b""


def _in_order(work: Callable[[int], tuple], count: int) -> Iterator[tuple]:
    """work(0), work(1), ... on every core, at most a few chunks ahead: memory does not grow with `count`."""
    workers = os.cpu_count() or 1
    pool, waiting = ThreadPoolExecutor(workers), deque()  # threads, since Pillow lets go of Python's lock
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


def _report(source, seen: Counter, unreadable: int) -> dict:
    modes, sizes = Counter(), Counter()
    for info, count in seen.items():
        modes[info.mode] += count
        sizes["{}x{}".format(*info.size)] += count
    return {
        "source": source.title,
        "found": len(source.names),
        "used": seen.total(),
        "skipped": {"unreadable": unreadable, "passed_over": len(source.passed_over)},
        "modes": dict(modes.most_common()),
        "sizes": dict(sizes.most_common(5)),
        "distinct_sizes": len(sizes),
    }
