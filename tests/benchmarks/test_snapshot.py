"""What counts as equal in two folders of runs, and what as damaged."""

import json
import os
import shutil

import numpy as np
import pytest
from sample_runs import make_run

from benchmarks.snapshot import list_differences, read_folder
from gan.gallery.page import Page
from gan.runs.run_directory import Run


@pytest.fixture
def one(tmp_path):
    """A folder with a run, its page and a cache."""
    make_run(tmp_path / "one" / "output", "it")
    Page(tmp_path / "one" / "output").write()
    np.save(tmp_path / "one" / "faces.npy", np.zeros((2, 4, 4, 3), np.uint8))
    return tmp_path / "one"


def test_equal_folders(one, tmp_path):
    """Runs that differ in times alone are equal; every file is read."""
    shutil.copytree(one, tmp_path / "other")
    run = Run(tmp_path / "other" / "output" / "it")
    run.tables.log.write_text(run.tables.log.read_text().replace("2.000", "3.500"))
    os.utime(run.tables.log, (0, 0))
    Page(run.folder.parent).write()
    first, second = read_folder(one), read_folder(tmp_path / "other")
    assert list_differences(first, second) == [] and set(first) == {
        path.relative_to(one).as_posix() for path in one.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("output/it/log.csv", b"0.75", b"0.76"),
        ("output/it/config.json", b"abc", b"abd"),
        ("output/it/.lock", b"", b"x"),
        ("faces.npy", b"\0\0\0\0", b"\0\0\0\1"),
    ],
)
def test_differences(one, tmp_path, name, old, new):
    """A changed value, a file more, and a temporary file are named."""
    (one / "output/it/.lock").touch()
    shutil.copytree(one, tmp_path / "other")
    path = tmp_path / "other" / name
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    (tmp_path / "other" / "output" / ".index.html.x1y2.part").touch()
    (tmp_path / "other" / "output" / "it" / "diagnostics.csv").write_text("iteration\n")
    more = ["output/.index.html.x1y2.part", "output/it/diagnostics.csv"]
    assert list_differences(read_folder(one), read_folder(tmp_path / "other")) == sorted([*more, name])


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        *(("output/index.html", 0.9), ("output/it/000002.png", 0.5), ("output/it/checkpoints/000000004.npz", 0.5)),
        *(("faces.npy", 0.9), ("output/it/config.json", 0.5), ("output/it/best.json", 0.0)),
    ],
)
def test_damaged_files(one, name, kept):
    """A file that is cut off is named."""
    os.truncate(one / name, int(kept * (one / name).stat().st_size))
    with pytest.raises(ValueError, match=f"{name} is not whole"):
        read_folder(one)


def test_rows(one):
    """A last row that is cut off is no damage, one in the middle is."""
    path = one / "output/it/log.csv"
    whole = read_folder(one)["output/it/log.csv"]
    path.write_text(path.read_text() + "5,40,1")
    assert read_folder(one)["output/it/log.csv"] == whole
    path.write_text(path.read_text() + "\n6,48,12,0,0,0,0,0,0\n")
    with pytest.raises(ValueError, match=r"log\.csv is not whole"):
        read_folder(one)


def test_an_unknown_file(one):
    """A file of a kind that no run has is a stray one."""
    (one / "core.1234").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"core\.1234"):
        read_folder(one)
