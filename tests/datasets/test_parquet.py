import importlib.util
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from data_files import encode_png, open_data, read_pixels, save_parquet

from gan.datasets import parquet
from gan.errors import UsageError
from gan.images import UnreadableImage

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_reads_a_shard_of_hugging_face(tmp_path, eight, rows):
    """A column of bytes and path is read in groups of any length, in any order."""
    faces = [encode_png(face) for face in eight]
    opened = open_data(save_parquet(tmp_path / "train-00000-of-00002.parquet", faces, rows))
    assert opened.names[7] == "train-00000-of-00002.parquet[7]"
    np.testing.assert_array_equal(read_pixels(opened), eight)
    for i in (7, 0, 5, 2):
        np.testing.assert_array_equal(np.asarray(opened.read(i)[0]), eight[i])
        assert opened.read(i)[2] == faces[i]


def test_threads_share_a_group(tmp_path, monkeypatch):
    """Eight threads that read the same rows have them in memory once; they are gone with the threads."""
    read, groups = parquet._read_group, []
    monkeypatch.setattr(parquet, "_read_group", lambda *args: groups.append(args[-1]) or read(*args))
    contents = [encode_png(np.full((8, 8), i, np.uint8)) for i in range(80)]
    opened = open_data(save_parquet(tmp_path / "a.parquet", contents, 40))
    with ThreadPoolExecutor(8) as pool:
        for start in (0, 40):
            found = list(pool.map(lambda i: opened.read(i)[2], range(start, start + 40)))
            assert found == contents[start : start + 40]
    assert set(groups) == {0, 1} and len(groups) <= 3 and len(parquet._GROUPS) <= 1


@pytest.mark.parametrize("kind", [pyarrow.binary(), pyarrow.large_binary()])
@pytest.mark.parametrize("columns", [["image"], ["img"], ["picture"], ["thumbnail", "image"]])
def test_columns(tmp_path, eight, kind, columns):
    """Plain bytes are read too: of the column of a usual name, or the only one."""
    faces = pyarrow.array([encode_png(face) for face in eight], kind)
    others = pyarrow.array([encode_png(face) for face in eight[::-1]], kind)
    table = dict.fromkeys(columns[:-1], others) | {columns[-1]: faces, "caption": ["a"] * 8}
    pyarrow.parquet.write_table(pyarrow.table(table), tmp_path / "a.parquet")
    np.testing.assert_array_equal(read_pixels(open_data(tmp_path / "a.parquet")), eight)


def test_columns_that_hold_no_images(tmp_path):
    """A table without bytes is refused with its columns."""
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "label": [1]}), tmp_path / "a.parquet")
    with pytest.raises(UsageError, match="text string, label int64"):
        open_data(tmp_path / "a.parquet")


def test_rows_without_bytes(tmp_path, eight):
    """A row that only names a file, and one that is empty, are unreadable; the others are read."""
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    values = [{"bytes": None, "path": "a.png"}, None, {"bytes": encode_png(eight[0]), "path": "b.png"}]
    pyarrow.parquet.write_table(pyarrow.table({"image": pyarrow.array(values, kind)}), tmp_path / "a.parquet")
    opened = open_data(tmp_path / "a.parquet")
    for i in (0, 1):
        with pytest.raises(UnreadableImage, match="without the bytes"):
            opened.read(i)
    np.testing.assert_array_equal(opened.read(2)[0], eight[0])


def test_a_bomb_takes_no_memory(tmp_path):
    """Rows of the same bytes, 100 MB, are in memory once, as they are in the file."""
    path = save_parquet(tmp_path / "a.parquet", [bytes(50_000)] * 2000, 2000)
    opened, before = open_data(path), pyarrow.total_allocated_bytes()
    with pytest.raises(UnreadableImage, match="zero"):
        opened.read(1999)
    assert pyarrow.total_allocated_bytes() - before < 10_000_000


def test_large_groups(tmp_path, eight, monkeypatch):
    """Groups of rows above the limit are refused before they are read; the error says what to do."""
    monkeypatch.setattr(parquet, "LARGEST_GROUP", 1000)
    with pytest.raises(UsageError, match="groups of 100 rows"):
        open_data(save_parquet(tmp_path / "a.parquet", [encode_png(face) for face in eight]))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"<html>"])
def test_not_a_parquet_file(tmp_path, content):
    """It is refused."""
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.parquet: not a Parquet file"):
        open_data(tmp_path / "a.parquet")


def test_damaged_pages(tmp_path, eight):
    """Images of a damaged group are unreadable, or are refused with the file."""
    path = save_parquet(tmp_path / "a.parquet", [encode_png(face) for face in eight], 2)
    path.write_bytes(bytes(4) + path.read_bytes()[4:])
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    with pytest.raises((UsageError, UnreadableImage)):
        open_data(path).read(0)


def test_without_pyarrow(tmp_path, eight, monkeypatch):
    """The error says what to install."""
    path = save_parquet(tmp_path / "a.parquet", [encode_png(eight[0])])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install pyarrow"):
        open_data(path)
