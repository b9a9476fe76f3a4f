import functools
import gzip
import importlib.util
import os
import shutil

import numpy as np
import pytest
from data_files import (
    encode_png,
    open_data,
    read_pixels,
    save_folder,
    save_npy,
    save_parquet,
    save_pixel_table,
    save_tar,
    save_tfrecord,
    save_video,
    save_zip,
)
from PIL import Image, features

import data
from benchmarks.mutations import write_zip
from gan import images
from gan.datasets import SOURCES
from gan.errors import UsageError


def test_every_kind_of_source_has_the_same_images(tmp_path, eight):
    """A folder, a zip and tars of it, a .npz and a .npy contain the same eight images in the same order."""
    folder = save_folder(tmp_path / "faces", eight)
    zipped = shutil.make_archive(str(tmp_path / "faces"), "zip", tmp_path, "faces")
    np.savez(tmp_path / "faces.npz", images=eight, labels=np.arange(8))
    npy = save_npy(tmp_path / "faces.npy", eight)
    tars = [shutil.make_archive(str(tmp_path / "faces"), kind, tmp_path, "faces") for kind in ("tar", "gztar")]
    for path in (folder, zipped, tmp_path / "faces.npz", npy, *tars):
        np.testing.assert_array_equal(read_pixels(open_data(path)), eight)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("nowhere/faces", ["nowhere/faces", "no such file"]),
        ("avatar", ["Did you mean avatars?"]),
        ("Celeba", ["Did you mean celeba?"]),
        ("face.jpg", ["face.jpg", ".zip, .tar", ".webm or .avi"]),
    ],
)
def test_unknown_source(tmp_path, monkeypatch, data, words):
    """The error names what was given, what is allowed, and the nearest built-in name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "face.jpg").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        open_data(data)
    for word in [*words, "--data", "a folder of images", "avatars, orl, celeba"]:
        assert word in str(caught.value)


def test_kind_by_the_first_bytes(tmp_path, eight):
    """A zip and an array are opened under any name; another file is refused with what it is."""
    folder = save_folder(tmp_path / "faces", eight)
    os.rename(shutil.make_archive(str(tmp_path / "faces"), "zip", folder), tmp_path / "download")
    os.rename(save_npy(tmp_path / "a.npy", eight), tmp_path / "b.bin")
    for name in ("download", "b.bin"):
        np.testing.assert_array_equal(read_pixels(open_data(tmp_path / name)), eight)
    for content, word in {b"Rar!\x1a\x07": "archive", b"%PDF-1.7": "PDF", b"<html>": "web page"}.items():
        (tmp_path / "faces.bin").write_bytes(content)
        with pytest.raises(UsageError, match=word):
            open_data(tmp_path / "faces.bin")


def test_built_in_names_come_first(tmp_path, monkeypatch, eight):
    """`avatars` means the avatars even beside a folder of that name, which is `./avatars`."""
    monkeypatch.chdir(tmp_path)
    save_folder(tmp_path / "avatars", eight)
    assert len(open_data("avatars").names) == 10_000
    assert len(open_data("./avatars").names) == 8


def save_messy_folder(folder, eight):
    """Saves images in every format that is read here, and other files.

    Returns:
        The names of the images, and those of the files that need an optional package, with its name.
    """
    files, names = {f"{i}.png": encode_png(face) for i, face in enumerate(eight[:3])}, ["plain.jpg"]
    encoded, image, packages = list(files.values()), Image.fromarray(eight[3]), {}
    (folder / "sub").mkdir(parents=True)
    for save, name in ((save_zip, "a.zip"), (save_tar, "sub/b.tar")):
        save(folder / name, files)
        names += [f"{name}/{each}" for each in files]
    save_tar(folder / "c.tar.gz", {"deep/4.png": encoded[0]}, packed=True)
    save_pixel_table(folder / "sub" / "fer2013.csv", eight[:2, ..., 0])
    save_tfrecord(folder / "train.tfrecord-00000-of-00001", encoded)
    names += ["c.tar.gz/deep/4.png", *(f"sub/fer2013.csv[{i}]" for i in range(2))]
    names += [f"train.tfrecord-00000-of-00001[{i}]" for i in range(3)]
    if importlib.util.find_spec("pyarrow"):
        packages["shard.parquet"] = "pyarrow"
        save_parquet(folder / "shard.parquet", encoded)
        names += [f"shard.parquet[{i}]" for i in range(3)]
    if importlib.util.find_spec("av"):
        packages["clip.mp4"] = "av"
        save_video(folder / "clip.mp4", eight[:5])
        names += ["clip.mp4[0 s]", "clip.mp4[1 s]"]
    if images.has_heif():
        import pillow_heif

        packages["iphone.heic"] = "pillow-heif"
        pillow_heif.from_pillow(image).save(folder / "iphone.heic")
        names.append("iphone.heic")
    for name, options in {
        "plain.jpg": {},
        "stereo.mpo": {"save_all": True, "append_images": [image]},
        "moving.gif": {"save_all": True, "append_images": [image.rotate(90)]},
        "moving.webp": {"save_all": True, "append_images": [image.rotate(90)]},
        "moving.apng": {"format": "PNG", "save_all": True, "append_images": [image.rotate(90)]},
        "new.avif": {},
        "deep.tiff": {},
        "float.tif": {},
    }.items():
        if name != "new.avif" or features.check("avif"):
            array = {"deep.tiff": np.uint16(257) * eight[3, ..., 0], "float.tif": eight[3, ..., 0] / np.float32(255)}
            (Image.fromarray(array[name]) if name in array else image).save(folder / name, **options)
            names.append(name)
    return sorted({*names}), packages


OTHERS = {
    "damaged.zip": (b"PK\3\4", "unpack it"),
    "letter.docx": (write_zip([("word/media/image1.png", encode_png(np.zeros((9, 9), np.uint8)))]), ".docx is not"),
    "points.npz": (write_zip([("points.npy", b"")]), "NumPy"),
    "damaged.tar": (b"face.png".ljust(300, b"\0"), "not a tar archive"),
    "damaged.tgz": (b"\x1f\x8b\x08\0", "cut off"),
    "damaged.tfrecord": (bytes(100), "byte 0"),
    "numbers.gz": (gzip.compress(b"no tar"), "archive"),
    "list_attr.csv": (b"202599\nimage,smiling\n1.jpg,1\n", "not a table of pixels"),
    "labels.json": (b"{}", ".json"),
    "features.npy": (b"\x93NUMPY", "--data"),
    "book.pdf": (b"%PDF", "PDF"),
    "setup.exe": (b"MZ", ".exe"),
    "README": (b"Faces", "no format"),
    "saved.html": (b"<html>", ".html is not"),
    "empty.heic": (b"", "empty"),
    ".hidden.tar": (b"", "hidden"),
    "half.zip.part": (b"PK\3\4", "incomplete"),
}


@pytest.mark.parametrize("installed", [True, False])
def test_a_messy_folder(tmp_path, monkeypatch, eight, installed):
    """Every format in one folder is read, in files and in archives; every other file is named with a reason.

    Of these, one with the suffix of an image counts as an image that cannot be read.

    Without the optional packages, their files are named with what to install.
    """
    folder = tmp_path / "messy"
    names, packages = save_messy_folder(folder, eight)
    for name, (content, _) in OTHERS.items():
        (folder / name).write_bytes(content)
    expected = {name: word for name, (_, word) in OTHERS.items()}
    if not installed:
        find = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in ("av", "pyarrow", "pillow_heif") else find(name)
        )
        monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
        names = [name for name in names if not name.startswith(tuple(packages))]
        expected |= {name: f"pip install {package}" for name, package in packages.items()}
    unreadable = [name for name in expected if name.endswith(".heic")]
    load = functools.partial(data.load, str(folder), 16, cache_dir=tmp_path / "cache", allow_bad=True)
    assert sorted(open_data(folder).names) == sorted([*names, *unreadable])
    faces = load()
    assert len(faces.images) == len(names) and faces.report["skipped"]["unreadable"] == len(unreadable)
    reasons = dict(faces.skipped)
    assert reasons.keys() == expected.keys()
    assert [name for name, word in expected.items() if word not in reasons[name]] == []
    assert load().title == faces.title and len(list((tmp_path / "cache").glob("*.npy"))) == 1
    (folder / "sub" / "b.tar").unlink()
    assert load().report["used"] == len(names) - 3


def test_files_of_packages_that_are_missing(tmp_path, monkeypatch, eight):
    """They are counted, with what to install, in what is printed, before files of other kinds."""
    for i in range(5):
        (tmp_path / f"{i}.mp4").write_bytes(b"\0\0\0\x1cftypisom")
        (tmp_path / f"{i}.parquet").write_bytes(b"PAR1")
    save_folder(tmp_path, eight)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for suffix in "abcdefg":  # more of each other kind than of these
        for i in range(6):
            (tmp_path / f"{i}.{suffix}").write_bytes(b"x")
    text = "\n".join(data.load(str(tmp_path), 16, cache_dir=tmp_path / "cache").describe())
    for word in ("5 such as 0.mp4", "pip install av", "5 such as 0.parquet", "pip install pyarrow"):
        assert word in text


def test_thousands_of_other_files(tmp_path, eight):
    """They are counted by their kind, in a few words."""
    save_folder(tmp_path, eight)
    for i in range(300):
        (tmp_path / f"{i}.xyz").write_bytes(b"x")
        (tmp_path / f"{i}.json").write_bytes(b"{}")
    faces = data.load(str(tmp_path), 16, cache_dir=tmp_path / "cache")
    (line,) = [line for line in faces.describe() if line.startswith("passed over")]
    assert "300 such as" in line and len(line) < 300 and len(faces.skipped) == 600


@pytest.mark.parametrize("suffix", sorted({suffix for suffix in SOURCES if suffix.startswith(".")} - {".npz", ".npy"}))
def test_an_unreadable_file(tmp_path, eight, suffix):
    """By itself it is an error with its path; in a folder it is left out with its reason, and the rest is used."""
    save_folder(tmp_path, eight)
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(b"\0" * 100)
    with pytest.raises(UsageError, match=f"--data {path}: "):
        open_data(path)
    source = open_data(tmp_path)
    assert len(source.names) == 8
    ((name, reason),) = source.passed_over
    assert name == path.name and reason and str(tmp_path) not in reason and "--data" not in reason
