"""Markdown page of a comparison: scores, their distance from the floor, and the work behind them.

text = format_page(document)  # the document that tools.compare keeps in results/NAME.json
"""

import operator
import shlex
from dataclasses import dataclass
from statistics import fmean

from gan.metrics.report import format_number
from gan.runs.run_directory import format_iteration

# Of each network, the names of its two distances; the finest network first.
DISTANCES = {"inception": ("fid", "kid"), "vgg": ("fd-vgg", "kid-vgg"), "onet": ("fd-onet", "kid-onet")}


@dataclass(frozen=True)
class Entry:
    """The finished runs of one variant, one for each seed."""

    label: str
    rows: list[dict]

    @property
    def size(self) -> int:
        """The side of its images."""
        return self.rows[0]["protocol"]["size"]

    @property
    def is_published(self) -> bool:
        """Whether this is a published recipe without overrides."""
        return self.rows[0]["recipe"] != "default" and not self.rows[0]["overrides"]

    def mean_excess(self, name: str) -> float:
        """Computes the mean of a score minus its floor, the score of real images."""
        return fmean(row["scores"][name] - row["scores"][floor_name(name)] for row in self.rows)

    def format_cell(self, value) -> str:
        """Formats the mean of `value(row)`, and its range over seeds."""
        values = [value(row) for row in self.rows]
        if any(value is None for value in values):
            return "-"
        limits = f" ({format_number(min(values))} to {format_number(max(values))})" if len(values) > 1 else ""
        return format_number(fmean(values)) + limits

    def format_score(self, name: str) -> str:
        """Formats one of the scores."""
        return self.format_cell(lambda row: row["scores"].get(name))

    def format_memorization(self) -> str:
        """Formats the memorization ratio, and the widest of its intervals."""
        found = [row["scores"]["memorization"] for row in self.rows]
        low, high = min(one["low"] for one in found), max(one["high"] for one in found)
        return f"{fmean(one['ratio'] for one in found):.2f} [{low:.2f}, {high:.2f}]"


def format_page(document: dict) -> str:
    """Formats the whole page; its last line is the command that makes it again."""
    scored = [row for row in document["rows"] if not row["failed"]]
    labels = dict.fromkeys(row["label"] for row in scored)
    entries = [Entry(label, [row for row in scored if row["label"] == label]) for label in labels]
    lines = [f"# {document['name']}: {document['minutes']:g} minutes of training each", ""]
    if entries:
        names = next(
            names for names in DISTANCES.values() if all(name in row["scores"] for row in scored for name in names)
        )
        entries.sort(key=lambda entry: entry.mean_excess(names[0]))
        lines += [
            *format_score_table(entries, names),
            "",
            *format_floors(scored, names),
            "",
            *format_shares(entries, names),
        ]
        lines += [*format_work_table(entries), "", *format_machines(scored), ""]
    return "\n".join([*lines, *format_open_runs(document), f"    {format_command(document)}", ""])


def floor_name(name: str) -> str:
    """The name of a distance's floor: the score of as many training images in place of samples."""
    return f"floor_{'fd' if name == 'fid' else name}"


def format_score_table(entries: list[Entry], names: tuple[str, str]) -> list[str]:
    """Formats the table of scores."""
    suffix = names[1].removeprefix("kid")
    others = ["face_rate", *(f"{name}{suffix}" for name in ("precision", "recall", "diversity"))]
    titles = [
        *("recipe", "size", "seeds", *names, "face rate", "precision", "recall", "diversity"),
        "distance to training / to held-out images, 1: no copies [95%]",
    ]
    return format_table(titles, [
        [
            entry.label, f"{entry.size}", f"{len(entry.rows)}", *map(entry.format_score, [*names, *others]),
            entry.format_memorization(),
        ]
        for entry in entries
    ])  # fmt: skip


def format_work_table(entries: list[Entry]) -> list[str]:
    """Formats the table of sizes, speed and time."""
    titles = [
        *("recipe", "weights G + D", "images/s", "images", "iterations", "scoring, % of training"),
        *("minutes in all", "cores busy with other work", "precision", "scored generator"),
    ]
    return format_table(titles, [
        [
            entry.label,
            " + ".join(f"{entry.rows[0]['weights'][part]:,}" for part in ("generator", "discriminator")),
            *(entry.format_cell(operator.itemgetter(name)) for name in ("images_per_second", "images", "iterations")),
            entry.format_cell(lambda row: 100 * row["scoring_share"]),
            entry.format_cell(lambda row: row["wall_seconds"] / 60),
            entry.format_cell(find_other_cores),
            ", ".join(dict.fromkeys(row["config"]["precision"] for row in entry.rows)),
            "; ".join(f"{row['generator']['file']} of {format_iteration(row['generator']['iteration'])}"
                      for row in entry.rows) + f", {entry.rows[0]['protocol']['weights']}",
        ]
        for entry in entries
    ])  # fmt: skip


