import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from data_files import encode_png, open_data, save_zip

from gan import images
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
        with pytest.raises(images.UnreadableImage, match="not an image"):
            source.read(1)


@pytest.mark.parametrize("content", [b"<html>", b"", b"PK\x05\x06" + bytes(18)[:10]])
def test_not_a_zip(tmp_path, content):
    """A file that only has the suffix .zip is refused."""
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UsageError, match=r"a\.zip: not a zip file"):
        open_data(tmp_path / "a.zip")


def test_damaged_headers(tmp_path, eight):
    """A version that is not known is refused; an empty name is passed over."""
    path = save_zip(tmp_path / "a.zip", {"a.png": encode_png(eight[0])})
    whole, central = path.read_bytes(), path.read_bytes().index(b"PK\x01\x02")
    path.write_bytes(whole[: central + 6] + b"\xff" + whole[central + 7 :])
    with pytest.raises(UsageError, match=r"a\.zip: not a zip file"):
        open_data(path)
    path.write_bytes(whole[: central + 46] + b"\0" + whole[central + 47 :])  # the name ends there
    assert open_data(path).names == []
