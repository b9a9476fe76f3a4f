import dataclasses
import gzip
import io
import json
import tarfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from data_files import encode_png, open_data, read_pixels, save_tar

from gan.config import Config
from gan.datasets import indexed_gzip
from gan.errors import UsageError
from gan.images import UnreadableImage

KINDS = [("a.tar", False), ("a.tar.gz", True), ("a.TGZ", True), ("download", False), ("download", True)]


@pytest.mark.parametrize(("name", "packed"), KINDS)
def test_lists_and_reads(tmp_path, eight, name, packed):
    """A tar is listed like a folder, sorted, whatever its order, and whatever its own name."""
    files = {f"faces/{i}.png": encode_png(face) for i, face in enumerate(eight)}
    others = {"faces/0.txt": b"x", "faces/._1.png": b"x", "faces/doc.bin": b"%PDF", "noext": encode_png(eight[0])}
    path = save_tar(tmp_path / name, dict(reversed([*files.items(), *others.items()])), packed)
    opened = open_data(path)
    assert opened.names == [*files, "noext"]
    np.testing.assert_array_equal(read_pixels(opened), eight[[*range(8), 0]])
    assert opened.read(3)[2] == files["faces/3.png"]
    reasons = dict(opened.passed_over)
    assert list(reasons) == ["faces/._1.png", "faces/0.txt", "faces/doc.bin"] and "PDF" in reasons["faces/doc.bin"]


@pytest.mark.parametrize("packed", [False, True])
def test_folders_of_runs(tmp_path, eight, packed):
    """The grids of a training run are passed over."""
    face = encode_png(eight[0])
    files = {"r/1.png": face, "r/config.json": json.dumps(dataclasses.asdict(Config())).encode(), "s/2.png": face}
    opened = open_data(save_tar(tmp_path / "a.tar", files, packed))
    assert opened.names == ["s/2.png"] and len(opened.passed_over) == 2


def test_links_and_other_entries(tmp_path, eight):
    """Folders are no files; links and devices are passed over, and named."""
    path = save_tar(tmp_path / "a.tar", {"1.png": encode_png(eight[0])})
    with tarfile.open(path, "a") as archive:
        for name, kind in {"folder": tarfile.DIRTYPE, "2.png": tarfile.SYMTYPE, "3.png": tarfile.CHRTYPE}.items():
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "1.png"
            archive.addfile(entry)
    opened = open_data(path)
    assert opened.names == ["1.png"] and [name for name, _ in opened.passed_over] == ["2.png", "3.png"]


@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_of_every_format(tmp_path, eight, format):
    """Long names, and names that are not UTF-8, are read in all formats of headers."""
    names = ["x/" * 60 + "a.png", "caf\udce9.png", "顔.png"]
    with tarfile.open(tmp_path / "a.tar", "w", format=format) as archive:
        for name, face in zip(names, eight, strict=False):
            entry = tarfile.TarInfo(name)
            content = encode_png(face)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    opened = open_data(tmp_path / "a.tar")
    assert set(opened.names) == {names[0], "caf\N{REPLACEMENT CHARACTER}.png", names[2]}
    assert all(name.encode() for name in opened.names)


@pytest.mark.parametrize("packed", [False, True])
def test_cut_off_or_damaged(tmp_path, eight, packed):
    """An archive that is cut off anywhere, or has a damaged header, is refused; the first images do not hide it."""
    path = save_tar(tmp_path / "a.tar", {f"{i}.png": encode_png(face) for i, face in enumerate(eight)}, packed)
    whole = path.read_bytes()
    for cut in (0, 1, 100, 600, len(whole) // 3, len(whole) // 2 - 100):
        path.write_bytes(whole[:cut])
        with pytest.raises(UsageError, match=r"a\.tar: not a tar archive"):
            open_data(path)
    if not packed:
        for place in (whole.index(b"3.png"), whole.index(b"ustar", 600)):
            path.write_bytes(whole[:place] + b"??" + whole[place + 2 :])
            with pytest.raises(UsageError, match="damaged"):
                open_data(path)


def test_checksum_of_gzip(tmp_path, eight):
    """A compressed archive that was changed is refused."""
    path = save_tar(tmp_path / "a.tgz", {f"{i}.png": encode_png(face) for i, face in enumerate(eight)}, packed=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a tar archive"):
        open_data(path)


@pytest.mark.parametrize("content", [b"<html>login", b"", b"PK\3\4"])
def test_not_a_tar(tmp_path, content):
    """The error says what the file is, if that is known."""
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(UsageError, match="web page" if b"html" in content else "not a tar"):
        open_data(tmp_path / "a.tar")


def test_bombs(tmp_path, monkeypatch):
    """A file above the limit is not unpacked; a header of gigabytes is refused."""
    monkeypatch.setattr("gan.datasets.tar_archive.LARGEST", 1000)
    path = save_tar(tmp_path / "a.tgz", {"a.png": bytes(1001), "b.png": bytes(1000)}, packed=True)
    for i, word in enumerate(("more than", "zero")):
        with pytest.raises(UnreadableImage, match=word):
            open_data(path).read(i)
    entry = tarfile.TarInfo("long")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 2 << 20
    path.write_bytes(entry.tobuf() + bytes(3 << 20))
    with pytest.raises(UsageError, match="header"):
        open_data(path)


@pytest.mark.parametrize("places", [3, 1000])
def test_any_order_and_many_threads(tmp_path, monkeypatch, places):
    """Images of a compressed archive are the same in any order, by eight threads, with few places to start from."""
    monkeypatch.setattr(indexed_gzip, "SPACING", 5000)
    monkeypatch.setattr(indexed_gzip, "MOST_PLACES", places)
    faces = np.random.default_rng(0).integers(0, 256, (60, 24, 24, 3), np.uint8)
    files = {f"{i:02}.png": encode_png(face) for i, face in enumerate(faces)}
    opened = open_data(save_tar(tmp_path / "a.tgz", files, packed=True))
    order = np.random.default_rng(1).permutation(60)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: np.asarray(opened.read(i)[0]), order))
    np.testing.assert_array_equal(read, faces[order])


def test_changed_afterwards(tmp_path, eight):
    """Images of an archive that has become shorter are unreadable."""
    for name, packed in KINDS[:2]:
        path = save_tar(tmp_path / name, {"1.png": encode_png(eight[0])}, packed)
        opened = open_data(path)
        path.write_bytes(path.read_bytes()[:600])
        with pytest.raises(UnreadableImage):
            opened.read(0)
    path.unlink()
    with pytest.raises(UnreadableImage):
        opened.read(0)


@pytest.mark.parametrize("packed", [False, True])
def test_archives_in_a_row(tmp_path, eight, packed):
    """Of archives that `cat` joined, all are read; other bytes after the end are refused, up to zeros and a line."""
    parts = [
        save_tar(tmp_path / f"{i}.tar", {f"{i}.png": encode_png(face)}, packed).read_bytes()
        for i, face in enumerate(eight[:3])
    ]
    joined = tmp_path / "a.tar"
    joined.write_bytes(b"".join(parts))
    opened = open_data(joined)
    assert opened.names == ["0.png", "1.png", "2.png"]
    np.testing.assert_array_equal(read_pixels(opened), eight[:3])
    for more, allowed in ((bytes(99_999), True), (bytes(512) + b"\n", True), (b"x" * 600, False)):
        joined.write_bytes(parts[0] + (gzip.compress(more) if packed else more))
        if allowed:
            assert open_data(joined).names == ["0.png"]
        else:
            with pytest.raises(UsageError, match=r"what follows its end .* unpack it"):
                open_data(joined)
