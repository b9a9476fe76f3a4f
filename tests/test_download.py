"""Downloads, from a server in this very process."""

import pytest
from helpers import BODY, serving

from gan.download import fetch
from gan.errors import RunError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """The loopback is asked directly, whatever proxy this machine has."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def anything(path):
    """A check that every file passes."""


def is_body(path):
    """A check that only the right bytes pass."""
    if path.read_bytes() != BODY:
        raise ValueError("other bytes")


def test_fetch(tmp_path):
    """The whole file arrives under its name, and progress ends at its length."""
    told = []
    with serving() as (url, asked):
        fetch(url, tmp_path / "new" / "f", is_body, lambda done, total: told.append((done, total)))
    assert (tmp_path / "new" / "f").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["f"]
    assert asked == [None]
    assert told[-1] == (len(BODY), len(BODY))
    assert len(told) > 2


def test_resumes_from_half_a_file(tmp_path):
    """Only the missing half is asked for."""
    (tmp_path / "f.part").write_bytes(BODY[:1_000_000])
    with serving() as (url, asked):
        fetch(url, tmp_path / "f", is_body)
    assert asked == ["bytes=1000000-"]
    assert (tmp_path / "f").read_bytes() == BODY


def test_server_that_ignores_ranges(tmp_path):
    """An answer of 200 replaces what there was, even if that was longer."""
    (tmp_path / "f.part").write_bytes(b"x" * (len(BODY) + 5))
    with serving(ranges=False) as (url, _):
        fetch(url, tmp_path / "f", is_body)
    assert (tmp_path / "f").read_bytes() == BODY


def test_complete_part_needs_no_bytes(tmp_path):
    """A part that is all there, though it never got its name, is accepted on 416."""
    (tmp_path / "f.part").write_bytes(BODY)
    with serving() as (url, asked):
        fetch(url, tmp_path / "f", is_body)
    assert len(asked) == 1
    assert (tmp_path / "f").read_bytes() == BODY


def test_part_longer_than_the_file(tmp_path):
    """A part that is longer than the file is of something else: start over."""
    (tmp_path / "f.part").write_bytes(BODY + b"x")
    with serving() as (url, asked):
        fetch(url, tmp_path / "f", is_body)
    assert asked == [f"bytes={len(BODY) + 1}-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_connection_that_ends_early(tmp_path):
    """Too few bytes are an error, are kept, and are gone on from."""
    with (
        serving(cut=560_000) as (url, _),
        pytest.raises(RunError, match="ended after 2,000,000 of 2,560,000 bytes"),
    ):
        fetch(url, tmp_path / "f", anything)
    assert not (tmp_path / "f").exists()
    with serving() as (url, asked):
        fetch(url, tmp_path / "f", is_body)
    assert asked == ["bytes=2000000-"]


def test_wrong_range(tmp_path):
    """A server that sends another range than it was asked for is not believed."""
    (tmp_path / "f.part").write_bytes(BODY[:1000])
    with serving(shift=7) as (url, _), pytest.raises(RunError, match="another part"):
        fetch(url, tmp_path / "f", anything)
    assert (tmp_path / "f.part").read_bytes() == BODY[:1000]


def test_failed_check_leaves_nothing(tmp_path):
    """A file that is not what it should be is thrown away, or it would be gone on from for ever."""
    with serving(b"<html>Moved</html>") as (url, _), pytest.raises(RunError, match="other bytes"):
        fetch(url, tmp_path / "f", is_body)
    assert list(tmp_path.iterdir()) == []


def test_no_network_says_what_to_do(tmp_path):
    """Without an answer the message has the address, the reason, and where the file belongs."""
    with serving() as (url, _):
        pass  # now nobody listens there
    with pytest.raises(RunError) as caught:
        fetch(url, tmp_path / "f", anything)
    assert url in str(caught.value)
    assert "refused" in str(caught.value)
    assert str(caught.value).endswith(f"save it as {tmp_path / 'f'}")
