import dataclasses
import json
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from data_files import encode_png, open_data, read_pixels, save_zip

from gan import images
from gan.config import Config
from gan.datasets import zip_archive
from gan.errors import UsageError


def test_lists_images_and_passes_over_others(tmp_path, eight):
    """A zip is listed like a folder: sorted by path, with subfolders, without the files of macOS."""
    face = encode_png(eight[0])
    path = save_zip(
        tmp_path / "a.ZIP", {"z/y/x/b.png": face, "a.png": face, "__MACOSX/._a.png": b"x", "z/.DS_Store": b"x"}
    )
    source = open_data(path)
    assert source.names == ["a.png", "z/y/x/b.png"]
    assert [name for name, _ in source.passed_over] == ["__MACOSX/._a.png", "z/.DS_Store"]


def test_bad_entries_are_unreadable(tmp_path, eight):
    """An encrypted entry and one with a wrong checksum are unreadable; the others can be read."""
    path = save_zip(tmp_path / "a.zip", {f"{i}.png": encode_png(face) for i, face in enumerate(eight[:3])})
    content = bytearray(path.read_bytes())
    first = content.index(b"PK\x01\x02")  # the central directory: the flags are 8 bytes further on
    content[first + 8] |= 1
    content[content.index(b"1.png") + 200] ^= 255
    path.write_bytes(content)
    source = open_data(path)
    with pytest.raises(images.UnreadableImage, match="encrypted"):
        source.read(0)
    with pytest.raises(images.UnreadableImage, match="damaged in the zip: Bad CRC"):
        source.read(1)
    np.testing.assert_array_equal(np.asarray(source.read(2)[0]), eight[2])


def test_identity_is_the_content(tmp_path, eight):
    """A copy under another name has the same identity; other pixels of the same length have another."""
    one = save_zip(tmp_path / "1.zip", {"a.bmp": bytes(eight[0])})
    two = save_zip(tmp_path / "2.zip", {"a.bmp": bytes(eight[0])})
    three = save_zip(tmp_path / "3.zip", {"a.bmp": bytes(eight[1])})
    assert open_data(one).identity == open_data(two).identity != open_data(three).identity


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files as Linux lists them")
def test_many_zips_in_a_folder(tmp_path):
    """Of the zips in a folder, only a few are open at once, and the images of all are read, by several threads."""
    count = 3 * zip_archive.OPEN
    for i in range(count):
        save_zip(
            tmp_path / f"{i:02}.zip", {f"{k}.png": encode_png(np.full((8, 8), 2 * i + k, np.uint8)) for k in (0, 1)}
        )
    before = len(os.listdir("/proc/self/fd"))
    source = open_data(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda i: source.read(i)[0].getpixel((3, 3))[0], range(2 * count)))
    assert read == list(range(2 * count))
    assert len(os.listdir("/proc/self/fd")) - before <= zip_archive.OPEN


def test_threads_read_at_once(tmp_path):
    """Eight threads that read at the same time each get the image that they ask for."""
    grays = np.arange(200, dtype=np.uint8)
    path = save_zip(tmp_path / "a.zip", {f"{i:03}.png": encode_png(np.full((8, 8), i, np.uint8)) for i in grays})
    source = open_data(path)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: source.read(i)[0].getpixel((3, 3))[0], range(200)))
    assert read == grays.tolist()


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    """An entry is unpacked as far as its header says, by every method, and not at all beyond a limit."""
    monkeypatch.setattr(zip_archive, "LARGEST", 1000)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
            archive.writestr("a.png", bytes(1001))
            archive.writestr("b.png", bytes(1000))
        source = open_data(tmp_path / "a.zip")
        with pytest.raises(images.UnreadableImage, match="more than"):
            source.read(0)
        with pytest.raises(images.UnreadableImage, match="zero"):
            source.read(1)


@pytest.mark.parametrize("content", [b"<html>", b"", b"PK\x05\x06" + bytes(18)[:10]])
def test_not_a_zip(tmp_path, content):
    """A file that only has the suffix .zip is refused."""
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.zip: not a zip file.*web page" if b"html" in content else r"a\.zip"):
        open_data(tmp_path / "a.zip")


def corrupt_directory(path, number, offset, *values):
    """Changes bytes of entry number `number` in the central directory, from `offset` on."""
    content, position = bytearray(path.read_bytes()), -1
    for _ in range(number + 1):
        position = content.index(b"PK\1\2", position + 1)
    content[position + offset : position + offset + len(values)] = bytes(values)
    path.write_bytes(content)


@pytest.mark.parametrize("method", [9, 12, 14, 93, 95, 98, 200])
def test_methods_of_compression(tmp_path, eight, method):
    """An entry whose compression Python does not have is unreadable; the others are read."""
    path = save_zip(tmp_path / "a.zip", {f"{i}.png": encode_png(face) for i, face in enumerate(eight[:2])})
    corrupt_directory(path, 0, 10, method)
    source = open_data(path)
    with pytest.raises(images.UnreadableImage):
        source.read(0)
    np.testing.assert_array_equal(source.read(1)[0], eight[1])


