import time
from threading import Thread

import pytest
from helpers import BODY, serving

from gan.download import fetch
from gan.errors import RunError


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """Requests to the loopback address use no proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def accept_all(path):
    """A check that every file passes."""


def require_body(path):
    """A check that only the right bytes pass."""
    if path.read_bytes() != BODY:
        raise ValueError("other bytes")


def test_fetch(tmp_path):
    """The file is complete, there is no other, and progress ends at its length."""
    calls = []
    with serving() as (url, requests):
        fetch(url, tmp_path / "new" / "f", require_body, lambda done, total: calls.append((done, total)))
    assert (tmp_path / "new" / "f").read_bytes() == BODY
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["f"]
    assert requests == [None]
    assert calls[-1] == (len(BODY), len(BODY))
    assert len(calls) > 2


def test_two_at_once(tmp_path):
    """The second waits for the first, and asks the server for nothing."""
    started, finished = [], []

    def wait(done, total):
        if not started:
            started.append(Thread(target=lambda: finished.append(fetch(url, tmp_path / "f", require_body))))
            started[0].start()
            started[0].join(0.5)
            assert started[0].is_alive()

    with serving() as (url, requests):
        fetch(url, tmp_path / "f", require_body, wait)
        started[0].join(10)
    assert finished == [None] and requests == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["f"] and (tmp_path / "f").read_bytes() == BODY


def test_a_second_one_after_a_failure(tmp_path):
    """Where the first got a wrong file, which is removed, the second asks the server anew, and locks the new file."""
    results = []

    def fail(path):
        Thread(target=lambda: results.append(second())).start()
        time.sleep(0.3)  # in which it waits for the lock
        raise ValueError("other bytes")

    def second():
        fetch(url, tmp_path / "f", require_body)
        return (tmp_path / "f").read_bytes() == BODY

    with serving() as (url, requests):
        with pytest.raises(RunError, match="other bytes"):
            fetch(url, tmp_path / "f", fail)
        deadline = time.monotonic() + 10
        while not results and time.monotonic() < deadline:
            time.sleep(0.05)
    assert results == [True] and requests == [None, None]


def test_resumes_from_half_a_file(tmp_path):
    """Only the missing half is requested."""
    (tmp_path / "f.part").write_bytes(BODY[:1_000_000])
    with serving() as (url, requests):
        fetch(url, tmp_path / "f", require_body)
    assert requests == ["bytes=1000000-"]
    assert (tmp_path / "f").read_bytes() == BODY


def test_server_that_ignores_ranges(tmp_path):
    """A response of 200 replaces the part, even a longer one."""
    (tmp_path / "f.part").write_bytes(b"x" * (len(BODY) + 5))
    with serving(ranges=False) as (url, _):
        fetch(url, tmp_path / "f", require_body)
    assert (tmp_path / "f").read_bytes() == BODY


def test_complete_part_needs_no_bytes(tmp_path):
    """A part that is complete is accepted after a response of 416."""
    (tmp_path / "f.part").write_bytes(BODY)
    with serving() as (url, requests):
        fetch(url, tmp_path / "f", require_body)
    assert len(requests) == 1
    assert (tmp_path / "f").read_bytes() == BODY


def test_part_longer_than_the_file(tmp_path):
    """A part longer than the file belongs to another file: the download starts over."""
    (tmp_path / "f.part").write_bytes(BODY + b"x")
    with serving() as (url, requests):
        fetch(url, tmp_path / "f", require_body)
    assert requests == [f"bytes={len(BODY) + 1}-", None]
    assert (tmp_path / "f").read_bytes() == BODY


def test_connection_that_ends_early(tmp_path):
    """Too few bytes raise an error, and the next call resumes from them."""
    with (
        serving(cut=560_000) as (url, _),
        pytest.raises(RunError, match="2,000,000 of 2,560,000 bytes"),
    ):
        fetch(url, tmp_path / "f", accept_all)
    assert not (tmp_path / "f").exists()
    with serving() as (url, requests):
        fetch(url, tmp_path / "f", require_body)
    assert requests == ["bytes=2000000-"]


def test_wrong_range(tmp_path):
    """A response with another range than was requested raises an error, and the part is unchanged."""
    (tmp_path / "f.part").write_bytes(BODY[:1000])
    with serving(shift=7) as (url, _), pytest.raises(RunError, match="another part"):
        fetch(url, tmp_path / "f", accept_all)
    assert (tmp_path / "f.part").read_bytes() == BODY[:1000]


def test_failed_check_leaves_nothing(tmp_path):
    """A file that fails its check is deleted; else every later download would resume from it."""
    with serving(b"<html>Moved</html>") as (url, _), pytest.raises(RunError, match="other bytes"):
        fetch(url, tmp_path / "f", require_body)
    assert list(tmp_path.iterdir()) == []


def test_no_network_says_what_to_do(tmp_path):
    """Without a response the error has the URL, the reason, and where to save the file."""
    with serving() as (url, _):
        pass  # afterwards no server listens there
    with pytest.raises(RunError) as caught:
        fetch(url, tmp_path / "f", accept_all)
    assert url in str(caught.value)
    assert "refused" in str(caught.value)
    assert str(caught.value).endswith(f"save it as {tmp_path / 'f'}")
