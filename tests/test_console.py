"""Standard streams that cannot show a character, are closed, or have no reader any more."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan import console

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("encoding", "text", "shown"),
    [
        ("ascii", "a 顔 é", b"a \\u9854 \\xe9"),
        ("cp1252", "a 顔 é", b"a \\u9854 \xe9"),
        ("cp932", "a 顔 é", b"a \x8a\xe7 \\xe9"),
        ("utf-8", "a 顔 \udcff \ud800", b"a \xe9\xa1\x94 \xff \\ud800"),
        ("ascii", "\udcff😀", b"\xff\\U0001f600"),
    ],
)
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_characters_that_cannot_be_shown(monkeypatch, encoding, errors, text, shown):
    """They become escape sequences; bytes of a name that is no text stay as they are."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding, errors)
    monkeypatch.setattr(sys, "stdout", stream)
    console.prepare_streams()
    print(text, end="", flush=True)
    assert stream.buffer.getvalue() == shown


def test_an_error_handler_that_was_chosen_is_kept(monkeypatch):
    """PYTHONIOENCODING=ascii:replace prints question marks."""
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", "replace")
    monkeypatch.setattr(sys, "stdout", stream)
    console.prepare_streams()
    print("顔", end="", flush=True)
    assert stream.buffer.getvalue() == b"?"


# Prints much in Python, then, if it is asked to, from C and from a child process, and writes a data file meanwhile.
SCRIPT = """
import os, subprocess, sys
from gan.console import prepare_streams
prepare_streams()
prepare_streams()
with open("data", "w") as file:
    for number, stream in enumerate((sys.stdout, sys.stderr), 1):
        for text in ("\\udcff", "x" * 100_000):
            print(text, file=stream, flush=True)
        print(text, file=stream)
        if len(sys.argv) > 1:
            os.write(number, b"from C")
            subprocess.run([sys.executable, "-c", f"import os; os.write({number}, b'from a child')"], check=True)
    file.write(f"{file.fileno() > 2} {sys.stdin.read(1)!r}")
sys.exit(3)
"""


def run_in_shell(tmp_path, line):
    """Runs a line of sh in which $0 is Python and $1 the script; returns the exit code and what the data file holds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, SCRIPT], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, (tmp_path / "data").read_text(), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="there is no sh")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams(tmp_path, closed):
    """What is printed there is dropped, also from C and by children, and no data file gets the stream's number."""
    assert run_in_shell(tmp_path, f'"$0" -c "$1" more {closed}')[:2] == (3, "True ''")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize(
    ("flags", "to"),
    [("", ">/dev/full"), ("-u", ">/dev/full 2>&1"), ("", "2>&1 | true"), ("-u", "| head -c 1")],
)
def test_output_that_nobody_takes(tmp_path, flags, to):
    """With a full disk or a closed pipe behind the output, the work is done, without a word about it."""
    line = f'("$0" {flags} -c "$1"; echo $? >code) {to}'
    _, data, printed = run_in_shell(tmp_path, line)
    assert data == "True ''" and (tmp_path / "code").read_text() == "3\n" and b"Error" not in printed
