"""The tables of a run: log.csv, metrics.csv and diagnostics.csv, appended to, read, and cut back on resume.

tables = Tables(folder)
tables.truncate(150)  # a run resumes from iteration 150
tables.append_log([{"iteration": 151, "images": 9664, "seconds": 8.5, "d_loss": 1.2, "images_per_second": 900.0}])
tables.read_log()["d_loss"][-1]  # 1.2
"""

import csv
import itertools
import math
from collections import deque
from pathlib import Path

import numpy as np

from gan.errors import UsageError
from gan.files import (
    atomic_write,
    damaged_file_error,
    flush_to_disk,
    is_row,
    parse_numbers,
    read_csv,
    wait_while_busy,
    write_csv,
)
from gan.runs import legacy

# The log's first columns and its last; the scalars of a train step stand between them.
LOG_START, LOG_END = ["iteration", "images", "seconds"], ["images_per_second"]
SCORE_COLUMNS = [
    *("iteration", "images", "seconds", "network", "samples", "kid", "kid_stderr", "face_rate"),
    *("diversity", "memorization", "copied", "copying", "eval_seconds"),
]
AVERAGE_COLUMNS = [*SCORE_COLUMNS, "half_life"]  # of a run with several averages, each of which is scored
DIAGNOSTIC_COLUMNS = ["iteration", "failure_mode", "status", "advice"]
ROWS_READ = 10_000  # of the log, at once


