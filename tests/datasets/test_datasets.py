import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from data_files import open_data, read_pixels, save_folder, save_npy

from gan.errors import UsageError


def test_every_kind_of_source_has_the_same_images(tmp_path, eight):
    """A folder, a zip of it, a .npz and a .npy contain the same eight images in the same order."""
    folder = save_folder(tmp_path / "faces", eight)
    zipped = shutil.make_archive(str(tmp_path / "faces"), "zip", tmp_path, "faces")
    np.savez(tmp_path / "faces.npz", images=eight, labels=np.arange(8))
    npy = save_npy(tmp_path / "faces.npy", eight)
    for path in (folder, zipped, tmp_path / "faces.npz", npy):
        np.testing.assert_array_equal(read_pixels(open_data(path)), eight)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("nowhere/faces", ["nowhere/faces", "no such file"]),
        ("avatar", ["Did you mean avatars?"]),
        ("Celeba", ["Did you mean celeba?"]),
        ("face.jpg", ["face.jpg", ".zip, .npz or .npy"]),
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


def test_import_is_light():
    """Importing the sources loads neither TensorFlow nor the packages that draw avatars."""
    heavy = {"tensorflow", "keras", "dicebear", "resvg_py"}
    code = f"import sys, gan.datasets; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