def format_table(titles: list[str], rows: list[list[str]]) -> list[str]:
    """Formats the lines of a Markdown table; all columns but the first are aligned to the right."""
    rule = ["---", *["---:"] * (len(titles) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in [titles, rule, *rows]]


def format_floors(rows: list[dict], names: tuple[str, str]) -> list[str]:
    """Formats the scores of real images, for each image size."""
    sizes = sorted({row["protocol"]["size"] for row in rows})
    lines = ["Floors: the scores of training images against held-out images (kid is x 1000):"]
    for size in sizes:
        same = [row["scores"] for row in rows if row["protocol"]["size"] == size]
        found = [f"{name} {format_number(fmean(scores[floor_name(name)] for scores in same))}" for name in names]
        rates = [scores["face_rate_real"] for scores in same if scores.get("face_rate_real") is not None]
        found += [f"face rate {format_number(fmean(rates))}"] if rates else []
        lines.append(f"- {size} x {size}: {', '.join(found)}")
    if len(sizes) > 1:
        lines += [
            "",
            "Rows of different sizes are scored against the same images at different sizes: compare with care.",
        ]
    return lines


def format_shares(entries: list[Entry], names: tuple[str, str]) -> list[str]:
    """Formats each variant's distance above the floor as a share of the best other published recipe's."""
    lines = ["Distances above the floor, as a share of the best other published recipe's:"]
    for entry in entries:
        others = [other for other in entries if other.is_published and other is not entry]
        if others:
            best = [min(others, key=lambda other, name=name: other.mean_excess(name)) for name in names]
            found = [
                f"{name} {format_share(entry, other, name)} of {other.label}"
                for name, other in zip(names, best, strict=True)
            ]
            lines.append(f"- {entry.label}: {', '.join(found)}")
    return [*lines, ""] if len(lines) > 1 else []


def format_share(entry: Entry, other: Entry, name: str) -> str:
    """Formats one excess over another; unknown where the other is at the floor."""
    return f"{entry.mean_excess(name) / other.mean_excess(name):.2f}" if other.mean_excess(name) > 0 else "unknown"


def find_other_cores(row: dict) -> float | None:
    """Finds how many cores other work kept busy in the worst session of a run; None where the system does not say."""
    known = [session["other_cores"] for session in row["sessions"] if session["other_cores"] is not None]
    return max(known, default=None)


def format_machines(rows: list[dict]) -> list[str]:
    """Formats the machine, and the runs that shared it with other work."""
    lines, machines = [], [session["machine"] for row in rows for session in row["sessions"]]
    for i, machine in enumerate(machines):
        if machine not in machines[:i]:
            parts = (
                f"{name} {' '.join(value) if isinstance(value, list) else value}" for name, value in machine.items()
            )
            lines.append(f"Machine: {', '.join(parts)}.")
    crowded = [f"{row['label']} (seed {row['seed']})" for row in rows if any(s["shared"] for s in row["sessions"])]
    if crowded:
        lines.append(f"Other work kept the machine busy, so that less was done in the same time: {', '.join(crowded)}.")
    return lines


def format_open_runs(document: dict) -> list[str]:
    """Formats the runs that failed, and those that are still to be done."""
    done = {(row["label"], row["seed"]) for row in document["rows"]}
    lines = [
        f"Failed: {row['label']} (seed {row['seed']}): {row['failed']}." for row in document["rows"] if row["failed"]
    ]
    left = [(label, seed) for label, count in document["recipes"].items() for seed in range(count)]
    left = [f"{label} (seed {seed})" for label, seed in left if (label, seed) not in done]
    lines += [f"Not done yet: {', '.join(left)}."] if left else []
    return [*lines, ""] if lines else []


def format_command(document: dict) -> str:
    """Formats the command that makes the comparison again."""
    recipes = [label + (f":{count}" if count > 1 else "") for label, count in document["recipes"].items()]
    return shlex.join([
        *("python", "-m", "tools.compare", "--recipes", *recipes, "--data", document["data"]),
        *("--minutes", f"{document['minutes']:g}", "--samples", f"{document['samples']}"),
        *("--network", *document["networks"], "--name", document["name"]),
    ])  # fmt: skip