class Tables:
    """The tables in the folder of a run; the columns of the log are those that its train step returns.

    Arguments:
        folder: that of the run.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.log = self.folder / "log.csv"
        self.metrics = self.folder / "metrics.csv"
        self.diagnostics = self.folder / "diagnostics.csv"

    def truncate(self, last: int) -> None:
        """Removes the rows after iteration `last`, which a killed process wrote after its last checkpoint.

        Tables of older versions are rewritten under the present names. Raises UsageError, with all tables unchanged,
        where one has other columns.
        """
        columns = {self.log: [*LOG_START, *LOG_END], self.metrics: SCORE_COLUMNS, self.diagnostics: DIAGNOSTIC_COLUMNS}
        tables = {path: self.read(path, header_only=path == self.log) for path in columns}
        for path, required in columns.items():
            header = tables[path][0]
            known = header == required or (path == self.metrics and header == AVERAGE_COLUMNS)
            if header and not (set(required) <= set(header) if path == self.log else known):
                raise UsageError(
                    f"{legacy.find(self.folder, path.name)} is of another version of this program, or damaged: its"
                    f" columns are not {', '.join(required)}. Give --run another name to start anew."
                )
        for path, (header, rows) in tables.items():
            if path != self.log:
                write_csv(path, [header or columns[path], *(row for row in rows if int(row[0]) <= last)])
            elif header:
                self._rewrite_log(header, last)
            legacy.remove(self.folder, path.name)

    def append_log(self, rows: list[dict[str, float]]) -> None:
        """Adds iterations to log.csv, each a dict of its columns; a column that is new is added to the whole table."""
        header, _ = self.read(self.log, header_only=True)
        names = dict.fromkeys(name for row in rows for name in row)
        if new := [name for name in names if name not in header]:
            scalars = [name for name in [*header, *new] if name not in (*LOG_START, *LOG_END)]
            columns = [*LOG_START, *scalars, *LOG_END]
            self._rewrite_log(columns) if header else write_csv(self.log, [columns])
            header = columns
        self.append_rows(self.log, [tuple(format_value(name, row.get(name)) for name in header) for row in rows])

    def _rewrite_log(self, columns: list[str], last: float = math.inf) -> None:
        """Writes log.csv anew with these columns, up to iteration `last`, a row at a time: there may be millions."""
        header, _ = self.read(self.log, header_only=True)
        places = [header.index(name) if name in header else None for name in columns]
        try:
            with atomic_write(self.log) as file, open(self.log, encoding="utf-8") as log:
                file.write(f"{','.join(columns)}\n".encode())
                for line in itertools.islice(log, 1, None):
                    row = line.rstrip("\n").split(",")
                    if is_row(row, len(header)) and int(row[0]) <= last:
                        cells = ("" if place is None else row[place] for place in places)
                        file.write(f"{','.join(cells)}\n".encode())
        except UnicodeDecodeError:
            raise damaged_file_error(self.log) from None

    def append_rows(self, path: Path, rows: list[tuple]) -> None:
        """Adds rows to one of the tables."""

        def append() -> None:
            with open(path, "a", newline="", encoding="utf-8") as file:
                csv.writer(file, lineterminator="\n").writerows(rows)
                flush_to_disk(file)  # the checkpoint that follows must not outlive these rows

        wait_while_busy(append)

    def append_diagnostics(self, rows: list[tuple]) -> None:
        """Adds starts and ends of failure modes to diagnostics.csv, each with the values of `DIAGNOSTIC_COLUMNS`."""
        self.append_rows(self.diagnostics, rows)

    def append_score(self, score: dict) -> None:
        """Adds a score to metrics.csv, so that it reads back the same; None becomes an empty cell."""
        columns = choose_columns(score)
        if columns == AVERAGE_COLUMNS != self.read(self.metrics, header_only=True)[0]:
            write_csv(self.metrics, [columns])  # before the first score
        values = [score[name] for name in columns]
        self.append_rows(self.metrics, [tuple("" if value is None else str(value) for value in values)])

    def read_scores(self) -> list[dict]:
        """The rows of metrics.csv. Raises UsageError where it is damaged."""
        kinds = dict.fromkeys(("iteration", "images", "samples", "copying"), int) | {
            "network": str,
            "face_rate": lambda text: float(text) if text else None,
        }
        header, rows = self.read(self.metrics)
        if not header:
            return []
        try:
            scores = [
                {name: kinds.get(name, float)(text) for name, text in zip(header, row, strict=True)} for row in rows
            ]
        except ValueError:
            raise damaged_file_error(self.metrics) from None
        numbers = ("kid", "kid_stderr", "seconds", "eval_seconds")
        if set(SCORE_COLUMNS) - set(header) or not all(math.isfinite(row[name]) for row in scores for name in numbers):
            raise damaged_file_error(self.metrics)
        return scores

    def read_log(self, last: int = 0) -> dict[str, np.ndarray]:
        """The columns of log.csv, float64 (n,), of the last rows or, for 0, of all; an empty cell is NaN.

        Raises UsageError where it is damaged.
        """
        header, _ = self.read(self.log, header_only=True)
        if not header:
            return {}
        parts = []
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                lines = (line.rstrip("\n") for line in itertools.islice(file, 1, None))
                lines = (line for line in lines if line.count(",") == len(header) - 1)
                lines = iter(deque(lines, last)) if last else lines
                # A part at a time, and not by the csv module: text takes ten times as much memory as the numbers.
                while part := list(itertools.islice(lines, ROWS_READ)):
                    parts.append(parse_numbers(part, len(header)))
        except ValueError:
            raise damaged_file_error(self.log) from None
        log = dict(zip(header, np.concatenate(parts or [np.empty((0, len(header)))]).T, strict=True))
        if not all(name in log and np.isfinite(log[name]).all() for name in LOG_START):
            raise damaged_file_error(self.log)
        return log

    def read_active_failures(self) -> dict[str, str]:
        """The failure modes of diagnostics.csv that have not ended, each with its advice."""
        active = {}
        for _, name, status, advice in self.read(self.diagnostics)[1]:
            active.pop(name, None)
            if status == "started":
                active[name] = advice
        return active

    def read(self, path: Path, header_only: bool = False) -> tuple[list[str], list[list[str]]]:
        """The present names of a table's columns, and its rows; both empty where there is no table."""
        path = legacy.find(self.folder, path.name)
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                first = file.readline().rstrip("\n")
        except FileNotFoundError:
            first = ""
        header = first.split(",") if first else []
        rows = read_csv(path, len(header)) if header and not header_only else []
        header = legacy.translate_columns(header)
        if header == DIAGNOSTIC_COLUMNS:
            rows = [legacy.translate_diagnostic(row) for row in rows]
        return header, rows


def choose_columns(score: dict) -> list[str]:
    """The columns of metrics.csv for such a score."""
    return AVERAGE_COLUMNS if "half_life" in score else SCORE_COLUMNS


def format_value(name: str, value: float | None) -> str:
    """The text of a cell of log.csv; None, and a value that is missing, is an empty cell."""
    if value is None:
        return ""
    if name in ("iteration", "images"):
        return str(int(value))
    digits = {"seconds": ".3f", "images_per_second": ".1f"}.get(name, ".9g")
    return format(value, digits)
