"""What the tools have in common: how they speak, their first flags if they take a run, and how mistakes end.

def main(argv=None):
    arguments = parser("generate", __doc__).parse_args(argv)
    return answer("generate", lambda: generate(arguments))
"""

import argparse
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from gan.errors import RunError, UsageError


def run_parser(name: str, text: str, out: str, draws: bool = True) -> argparse.ArgumentParser:
    """A parser that knows the run's folder, where the result goes (default: `out`) and, if it draws, by what."""
    made = argparse.ArgumentParser(
        prog=f"python -m tools.{name}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("run", metavar="output/RUN", help="folder of a run")
    if draws:
        made.add_argument("--weights", choices=("best", "last"), default="best", help="which generator (best)")
    made.add_argument("--out", default="", metavar="PATH", help=f"what to write ({out} in the run's folder)")
    return made


def output_path(arguments: argparse.Namespace, name: str) -> Path:
    """Where the result goes: --out, or `name` in the run's folder. Raises UsageError where it cannot be named so."""
    path, ending = Path(arguments.out or Path(arguments.run, name)), Path(name).suffix
    if ending and path.suffix.lower() != ending:
        raise UsageError(f"--out {path}: its name must end in {ending}")
    return path


def in_range(kind: type, least: float, most: float) -> Callable:
    """The type of an argument from `least` to `most`."""

    def convert(text: str):
        try:
            value = kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from {least:,} to {most:,}")
        return value

    return convert


def allow_undecodable_names() -> None:
    """From now on what is printed may hold names of files that are no text, as Linux allows: they pass as they are."""
    if getattr(sys.stdout, "errors", "") == "strict" and hasattr(sys.stdout, "reconfigure"):  # a notebook's has not
        sys.stdout.reconfigure(errors="surrogateescape")  # stderr takes anything as it is


def run_command(name: str, work: Callable[[], None], stopped: str = "stopped.") -> int:
    """Does the work; a mistake, a failure or Ctrl-C is one line. Returns the exit code."""
    allow_undecodable_names()
    warnings.showwarning = lambda message, *_: print(f"{name}: warning: {message}", file=sys.stderr)
    try:
        work()
        return 0
    except (UsageError, RunError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    except KeyboardInterrupt:
        print(f"{name}: {stopped}", file=sys.stderr)
        return 128 + signal.SIGINT
