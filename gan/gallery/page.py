"""The gallery: all runs of a folder on one page that opens from disk, with nothing else but their pictures.

runs, skipped = Page(Path("output")).write()  # output/index.html

The page holds the runs' summaries as JSON, which the next writing of it takes over for each run that is as it was.
"""

import base64
import dataclasses
import functools
import hashlib
import json
import re
import time
import warnings
from pathlib import Path

from gan.config import Config
from gan.errors import UsageError
from gan.files import atomic_write
from gan.gallery.run_summary import look, shown, summarise
from gan.metrics.report import LEGEND

PARTS = Path(__file__).parent / "assets"
SCRIPTS = ("elements.js", "chart.js", "viewer.js", "details.js", "gallery.js")
MARK = '<meta name="generator" content="faces-from-noise gallery">'  # by which a page is known as ours
HELD = re.compile(r'<script type="application/json" id="runs">(.*?)</script>', re.DOTALL)


class Page:
    """The page of a folder of runs."""

    def __init__(self, folder: Path):
        self.folder, self.path = Path(folder), Path(folder) / "index.html"
        self.failed = False

    @functools.cached_property
    def program(self) -> str:
        """A digest of this program: another version of it may tell other things of a run that is as it was."""
        sources = sorted([*PARTS.iterdir(), *PARTS.parent.glob("*.py")])
        content = b"\0".join(path.read_bytes() for path in sources if path.is_file())
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def write(self) -> tuple[list[dict], list[tuple[str, str]]]:
        """Writes the page. Returns the summaries of the runs, and the name and reason of each that is left out.

        Raises UsageError where the file is somebody else's.
        """
        runs, skipped = self.collect(self.kept())
        data = {
            "program": self.program,
            "folder": shown(self.folder.absolute().name),
            "written": int(time.time()),
            "legend": LEGEND,
            "defaults": dataclasses.asdict(Config()),
            "runs": runs,
            "leftOut": skipped,
        }
        with atomic_write(self.path) as file:
            file.write(assemble(data).encode())
        return runs, skipped

    def refresh(self) -> None:
        """Writes the page if it can; the first time that it cannot, it warns. A training goes on either way."""
        try:
            self.write()
        except Exception as error:  # whatever lies in other folders
            if not self.failed:
                warnings.warn(f"{self.path} is not up to date: {error}", stacklevel=2)
            self.failed = True

    def kept(self) -> dict[str, dict]:
        """The summaries on the page as it is, by their fingerprints; none from another version of this program."""
        try:
            page = self.path.read_text("utf-8")
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError:
            page = ""
        if MARK not in page[:2000]:
            raise UsageError(f"{self.path} is not a gallery. Move it away, and the gallery takes its place.")
        try:
            data = json.loads(HELD.search(page)[1])
            return {run["key"]: run for run in data["runs"]} if data["program"] == self.program else {}
        except (TypeError, ValueError, KeyError):
            return {}

    def collect(self, kept: dict[str, dict]) -> tuple[list[dict], list[tuple[str, str]]]:
        """The summaries of all runs, the last written first, and who is left out and why."""
        runs, skipped = [], []
        for path in sorted(self.folder.glob("*/config.json")):
            folder = path.parent
            try:
                seen, grids = look(folder)
                key = f"{seen} {folder.name}"
                run = kept.get(key) or {"key": key, **summarise(folder, grids)}
                json.dumps(run, allow_nan=False)  # a browser knows no NaN
                runs.append(run)
            except Exception as error:  # a folder may hold anything
                skipped.append((shown(folder.name), shown(str(error)) or type(error).__name__))
        return sorted(runs, key=lambda run: -run["written"]), skipped


def assemble(data: dict) -> str:
    """The page as one file. Only its own script and style run: a policy names them by their digests."""
    script = "".join((PARTS / name).read_text("utf-8") for name in SCRIPTS)
    style = (PARTS / "gallery.css").read_text("utf-8")
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
    page = (PARTS / "gallery.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def digest(text: str) -> str:
    """What a content security policy calls an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
