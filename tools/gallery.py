"""All runs on one page, which a browser opens from disk.

    python -m tools.gallery            # writes output/index.html
    python -m tools.gallery FOLDER     # of the runs in another folder

A training writes the page too, with every picture that it makes.
"""

import argparse
import sys
from pathlib import Path

from gan import cli
from gan.errors import UsageError
from gan.gallery.page import Page


def main(argv: list[str] | None = None) -> int:
    """Writes the page, and says where it is and what is not on it. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.gallery", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default="output", help="the folder with the runs in it (output)")
    folder = Path(parser.parse_args(argv).folder)
    return cli.run_command("gallery", lambda: show(folder))


def show(folder: Path) -> None:
    """Writes the page of a folder. Raises UsageError where that is no folder of runs."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder. Give the one that the runs are in: python -m tools.gallery output")
    if (folder / "config.json").exists():
        raise UsageError(
            f"{folder} is a run. Give the folder that it is in: python -m tools.gallery {folder.absolute().parent}"
        )
    if folder.absolute().name != "output" and not [*folder.glob("*/config.json"), *folder.glob("index.html")]:
        raise UsageError(f"{folder} has no run in it. Give the folder that has: python -m tools.gallery output")
    page = Page(folder)
    runs, skipped = page.write()
    for name, reason in skipped:
        print(f"gallery: left out {name!r}: {reason}", file=sys.stderr)
    for run in runs:
        for note in run["notes"]:
            print(f"gallery: {run['name']!r}: {note}", file=sys.stderr)
    print(f"{page.path}: {len(runs):,} runs" + (f", {len(skipped):,} left out" if skipped else ""))


if __name__ == "__main__":
    sys.exit(main())