@pytest.mark.parametrize("versions", [(64, 20), (255, 20), (20, 99), (64, 64)])
def test_entries_of_future_versions(tmp_path, eight, versions):
    """Entries that are marked as of a later version of the format are read if they can be; the file is unchanged."""
    path = save_zip(tmp_path / "a.zip", {f"{i}.png": encode_png(face) for i, face in enumerate(eight[:2])})
    for number, version in enumerate(versions):
        corrupt_directory(path, number, 6, version)
    before = path.read_bytes()
    source = open_data(path)
    for i in range(2):
        np.testing.assert_array_equal(source.read(i)[0], eight[i])
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", [b"\xff\xfe.png", b"caf\xe9 1.png", b"\x83J\x83\x81.png"])
def test_names_that_are_not_utf8(tmp_path, eight, name):
    """Names that are marked as UTF-8 but are in another encoding do not matter."""
    placeholder = "é" + "x" * (len(name) - 6) + ".png"
    path = save_zip(tmp_path / "a.zip", {placeholder: encode_png(eight[0]), "ü.png": encode_png(eight[1])})
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), name))
    source = open_data(path)
    assert len(source.names) == 2 and "ü.png" in source.names
    pixels = [np.asarray(source.read(i)[0]) for i in range(2)]
    np.testing.assert_array_equal(pixels[source.names.index("ü.png")], eight[1])
    np.testing.assert_array_equal(pixels[1 - source.names.index("ü.png")], eight[0])


def test_folders_of_runs(tmp_path, eight):
    """The grids of a training run, wherever its folder is in the zip, are passed over; other images are not."""
    face = encode_png(eight[0])
    config = json.dumps(dataclasses.asdict(Config())).encode()
    for runs, names, left in (
        (["a"], ["a/checkpoints/1.npz", "a/1.png", "a/deep/2.png", "b/config.json", "b/3.png"], ["b/3.png"]),
        (["c"], ["./a/1.png", "../2.png", "c/data.json", "c/3.png"], ["../2.png", "./a/1.png"]),
        (["."], ["1.png", "a/2.png"], []),
    ):
        files = dict.fromkeys(names, face) | {f"{run}/config.json".removeprefix("./"): config for run in runs}
        files |= {name: b"[]" for name in names if name.endswith("json")}
        assert open_data(save_zip(tmp_path / "a.zip", files)).names == left


def test_names_as_windows_has_them(tmp_path, eight):
    """Folders of thumbnails are passed over whatever separates the parts of a name."""
    names = ["faces\\@eaDir\\0.png", "faces\\.thumbnails\\0.png", "__MACOSX\\._0.png", "faces\\0.png"]
    source = open_data(save_zip(tmp_path / "a.zip", dict.fromkeys(names, encode_png(eight[0]))))
    assert source.names == ["faces\\0.png"]


def test_images_by_their_first_bytes(tmp_path, eight):
    """An entry without a suffix is an image if its first bytes say so; others are passed over, and named."""
    files = {"noext": encode_png(eight[0]), "b.dat": b"x", "c.zip": b"PK\x03\x04", "d.jxl": b"\xff\x0a..."}
    source = open_data(save_zip(tmp_path / "a.zip", files))
    assert source.names == ["noext"]
    reasons = dict(source.passed_over)
    assert ".dat" in reasons["b.dat"] and "zip" in reasons["c.zip"] and reasons.keys() == {"b.dat", "c.zip", "d.jxl"}


def test_damaged_headers(tmp_path, eight):
    """An empty name is passed over; an entry of another version whose own header is missing is refused."""
    path = save_zip(tmp_path / "a.zip", {"a.png": encode_png(eight[0])})
    whole, central = path.read_bytes(), path.read_bytes().index(b"PK\x01\x02")
    path.write_bytes(b"PX" + whole[2 : central + 6] + b"\xff" + whole[central + 7 :])
    with pytest.raises(UsageError, match=r"a\.zip: not a zip file"):
        open_data(path)
    path.write_bytes(whole[: central + 46] + b"\0" + whole[central + 47 :])  # the name ends there
    assert open_data(path).names == []


def test_names_in_utf8_without_the_flag(tmp_path, eight):
    """Names as older programs of macOS write them are read as UTF-8; others are those of zipfile."""
    config = json.dumps(dataclasses.asdict(Config())).encode()
    files = {"zoe1/1.png": encode_png(eight[1]), "cafe.png": encode_png(eight[2]), "ü.png": encode_png(eight[3])}
    path = save_zip(tmp_path / "a.zip", {**files, "run1/config.json": config, "run1/4.png": encode_png(eight[4])})
    content = path.read_bytes()
    for placeholder, name in ((b"zoe1", "zoé".encode()), (b"run1", "ruñ".encode()), (b"cafe", "café".encode("cp437"))):
        content = content.replace(placeholder, name)
    path.write_bytes(content)
    source = open_data(path)
    assert source.names == ["café.png", "zoé/1.png", "ü.png"]
    np.testing.assert_array_equal(read_pixels(source), eight[[2, 1, 3]])
    assert [name for name, _ in source.passed_over] == ["ruñ/4.png", "ruñ/config.json"]
