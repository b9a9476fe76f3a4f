import contextlib
import errno
import io
import json
import mmap
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from gan import files
from gan.errors import UsageError
from gan.files import (
    atomic_write,
    cache_folder,
    damage_as_value_error,
    expand_path,
    map_array,
    parse_numbers,
    read_array_header,
    read_csv,
    read_json,
    remove_leftovers,
    write_json,
)


def test_file_appears_at_the_end(tmp_path):
    """The file does not exist while it is written, and is complete afterwards."""
    path = tmp_path / "new folder" / "a.bin"
    with atomic_write(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file(tmp_path, error):
    """A block that raises leaves the old file, and no temporary one."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


LEFTOVER, OTHERS = ".a.bin.x1y2.part", (".b.bin.x1y2.part", ".a.bin", "a.bin.part", ".a.bin.x1y2.other")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks")
@pytest.mark.parametrize(("pattern", "left"), [("a.bin", OTHERS), ("*", OTHERS[1:]), ("c.bin", (LEFTOVER, *OTHERS))])
def test_leftovers_are_removed(tmp_path, pattern, left):
    """Temporary files of killed processes go at once, for one file or for all of a folder; other files stay."""
    for name in (LEFTOVER, *OTHERS):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / pattern)
    assert set(os.listdir(tmp_path)) == set(left)


@pytest.mark.parametrize("content", [b"", b"half"])
def test_a_file_that_is_being_written_stays(tmp_path, content):
    """A temporary file whose process is alive stays, and gets its name."""
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(content)
        file.flush()
        remove_leftovers(tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == content


@pytest.mark.parametrize(("age", "stays"), [(60, True), (3700, False)])
@pytest.mark.parametrize("locks", ["none", "refused"])
def test_leftovers_without_locks(tmp_path, monkeypatch, locks, age, stays):
    """Where there are no locks, those are removed that nobody has written to for an hour, and files are written."""

    class Refusing:
        LOCK_EX = LOCK_NB = 0

        def flock(file, kind):
            raise OSError("no locks available")

    monkeypatch.setattr(files, "fcntl", Refusing if locks == "refused" else None)
    path = tmp_path / LEFTOVER
    path.touch()
    os.utime(path, (path.stat().st_mtime - age,) * 2)
    remove_leftovers(tmp_path / "a.bin")
    assert path.exists() == stays
    write_json(tmp_path / "it.json", {"a": 1})
    assert read_json(tmp_path / "it.json") == {"a": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks")
def test_a_file_removed_before_it_is_locked(tmp_path, monkeypatch):
    """A temporary file that another process takes for a leftover is opened anew."""
    flock, removed = files.fcntl.flock, []

    def remove_first(handle, kind):
        if not removed:
            removed.extend(tmp_path.glob(".a.bin.*.part"))
            removed[0].unlink()
        flock(handle, kind)

    monkeypatch.setattr(files.fcntl, "flock", remove_first)
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"whole")
    assert removed and (tmp_path / "a.bin").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(("refusals", "seconds", "written"), [(3, 10.0, True), (3, 0.0, False), (10**9, 0.1, False)])
def test_a_file_that_another_program_has_open(tmp_path, monkeypatch, refusals, seconds, written):
    """As on Windows, where it cannot be replaced then: it is waited for, and stays as it is where that takes long."""
    path, replace, calls = tmp_path / "a.txt", os.replace, []
    path.write_bytes(b"old")

    def refuse(*given):
        calls.append(given)
        if len(calls) <= refusals:
            raise PermissionError(errno.EACCES, "in use")
        replace(*given)

    monkeypatch.setattr(files, "BUSY", seconds)
    monkeypatch.setattr(os, "replace", refuse)
    with contextlib.nullcontext() if written else pytest.raises(PermissionError), files.atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == (b"new" if written else b"old") and os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_permissions_follow_the_umask(tmp_path):
    """The file has the permissions that `open` gives, not those of temporary files."""
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.bin"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EPERM])
@pytest.mark.parametrize("call", ["fsync", "chmod"])
def test_file_systems_that_do_less(tmp_path, monkeypatch, call, code):
    """Where a file system has no fsync or no chmod, files are written without."""
    monkeypatch.setattr(os, call, refuse(code))
    with atomic_write(tmp_path / "a.bin") as file:
        file.write(b"whole")
    assert os.listdir(tmp_path) == ["a.bin"] and (tmp_path / "a.bin").read_bytes() == b"whole"


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_failures_of_the_disk(tmp_path, monkeypatch, code):
    """Where a file cannot be flushed to the disk, the old one stays."""
    (tmp_path / "a.bin").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", refuse(code))
    with pytest.raises(OSError) as error, atomic_write(tmp_path / "a.bin") as file:
        file.write(b"new")
    assert error.value.errno == code
    assert os.listdir(tmp_path) == ["a.bin"] and (tmp_path / "a.bin").read_bytes() == b"old"


def refuse(code):
    """A function that fails with that error, whatever it is given."""

    def fail(*given):
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(
    "text",
    [
        *(b"{", b"", b"\xff", b"3", b"null", b"[1]", b'[{"a": 1}]', b'"a"', b'{"b": 1}'),
        pytest.param(b"[" * 100_000, id="deep"),
    ],
)
def test_damaged_dictionary(tmp_path, text):
    """Content that is not JSON, not a dictionary, or lacks a key raises an error that names the file."""
    path = tmp_path / "it.json"
    write_json(path, {"a": 1, "c": []})
    assert read_json(path, kinds={"a": object}) == {"a": 1, "c": []}
    path.write_bytes(text)
    with pytest.raises(UsageError, match=r"it\.json is damaged: move it away"):
        read_json(path, kinds={"a": object})


@pytest.mark.parametrize("text", ["{}", "[1]", "[[]]", '[{"a": 1}, {}]', '["a"]', "{"])
def test_damaged_list(tmp_path, text):
    """Every entry of a list must be a dictionary with these keys; the list may be empty."""
    path = tmp_path / "it.json"
    for whole in ([], [{"a": 1}, {"a": 2, "b": 3}]):
        path.write_text(json.dumps(whole))
        assert read_json(path, list, {"a": object}) == whole
    path.write_text(text)
    with pytest.raises(UsageError, match=r"it\.json is damaged"):
        read_json(path, list, {"a": object})


def test_read_csv(tmp_path):
    """Rows of another length, or without a number at their start, are left out; a file that is not UTF-8 is damaged."""
    path = tmp_path / "it.csv"
    assert read_csv(path, 2) == []
    path.write_text("a,b\n1,x\n2\n\u00b2,y\n3,z,0\n4,w\n")
    assert read_csv(path, 2) == [["1", "x"], ["4", "w"]]
    path.write_text("a,b\n1,x\n" + "9" * 5000 + ",y\n")  # more digits than Python converts
    assert read_csv(path, 2) == [["1", "x"]]
    for content in (b"a,b\n1,\xff\n", b"a,b\n1," + b"x" * 200_000):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"it\.csv is damaged"):
            read_csv(path, 2)


@pytest.mark.parametrize(("value", "whole"), [(1, True), (1.5, True), (None, False), ("1", False), ([], False)])
def test_types_of_values(tmp_path, value, whole):
    """A dictionary whose value has another type than those allowed is damaged."""
    path = tmp_path / "it.json"
    path.write_text(json.dumps({"a": value, "b": {}}))
    if whole:
        assert read_json(path, kinds={"a": int | float})["a"] == value
    else:
        with pytest.raises(UsageError, match=r"it\.json is damaged"):
            read_json(path, kinds={"a": int | float})


def npy(shape, version=1):
    """The bytes of an array's header."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(2, "little") + header


def test_read_array_header():
    """Shape and dtype; a ValueError for whatever else."""
    assert read_array_header(io.BytesIO(npy("(2, 3)"))) == ((2, 3), np.uint8)
    for content in (b"", b"\x93NUMPY", npy("(2, 3)", version=9), npy("(2, (("), npy("(-2, 3)"), npy("(" * 3000)):
        with pytest.raises(ValueError) as caught:
            read_array_header(io.BytesIO(content))
        assert len(str(caught.value)) <= 200


def test_parse_numbers():
    """Empty cells anywhere are NaN; lines of other lengths, and text, are errors."""
    found = parse_numbers(["1,,3", ",,", "4.5,1e3,", "-1,inf,nan"], 3)
    expected = [[1, np.nan, 3], [np.nan] * 3, [4.5, 1000, np.nan], [-1, np.inf, np.nan]]
    np.testing.assert_array_equal(found, expected)
    assert parse_numbers([], 3).shape == (0, 3)
    for lines in (["1,2"], ["1,2,3", "1,2"], ["1,2,x"], ["1,2,3,4"], ["#1,2,3"], ['"1",2,3']):
        with pytest.raises(ValueError):
            parse_numbers(lines, 3)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks")
def test_a_file_that_is_written_for_hours_stays(tmp_path):
    """Where there are locks, age does not count: the process may be stopped."""
    with atomic_write(tmp_path / "a.bin") as file:
        (part,) = tmp_path.glob(".a.bin.*.part")
        os.utime(part, (1, 1))
        remove_leftovers(tmp_path / "a.bin")
        file.write(b"whole")
    assert (tmp_path / "a.bin").read_bytes() == b"whole"


@pytest.mark.parametrize(("code", "kind"), [(errno.ENODEV, np.ndarray), (errno.EINVAL, np.ndarray), (None, np.memmap)])
def test_map_array(tmp_path, monkeypatch, code, kind):
    """An array is mapped, or read whole where the file system cannot map files; other failures are raised."""
    np.save(tmp_path / "a.npy", np.arange(5))

    def fail(*_, **options):
        raise OSError(code, os.strerror(code))

    if code:
        monkeypatch.setattr(mmap, "mmap", fail)
    array = map_array(tmp_path / "a.npy")
    assert type(array) is kind and array.tolist() == [0, 1, 2, 3, 4]
    code = errno.EIO
    monkeypatch.setattr(mmap, "mmap", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        map_array(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "error", [zlib.error("bad"), KeyError("x"), OSError("no number"), RecursionError(), EOFError()]
)
def test_damage_is_a_value_error(error):
    """Whatever a library raises becomes a ValueError, whose cause it is."""
    with pytest.raises(ValueError) as caught, damage_as_value_error():
        raise error
    assert caught.value.__cause__ is error and str(caught.value)


@pytest.mark.parametrize("error", [FileNotFoundError(2, "No such file"), MemoryError(), KeyboardInterrupt()])
def test_what_is_not_damage(error):
    """Errors of the file system, of memory and Ctrl-C stay what they are."""
    with pytest.raises(type(error)), damage_as_value_error():
        raise error


def test_expand_path(monkeypatch, tmp_path):
    """~ at the start is the home folder, elsewhere it is part of a name; an unknown user is refused."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # on Windows
    assert expand_path("~/faces") == tmp_path / "faces"
    assert [expand_path(path) for path in ("faces", "a/~/b", "b~")] == [Path("faces"), Path("a/~/b"), Path("b~")]
    with pytest.raises(UsageError):
        expand_path("~nobody-of-that-name/faces")


@pytest.mark.parametrize("error", [True, False])
def test_cache_without_a_home(monkeypatch, error):
    """Without a home folder the cache is a temporary folder, with a warning; a folder that was chosen is used."""

    def user_cache_dir(name):
        if error:
            raise RuntimeError("could not determine the home directory")
        return f"~/.cache/{name}"

    monkeypatch.setattr("platformdirs.user_cache_dir", user_cache_dir)
    with pytest.warns(UserWarning, match="no home folder"):
        assert cache_folder().is_absolute()
    assert cache_folder("here") == Path("here")
