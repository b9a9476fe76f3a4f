import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from data_files import encode_png, open_data, save_folder, save_grays
from PIL import Image

import data
from gan import images
from gan.config import Config
from gan.datasets import Request
from gan.datasets.folder import LARGEST_MOVING, open_folder, read_head
from gan.errors import RunError, UsageError


def test_lists_images_and_passes_over_others(tmp_path, eight):
    """Images are sorted by path; files whose name is not that of an image are passed over with a reason."""
    save_folder(tmp_path, eight[:5])
    for name in (".DS_Store", "._0.png", "notes.txt", "README"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "1.png").write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    source = open_data(tmp_path)
    assert source.names == ["0.png", "1.png", "2.png", "3.png", "x/deep er/4.png"]
    assert dict(source.passed_over) == {
        ".DS_Store": "left behind by macOS",
        "._0.png": "left behind by macOS",
        "__MACOSX/1.png": "left behind by macOS",
        "notes.txt": ".txt is not a format read here",
        "README": "of no format read here",
        "folder.png": "a folder",
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes or free symbolic links")
def test_links_pipes_and_names_that_are_not_utf8(tmp_path, eight):
    """Circular links, a named pipe, which would block, and a name that is not UTF-8 are listed and cause no hang."""
    save_folder(tmp_path, eight[:1])
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to("self.png")
    (tmp_path / "circle.zip").symlink_to("circle.zip")
    (tmp_path / "nowhere").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe.png")
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
        file.write(encode_png(eight[1]))
    source = open_data(tmp_path)
    assert source.names == ["0.png", "self.png", "\N{REPLACEMENT CHARACTER}.png"]
    reasons = dict(source.passed_over)
    assert reasons.keys() == {"circle.zip", "nowhere", "pipe.png"} and reasons["pipe.png"] == "not a plain file"
    assert "levels" in reasons["circle.zip"] and "link" in reasons["nowhere"]
    np.testing.assert_array_equal(np.asarray(source.read(2)[0]), eight[1])
    with pytest.raises(images.UnreadableImage):
        source.read(1)


def test_leftovers_of_other_programs(tmp_path, eight):
    """Thumbnails, caches and deleted files of other programs, in any subfolder, are passed over by name."""
    save_folder(tmp_path, eight[:1])
    (tmp_path / ".trashed-1700-IMG.png").write_bytes(encode_png(eight[0]))
    leftovers = (".thumbnails", "a/@eaDir", "#recycle/b", "$RECYCLE.BIN", "a/.ipynb_checkpoints", "a/b/.git/c")
    for folder in leftovers:
        save_folder(tmp_path / folder, eight[:1])
    source = open_data(tmp_path)
    assert source.names == ["0.png"]
    names = [f"{folder}/0.png" for folder in leftovers]
    assert [name for name, _ in source.passed_over] == sorted([*names, ".trashed-1700-IMG.png"])
    assert open_data(tmp_path / ".thumbnails").names == ["0.png"]  # as that is what was asked for


def test_folders_of_runs(tmp_path, eight):
    """Grids, charts and exports of a run are passed over; generated faces alone, in another folder, are images."""
    save_folder(tmp_path, eight[:1])
    run = tmp_path / "output" / "default"
    for folder in (run, run / "export", tmp_path / "output" / "faces"):
        save_folder(folder, eight[:1])
    (run / "config.json").write_text(json.dumps(dataclasses.asdict(Config())))
    (tmp_path / "config.json").write_text('{"image_size": 32}')  # of another program
    (tmp_path / "data.json").write_text("[]")
    source = open_data(tmp_path)
    assert source.names == ["0.png", "output/faces/0.png"]
    assert {name for name, _ in source.passed_over} == {
        "config.json", "data.json",
        "output/default/0.png", "output/default/config.json", "output/default/export/0.png",
    }  # fmt: skip
    with pytest.raises(RunError, match="in the folder of a training run"):
        data.load(str(run), 16, cache_dir=tmp_path / "cache")


def test_subfolders_that_cannot_be_read(tmp_path, monkeypatch, eight):
    """They are passed over with their reason, wherever they are; the folder itself is refused."""
    save_folder(tmp_path, eight[:5])
    (tmp_path / "closed").mkdir()
    closed, scan = {tmp_path / "closed", tmp_path / "x" / "deep er"}, os.scandir

    def scan_if_allowed(path):
        if Path(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scan_if_allowed)
    source = open_data(tmp_path)
    assert len(source.names) == 4
    reason = "a folder that cannot be read (permission denied)"
    assert dict(source.passed_over) == dict.fromkeys(["closed", "x/deep er"], reason)
    closed.add(tmp_path)
    with pytest.raises(UsageError):
        open_data(tmp_path)


def test_identity(tmp_path, eight):
    """The identity changes with the size, time, name or number of images, and not with other files."""
    folder = save_folder(tmp_path, eight)
    identities = {open_data(folder).identity}
    assert open_data(folder).identity in identities
    (folder / "readme.txt").write_text("not an image")
    assert open_data(folder).identity in identities
    for change in (
        lambda: (folder / "0.png").write_bytes(b"shorter"),
        lambda: os.utime(folder / "1.png", ns=(1, 1)),
        lambda: (folder / "2.png").rename(folder / "22.png"),
        lambda: (folder / "3.png").unlink(),
    ):
        change()
        identities.add(open_data(folder).identity)
    assert len(identities) == 5


def test_images_by_their_first_bytes(tmp_path, eight, monkeypatch):
    """Images without a suffix, or with a strange one, are listed; others are passed over with what they are."""
    face = encode_png(eight[0])
    others = {
        "b.zip": b"PK\x03\x04",
        "c": b"%PDF",
        "d.npy": b"\x93NUMPY",
        "e.heic": b"\0\0\0\x1cftypheic",
        "f.xyz": b"1",
    }
    for name, content in {"0123": face, "a.jpg_large": face, "notes.txt": face, **others}.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.setattr(images, "has_heif", lambda: False)
    source = open_data(tmp_path)
    assert source.names == ["0123", "a.jpg_large", "e.heic"]  # of which the last cannot be read
    with pytest.raises(images.UnreadableImage, match="pip install pillow-heif"):
        source.read(2)
    np.testing.assert_array_equal([np.asarray(source.read(i)[0]) for i in range(2)], eight[[0, 0]])
    others.pop("e.heic")
    reasons = dict(source.passed_over)
    assert reasons.keys() == {*others, "notes.txt"}  # text is not opened, as there may be as much of it as of images
    words = {"b.zip": "zip", "c": "PDF", "d.npy": "--data", "f.xyz": ".xyz"}
    assert all(word in reasons[name] for name, word in words.items())


def test_no_image_but_other_kinds(tmp_path, monkeypatch):
    """Where there is no image, the error has the number of files of each kind, and what to do."""
    monkeypatch.setattr(images, "has_heif", lambda: False)
    for i in range(7):
        (tmp_path / f"IMG_{i}.HEIC").write_bytes(b"\0\0\0\x1cftypheic")
    (tmp_path / "faces.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(RunError) as caught:
        data.load(str(tmp_path), 16, cache_dir=tmp_path / "cache")
    for word in ("7 such as IMG_0.HEIC", "pip install pillow-heif", "faces.zip", "unpack"):
        assert word in str(caught.value)


def test_folders_that_cannot_be_entered(tmp_path, monkeypatch, eight):
    """A folder whose files are listed, and cannot be opened, is passed over; the folder itself is refused."""
    save_folder(tmp_path, eight[:5])
    closed = tmp_path / "x"
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != closed)
    source = open_data(tmp_path)
    assert len(source.names) == 4 and [name for name, _ in source.passed_over] == ["x"]
    closed = tmp_path
    with pytest.raises(UsageError, match=str(tmp_path)):
        open_data(tmp_path)


@pytest.mark.parametrize(
    "name", ["a.NEF", "a.dng", "a.cr2", "a.THM", "a.jpg~", "a.jpg.bak", "a.jpg_original", "~$a.jpg", "a.jpg.crdownload"]
)
def test_raw_photos_and_backups(tmp_path, eight, name):
    """They are passed over, although they hold an image, or a part of one."""
    save_folder(tmp_path, eight[:1])
    Image.fromarray(eight[1]).save(tmp_path / name, "TIFF")
    source = open_data(tmp_path)
    assert source.names == ["0.png"] and [passed for passed, _ in source.passed_over] == [name]


def test_identity_has_the_start_of_files(tmp_path, eight):
    """Folders that are equal in names, sizes and times are not taken for each other."""
    identities = set()
    for i, name in enumerate(("men", "women")):
        folder = save_folder(tmp_path / name, eight[:1])
        (folder / "a.png").write_bytes(bytes([i]))
        for path in folder.iterdir():
            os.utime(path, ns=(1, 1))
        identities.add(open_data(folder).identity)
    assert len(identities) == 2


def test_few_files_are_read_for_the_identity(tmp_path, monkeypatch):
    """Of many files, no more than 16 are opened, from the first to one of the last."""
    save_grays(tmp_path / "faces", 50)
    read = []
    monkeypatch.setattr(
        "gan.datasets.folder.read_head", lambda path, length: read.append(path) or read_head(path, length)
    )
    open_data(tmp_path / "faces")
    assert [Path(path).name for path in read] == [f"good {i:03}.png" for i in range(0, 50, 4)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such name")
def test_order_of_systems(tmp_path, eight, monkeypatch):
    """Images are in the same order where another character separates the parts of a path."""
    for name in ("a\\1.png", "aB.png"):
        (tmp_path / name).write_bytes(encode_png(eight[0]))
    monkeypatch.setattr(os, "sep", "\\")
    assert open_data(tmp_path).names == ["a/1.png", "aB.png"]


def test_live_photos(tmp_path, eight):
    """The video of a live photo is passed over; a film, also one that has a picture of its name, is not."""
    (tmp_path / "x").mkdir()
    for name in ("IMG_1.JPG", "IMG_2.HEIC", "film.jpg", "clip.jpg"):
        (tmp_path / name).write_bytes(encode_png(eight[0]))
    for name in ("img_1.mov", "IMG_2.MOV", "IMG_2.mp4", "film.mov", "clip.mp4", "other.mov", "x/IMG_1.MOV"):
        (tmp_path / name).touch()
    with open(tmp_path / "film.mov", "r+b") as file:
        file.truncate(LARGEST_MOVING + 1)
    opened = []
    source = open_folder(Request(str(tmp_path), 32), lambda request: opened.append(request.data))
    found = [Path(path).relative_to(tmp_path).as_posix() for path in opened]
    assert found == ["clip.mp4", "film.mov", "other.mov", "x/IMG_1.MOV"]
    live = [name for name, reason in source.passed_over if reason == "the moving part of a live photo"]
    assert live == ["IMG_2.MOV", "IMG_2.mp4", "img_1.mov"]
