"""Files are whole or absent."""

import os

import pytest

from gan.files import atomic


def test_appears_at_the_end_only(tmp_path):
    """The name is not there while the file is being written, and holds all of it afterwards."""
    path = tmp_path / "new folder" / "a.bin"
    with atomic(path) as file:
        file.write(b"whole")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_file(tmp_path, error):
    """A block that raises leaves the old bytes and no temporary file."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic(path) as file:
        file.write(b"new")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_permissions_follow_the_umask(tmp_path):
    """The file is as readable as one that `open` makes, not private as temporary files are."""
    old = os.umask(0o027)
    try:
        with atomic(tmp_path / "a.bin"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "a.bin").stat().st_mode & 0o777 == 0o640
