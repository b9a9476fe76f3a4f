"""Inject kills and failing system calls into a command, through a library that is preloaded into it (injection.c).

    library = build_library(folder)
    injection = Injection(pattern="/checkpoints/", at=7)  # killed in the seventh call that changes a file there
    variables = injection.environment(folder, library)
    subprocess.Popen(command, cwd=folder, env=os.environ | variables, start_new_session=True)

The library sees the calls of whatever writes (Python, Pillow, HDF5) with the command itself unchanged, can stop in the
middle of a write, and costs nothing to start. It needs Linux and a C compiler.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from gan.errors import UsageError

SOURCE = Path(__file__).with_suffix(".c")


@dataclass(frozen=True)
class Injection:
    """What happens to a command, or a forked process, and when. The command must lead a process group, which is killed.

    Arguments:
        pattern: which calls are counted: those whose path, from the watched folder on, contains this.
        at: the number of the call at which it happens, from 1; 0: at the start, after `delay`.
        delay: microseconds from that call to the kill. Without a delay a write is cut in half.
        fault: the error number with which the call fails in place of a kill; 0: a kill. After ENOSPC all later writes
            and new files fail too.
        last: the number of the call in the folder, of any pattern, at which the command is killed in any case; 0: none.
    """

    pattern: str = ""
    at: int = 0
    delay: int = 0
    fault: int = 0
    last: int = 0

    def environment(self, folder: Path, library: Path | None = None, trace: Path | None = None) -> dict[str, str]:
        """The environment variables that the library reads; `trace` is a file to which it appends every call."""
        variables = {
            "INJECT_FOLDER": str(Path(folder).resolve()), "INJECT_PATTERN": self.pattern, "INJECT_AT": str(self.at),
            "INJECT_DELAY": str(self.delay), "INJECT_FAULT": str(self.fault), "INJECT_LAST": str(self.last),
        }  # fmt: skip
        variables |= {"LD_PRELOAD": str(library)} if library else {}
        return variables | ({"INJECT_TRACE": str(trace)} if trace else {})


def build_library(folder: Path) -> Path:
    """Compiles the library into a folder and returns its path. Raises UsageError where that is not possible."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux" or not compiler:
        raise UsageError("Kills and faults are injected by a small C library: this needs Linux, and cc, gcc or clang.")
    library = Path(folder).resolve() / "injection.so"
    library.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run([compiler, *flags], check=True)
    return library


def read_trace(path: Path) -> list[str]:
    """The paths, from the watched folder on, that the calls of a trace changed, in order; [] where there were none."""
    lines = path.read_text("utf-8", "surrogateescape").splitlines() if path.exists() else []
    return [line.partition(" ")[2] for line in lines]
