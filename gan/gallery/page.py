"""The gallery: one HTML page with all runs of a folder. It opens from disk, and loads only what is beside it.

    runs, skipped = Page(Path("output")).write()  # writes output/index.html

The page is written anew each time: a hundred runs take about half a second. Where it is open, follow.js shows what
is new.
"""

import base64
import dataclasses
import hashlib
import json
import re
import time
import warnings
from pathlib import Path

from gan.config import Config
from gan.errors import UsageError
from gan.files import atomic_write, remove_leftovers
from gan.gallery.run_summary import replace_surrogates, summarize
from gan.metrics.report import LEGEND

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = [
    *("elements.js", "format.js", "runs.js", "chart.js", "curves.js", "viewer.js", "details.js", "follow.js"),
    "gallery.js",  # which uses all others
]
MARKER = '<meta name="generator" content="faces-from-noise gallery">'  # tells our page from somebody else's


class Page:
    """The page of a folder of runs."""

    def __init__(self, folder: Path):
        self.folder, self.path = Path(folder), Path(folder) / "index.html"
        self.warned = False

    def write(self) -> tuple[list[dict], list[tuple[str, str]]]:
        """Writes the page. Returns the summaries of the runs, and the name and reason of each folder that is skipped.

        Raises UsageError where the folder has an index.html that is not a gallery page.
        """
        if self.path.exists() and MARKER.encode() not in self.path.read_bytes()[:2000]:
            raise UsageError(f"{self.path} is not a gallery page. Move it to another place and repeat the command.")
        runs, skipped = summarize_runs(self.folder)
        data = {
            "folder": replace_surrogates(self.folder.absolute().name),
            "created": round(time.time(), 3),  # by which an open page tells whether it has these data
            "legend": LEGEND,
            "defaults": dataclasses.asdict(Config()),
            "runs": runs,
            "skipped": skipped,
        }
        remove_leftovers(self.path)
        with atomic_write(self.path) as file:
            file.write(render(data).encode())
        return runs, skipped

    def refresh(self) -> None:
        """Writes the page if possible. The first failure is a warning, later ones are silent: training continues."""
        try:
            self.write()
        except Exception as error:  # other folders may hold anything
            if not self.warned:
                warnings.warn(f"{self.path} is not up to date: {error}", stacklevel=2)
            self.warned = True


def summarize_runs(folder: Path) -> tuple[list[dict], list[tuple[str, str]]]:
    """Returns the summaries of all runs in a folder, newest first, and the name and reason of each that is skipped."""
    runs, skipped = [], []
    for path in sorted(folder.glob("*/config.json")):
        name = path.parent.name
        try:
            run = summarize(path.parent)
            json.dumps(run, allow_nan=False)  # JSON in a browser has no NaN
            runs.append(run)
        except Exception as error:  # a folder may hold anything
            skipped.append((replace_surrogates(name), replace_surrogates(str(error)) or type(error).__name__))
    return sorted(runs, key=lambda run: -run["modified"]), skipped


def render(data: dict) -> str:
    """Returns the page as one HTML file: template, style, script and data.

    Its content security policy allows this script and this style, by their hashes, images beside the page, and frames,
    in one of which the page loads itself to follow its runs.
    """
    script = "".join((ASSETS / name).read_text("utf-8") for name in SCRIPTS)
    style = (ASSETS / "gallery.css").read_text("utf-8")
    content = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # a run's name must not end the element that holds the data
        content = content.replace(character, f"\\u{ord(character):04x}")
    parts = {
        "MARKER": MARKER,
        "POLICY": f"default-src 'none'; img-src 'self' file:; script-src '{hash_source(script)}';"
        f" style-src '{hash_source(style)}'; frame-src 'self' file:; base-uri 'none'; form-action 'none'",
        "STYLE": style,
        "SCRIPT": script,
        "DATA": content,
    }
    template = (ASSETS / "gallery.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def hash_source(text: str) -> str:
    """Returns the hash by which a content security policy allows an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
