"""Reads gzip files at any place: notes, on the first pass, places at which unpacking can start again.

with IndexedGzip("faces.tar.gz") as content:
    content.read(512)                # forward, to the end
content.read_at(1_000_000, 20_000)   # at any place that was passed, by several threads at once
"""

import bisect
import io
import threading
import weakref
import zlib
from pathlib import Path
from typing import BinaryIO

SPACING = 1 << 17  # unpacked bytes from one place to the next, at least
MOST_PLACES = 1600  # of all open files; each takes 41 KB of memory, measured
PIECE = 1 << 16  # bytes that are unpacked at once
GZIP = 31  # zlib's name of the format, with a window of any size

_OPEN, _LOCK = weakref.WeakSet(), threading.Lock()  # each `IndexedGzip` that is in use


class _Unpacker:
    """Unpacks a file piece by piece: the members of which it consists, one after the other. RFC 1952, section 2.2."""

    def __init__(self, packed: int = 0, position: int = 0, state=None):
        self.packed, self.position = packed, position  # bytes that were read and unpacked
        self.state = state or zlib.decompressobj(GZIP)

    def copy(self) -> "_Unpacker":
        return _Unpacker(self.packed, self.position, self.state.copy())

    def next_piece(self, file: BinaryIO) -> bytes:
        """Returns up to `PIECE` bytes, b"" at the end. Raises EOFError and zlib.error for damaged files."""
        while True:
            rest = self.state.unconsumed_tail
            if self.state.eof:
                rest = self.state.unused_data or self._read(file)
                if not rest.strip(b"\0"):  # files may be padded
                    return b""
                self.state = zlib.decompressobj(GZIP)
            rest = rest or self._read(file)
            piece = self.state.decompress(rest, PIECE)
            self.position += len(piece)
            if piece:
                return piece
            if not rest and not self.state.eof:
                raise EOFError("it is cut off")

    def _read(self, file: BinaryIO) -> bytes:
        content = file.read(PIECE // 4)
        self.packed += len(content)
        return content


class IndexedGzip:
    """The content of a gzip file: read forward once, then at any place. Errors are those of `_Unpacker`."""

    def __init__(self, path: Path):
        self.path, self.places, self.spacing = path, [], SPACING
        self.unpacker, self.piece = _Unpacker(), b""
        self.last = threading.local()  # where each thread stopped: an unpacker, and the last piece
        with _LOCK:
            _OPEN.add(self)

    def __enter__(self):
        self.file = open(self.path, "rb")
        return self

    def __exit__(self, *_):
        self.file.close()

    def tell(self) -> int:
        """Returns how many bytes were read."""
        return self.unpacker.position - len(self.piece)

    def seek(self, position: int) -> None:
        """Moves forward."""
        if position < self.tell():
            raise io.UnsupportedOperation("only forward")
        while position > self.unpacker.position and self._advance():
            pass
        self.piece = self.piece[min(position - self.tell(), len(self.piece)) :]

    def read(self, length: int) -> bytes:
        """Reads the next bytes, fewer at the end."""
        parts = []
        while length and (self.piece or self._advance()):
            parts.append(self.piece[:length])
            self.piece = self.piece[length:]
            length -= len(parts[-1])
        return b"".join(parts)

    def read_at(self, position: int, length: int) -> bytes:
        """Reads from any place that was passed; fewer bytes at the end. Several threads may call it at once.

        A thread goes on where it read last, if that is nearer than the place before `position`.
        """
        places = self.places  # another thread may replace the list
        place = places[bisect.bisect(places, position, key=lambda place: place.position) - 1]
        unpacker, piece = getattr(self.last, "unpacker", place), getattr(self.last, "piece", b"")
        self.last.__dict__.clear()
        if not place.position <= unpacker.position - len(piece) <= position:
            unpacker, piece = place, b""
        if unpacker is place:
            unpacker = place.copy()
        parts, end = [], position + length
        with open(self.path, "rb") as file:
            file.seek(unpacker.packed)
            while True:
                start = unpacker.position - len(piece)
                parts.append(piece[max(position - start, 0) : max(end - start, 0)])
                if unpacker.position >= end or not (piece := unpacker.next_piece(file)):
                    break
        self.last.unpacker, self.last.piece = unpacker, piece
        return b"".join(parts)

    def drop_places(self) -> None:
        """Forgets every second place, but not the first one."""
        self.places, self.spacing = self.places[::2], 2 * self.spacing

    def _advance(self) -> bool:
        """Unpacks the next piece, and notes the place before it where the last one is far. Returns False at the end."""
        far = not self.places or self.unpacker.position >= self.places[-1].position + self.spacing
        if far and not self.unpacker.state.eof:
            self.places.append(self.unpacker.copy())
            _drop_places()
        self.piece = self.unpacker.next_piece(self.file)
        return bool(self.piece)


def _drop_places() -> None:
    """Keeps the places of all files together to `MOST_PLACES`, though each file keeps its first one."""
    with _LOCK:
        while sum(len(each.places) for each in _OPEN) > MOST_PLACES:
            most = max(_OPEN, key=lambda each: len(each.places))
            if len(most.places) == 1:
                break
            most.drop_places()
