import gzip
import io
import zlib

import numpy as np
import pytest

from gan.datasets import indexed_gzip
from gan.datasets.indexed_gzip import IndexedGzip

# Half noise, half zeros, of which one packed byte gives a thousand.
CONTENT = b"".join(np.random.default_rng(i).bytes(30_000) + bytes(70_000) for i in range(5))


def write(path, *parts):
    """Writes a gzip file of members."""
    path.write_bytes(b"".join(map(gzip.compress, parts)))
    return path


@pytest.mark.parametrize("parts", [[CONTENT], [CONTENT[:3], b"", CONTENT[3:200_000], CONTENT[200_000:]], [b""]])
def test_reads_as_gzip(tmp_path, monkeypatch, parts):
    """Forward in pieces of any length, and then at any place, it reads what Python's gzip does."""
    monkeypatch.setattr(indexed_gzip, "SPACING", 70_000)
    path, content = write(tmp_path / "a.gz", *parts), b"".join(parts)
    with IndexedGzip(path) as file:
        found, length = b"", 1
        while piece := file.read(length):
            found, length = found + piece, 3 * length
            assert file.tell() == len(found)
    assert found == gzip.decompress(path.read_bytes()) == content
    for start, length in ((0, 10), (99_990, 20), (123_456, 300_000), (499_999, 5), (400_000, 0), (600_000, 5)):
        assert file.read_at(start, length) == content[start : start + length]


def test_few_places_are_kept(tmp_path, monkeypatch):
    """However long the file is, no more than the limit; they stay evenly spread."""
    monkeypatch.setattr(indexed_gzip, "SPACING", 1000)
    monkeypatch.setattr(indexed_gzip, "MOST_PLACES", 8)
    with IndexedGzip(write(tmp_path / "a.gz", CONTENT * 20)) as file:
        file.seek(len(CONTENT) * 20)
        assert file.tell() == len(CONTENT) * 20 and file.read(1) == b""
    positions = [place.position for place in file.places]
    gaps = np.diff([*positions, len(CONTENT) * 20])
    assert positions[0] == 0 and 3 <= len(positions) <= 8 and max(gaps) <= 2 * file.spacing
    assert file.read_at(1_234_567, 100) == (CONTENT * 20)[1_234_567:1_234_667]


def test_seek(tmp_path):
    """It goes forward, to the end at most, and never back."""
    with IndexedGzip(write(tmp_path / "a.gz", CONTENT)) as file:
        file.seek(250_000)
        assert file.read(100_000) == CONTENT[250_000:350_000]
        with pytest.raises(io.UnsupportedOperation):
            file.seek(10)
        file.seek(10**9)
        assert file.tell() == len(CONTENT)


def test_damaged_files(tmp_path):
    """A file that is cut off, or changed, raises; zeros at its end are padding, other bytes are not."""
    path = write(tmp_path / "a.gz", CONTENT)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[20_000] ^= 255
    for content, error in (
        (whole[:-1], EOFError), (whole[:9], EOFError), (b"", EOFError), (bytes(changed), zlib.error),
        (whole + bytes(1000), None), (whole + b"xx", zlib.error),
    ):  # fmt: skip
        path.write_bytes(content)
        with IndexedGzip(path) as file:
            if error:
                with pytest.raises(error):
                    file.seek(len(CONTENT) + 1)
            else:
                assert file.read(len(CONTENT) + 1) == CONTENT


def test_places_of_all_files_are_few(tmp_path, monkeypatch):
    """Of several open files, all together keep no more than the limit, each at least one, and all can be read."""
    monkeypatch.setattr(indexed_gzip, "SPACING", 1000)
    monkeypatch.setattr(indexed_gzip, "MOST_PLACES", 12)
    opened = []
    for i in range(4):
        with IndexedGzip(write(tmp_path / f"{i}.gz", CONTENT[i:])) as file:
            file.seek(len(CONTENT))
            opened.append(file)
    assert sum(len(file.places) for file in opened) <= 12 and all(file.places[0].position == 0 for file in opened)
    for start in (300_000, 10, 499_000, 123_456):
        for i, file in enumerate(opened):
            assert file.read_at(start, 500) == CONTENT[i:][start : start + 500]
