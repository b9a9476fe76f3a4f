"""The gallery: all runs of a folder on one page that opens from disk and needs nothing but their grids beside it.

    runs, skipped = Page(Path("output")).write()  # output/index.html

The page holds the runs' summaries as JSON.
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
from gan.files import atomic_write
from gan.gallery.run_summary import printable, summarize
from gan.metrics.report import LEGEND

ASSETS = Path(__file__).parent / "assets"
SCRIPTS = ("elements.js", "chart.js", "viewer.js", "details.js", "gallery.js")
MARK = '<meta name="generator" content="faces-from-noise gallery">'  # by which a page is known as ours


class Page:
    """The page of a folder of runs."""

    def __init__(self, folder: Path):
        self.folder, self.path = Path(folder), Path(folder) / "index.html"
        self.warned = False

    def write(self) -> tuple[list[dict], list[tuple[str, str]]]:
        """Writes the page. Returns the summaries of the runs, and the name and reason of each that is left out.

        Raises UsageError where there is a file of that name that is not a gallery.
        """
        if self.path.exists() and MARK.encode() not in self.path.read_bytes()[:2000]:
            raise UsageError(f"{self.path} is not a gallery. Move it away, and the gallery takes its place.")
        runs, skipped = self.summarize_runs()
        data = {
            "folder": printable(self.folder.absolute().name),
            "written": int(time.time()),
            "legend": LEGEND,
            "defaults": dataclasses.asdict(Config()),
            "runs": runs,
            "skipped": skipped,
        }
        with atomic_write(self.path) as file:
            file.write(assemble(data).encode())
        return runs, skipped

    def refresh(self) -> None:
        """Writes the page if it can, and warns the first time that it cannot, so that a training goes on either way."""
        try:
            self.write()
        except Exception as error:  # whatever lies in other folders
            if not self.warned:
                warnings.warn(f"{self.path} is not up to date: {error}", stacklevel=2)
            self.warned = True

    def summarize_runs(self) -> tuple[list[dict], list[tuple[str, str]]]:
        """The summaries of all runs, the last written first, and the name and reason of each that is left out."""
        runs, skipped = [], []
        for path in sorted(self.folder.glob("*/config.json")):
            folder = path.parent
            try:
                run = summarize(folder)
                json.dumps(run, allow_nan=False)  # a browser knows no NaN
                runs.append(run)
            except Exception as error:  # a folder may hold anything
                skipped.append((printable(folder.name), printable(str(error)) or type(error).__name__))
        return sorted(runs, key=lambda run: -run["written"]), skipped


def assemble(data: dict) -> str:
    """The page as one file. A content security policy lets only its own script and style run, by their digests."""
    script = "".join((ASSETS / name).read_text("utf-8") for name in SCRIPTS)
    style = (ASSETS / "gallery.css").read_text("utf-8")
    content = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":  # else a run's name could end the element that it is in
        content = content.replace(sign, f"\\u{ord(sign):04x}")
    parts = {
        "MARK": MARK,
        "POLICY": f"default-src 'none'; img-src 'self' file:; script-src '{digest(script)}';"
        f" style-src '{digest(style)}'; base-uri 'none'; form-action 'none'",
        "STYLE": style,
        "SCRIPT": script,
        "RUNS": content,
    }
    page = (ASSETS / "gallery.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def digest(text: str) -> str:
    """The name of an inline script or style in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
