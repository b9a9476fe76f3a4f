"""Kills and failing calls in small commands."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from benchmarks.injection import Injection, build_library, read_trace
from gan.errors import UsageError

# Each line is one call on a.bin: open, write, fsync; then the same for b.bin.
WRITE_TWO = """
import os
for name in ("a.bin", "b.bin"):
    file = open(name, "wb", buffering=0)
    file.write(bytes(100))
    os.fsync(file.fileno())
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """The compiled library."""
    try:
        return build_library(tmp_path_factory.mktemp("library"))
    except UsageError as error:
        pytest.skip(str(error))


@pytest.fixture
def run(library, tmp_path):
    """A function that runs Python code in tmp_path / "work"; returns exit code, standard error, and traced paths."""

    def run(code, injection):
        (tmp_path / "work").mkdir()
        variables = injection.environment(tmp_path / "work", library, tmp_path / "trace")
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path / "work", env=os.environ | variables, stderr=subprocess.PIPE,
            start_new_session=True, timeout=60,
        )  # fmt: skip
        return done.returncode, done.stderr.decode(), read_trace(tmp_path / "trace")

    return run


def test_nothing_is_injected(run, tmp_path):
    """Without a moment the command is only watched: its calls are in the trace, in order."""
    code, _, paths = run(WRITE_TWO, Injection())
    assert code == 0 and paths == ["/a.bin"] * 3 + ["/b.bin"] * 3
    assert (tmp_path / "work" / "b.bin").stat().st_size == 100


@pytest.mark.parametrize(
    ("injection", "sizes", "calls"),
    [
        (Injection("b.bin", at=1), {"a.bin": 100}, 4),
        (Injection("b.bin", at=2), {"a.bin": 100, "b.bin": 50}, 5),
        (Injection("no such file", at=1, last=3), {"a.bin": 100}, 3),
        (Injection(last=2), {"a.bin": 50}, 2),
    ],
)
def test_kill(run, tmp_path, injection, sizes, calls):
    """The command is killed before the chosen call, or in the middle of a write, or in any case in the last call."""
    code, _, paths = run(WRITE_TWO, injection)
    assert code == -signal.SIGKILL and len(paths) == calls
    assert {path.name: path.stat().st_size for path in (tmp_path / "work").iterdir()} == sizes


@pytest.mark.parametrize(("pattern", "at", "calls"), [("", 0, 0), ("a.bin", 3, 3)])
def test_kill_after_a_delay(run, pattern, at, calls):
    """A delay counts from the start or from a call, which is made."""
    code, _, paths = run(
        f"{WRITE_TWO if at else ''}\nimport time; time.sleep(60)", Injection(pattern, at, delay=100_000)
    )
    assert code == -signal.SIGKILL and len(paths) in (calls, 6)


TRY_THREE = """
import os
for name in ("a.bin", "b.bin", "c.bin"):
    try:
        with open(name, "wb", buffering=0) as file:
            size = file.write(bytes(100))
            file.write(bytes(100 - size))
    except OSError as error:
        print(name, error.errno, file=__import__("sys").stderr)
"""


@pytest.mark.parametrize(
    ("injection", "failed", "sizes"),
    [
        (Injection("b.bin", 1, fault=errno.EIO), {"b.bin": errno.EIO}, [100, 100]),
        (Injection("b.bin", 2, fault=errno.EIO), {"b.bin": errno.EIO}, [0, 100, 100]),
        (Injection("b.bin", 1, fault=errno.ENOSPC), dict.fromkeys(("b.bin", "c.bin"), errno.ENOSPC), [100]),
        (Injection("b.bin", 2, fault=errno.ENOSPC), dict.fromkeys(("b.bin", "c.bin"), errno.ENOSPC), [50, 100]),
    ],
)
def test_fault(run, tmp_path, injection, failed, sizes):
    """EIO fails one call; after ENOSPC, which may come in the middle of a write, all that need space fail."""
    code, printed, _ = run(TRY_THREE, injection)
    assert code == 0 and dict(line.split() for line in printed.splitlines()) == {k: str(v) for k, v in failed.items()}
    assert sorted(path.stat().st_size for path in (tmp_path / "work").iterdir()) == sizes


def test_other_folders_are_left_alone(run, tmp_path):
    """Calls outside the folder are not counted, nor do they fail."""
    outside = tmp_path / "outside.bin"
    code, _, paths = run(f"open({str(outside)!r}, 'w').write('x')", Injection(at=1, last=1))
    assert code == 0 and paths == [] and outside.read_text() == "x"
