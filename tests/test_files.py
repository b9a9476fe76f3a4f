import errno
import json
import os
from pathlib import Path

import pytest

from gan.errors import UsageError
from gan.files import atomic_write, cache_folder, expand_path, read_csv, read_json, write_json


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
    assert read_json(path, names={"a"}) == {"a": 1, "c": []}
    path.write_bytes(text)
    with pytest.raises(UsageError, match=r"it\.json is damaged: move it away"):
        read_json(path, names={"a"})


@pytest.mark.parametrize("text", ["{}", "[1]", "[[]]", '[{"a": 1}, {}]', '["a"]', "{"])
def test_damaged_list(tmp_path, text):
    """Every entry of a list must be a dictionary with these keys; the list may be empty."""
    path = tmp_path / "it.json"
    for whole in ([], [{"a": 1}, {"a": 2, "b": 3}]):
        path.write_text(json.dumps(whole))
        assert read_json(path, list, {"a"}) == whole
    path.write_text(text)
    with pytest.raises(UsageError, match=r"it\.json is damaged"):
        read_json(path, list, {"a"})


def test_read_csv(tmp_path):
    """Rows of another length, or without a number at their start, are left out; a file that is not UTF-8 is damaged."""
    path = tmp_path / "it.csv"
    assert read_csv(path, 2) == []
    path.write_text("a,b\n1,x\n2\n\u00b2,y\n3,z,0\n4,w\n")
    assert read_csv(path, 2) == [["1", "x"], ["4", "w"]]
    path.write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(UsageError, match=r"it\.csv is damaged"):
        read_csv(path, 2)


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
