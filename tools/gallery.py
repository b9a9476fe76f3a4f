"""Write the gallery: one page with all runs of a folder, which a browser opens from disk.

    python -m tools.gallery            # writes output/index.html
    python -m tools.gallery FOLDER     # of the runs in another folder

Training writes the page too, whenever it writes a grid.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a file: python tools/gallery.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli
from gan.errors import UsageError
from gan.gallery.page import Page


def main(argv: list[str] | None = None) -> int:
    """Writes the page, prints its path, and names what is skipped or damaged. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.gallery", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder",
        type=cli.path_argument,
        nargs="?",
        default="output",
        help="folder that holds the runs (default: output)",
    )
    folder = Path(parser.parse_args(argv).folder)
    return cli.run_command("gallery", lambda: write_page(folder))


def write_page(folder: Path) -> None:
    """Writes the page of a folder. Raises UsageError where the folder holds no runs."""
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder. Give the folder that holds the runs: python -m tools.gallery output"
        )
    if (folder / "config.json").exists():
        parent = folder.absolute().parent
        raise UsageError(f"{folder} is a run. Give the folder that holds it: python -m tools.gallery {parent}")
    if folder.absolute().name != "output" and not [*folder.glob("*/config.json"), *folder.glob("index.html")]:
        raise UsageError(f"{folder} holds no runs. Give the folder that does: python -m tools.gallery output")
    page = Page(folder)
    runs, skipped = page.write()
    for name, reason in skipped:
        print(f"gallery: skipped {name!r}: {reason}", file=sys.stderr)
    for run in runs:
        for note in run["notes"]:
            print(f"gallery: {run['name']!r}: {note}", file=sys.stderr)
    print(f"{page.path}: {len(runs):,} runs" + (f", {len(skipped):,} skipped" if skipped else ""))


if __name__ == "__main__":
    sys.exit(main())
