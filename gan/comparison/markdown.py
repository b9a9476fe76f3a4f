"""Markdown page of a comparison: scores, their distance from the floor, and the work behind them.

text = format_page(document)  # the document that tools.compare keeps in results/NAME.json
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from gan.config import join_words
from gan.metrics.report import format_number
from gan.runs.run_directory import format_iteration

# Of each network, the names of its two distances; the finest network first.
DISTANCES = {"inception": ("fid", "kid"), "vgg": ("fd-vgg", "kid-vgg"), "onet": ("fd-onet", "kid-onet")}


@dataclass(frozen=True)
class Entry:
    """The runs of one variant, one for each seed."""

    label: str
    rows: list[dict]

    def mean_excess(self, name: str) -> float:
        """Computes the mean of a score minus its floor, the score of real images."""
        return fmean(row["scores"][name] - row["scores"][floor_name(name)] for row in self.rows)

    def format_mean(self, value: Callable[[dict], float | None]) -> str:
        """Formats the mean of `value(row)`, and its range over seeds; "-" where a value is None."""
        values = [value(row) for row in self.rows]
        if any(value is None for value in values):
            return "-"
        limits = f" ({format_number(min(values))} to {format_number(max(values))})" if len(values) > 1 else ""
        return format_number(fmean(values)) + limits

    def format_memorization(self) -> str:
        """Formats the memorization ratio, and the widest of its intervals."""
        found = [row["scores"]["memorization"] for row in self.rows]
        low, high = min(one["low"] for one in found), max(one["high"] for one in found)
        return f"{fmean(one['ratio'] for one in found):.2f} [{low:.2f}, {high:.2f}]"

    def format_generators(self) -> str:
        """Formats which generator of each run was scored."""
        found = [row["generator"] for row in self.rows]
        found = [f"{generator['file']} of {format_iteration(generator['iteration'])}" for generator in found]
        return f"{'; '.join(found)}, {self.rows[0]['protocol']['weights']}"


def format_page(document: dict) -> str:
    """Formats the whole page; its last line is the command that makes it again."""
    rows = document["rows"]
    sections = [[f"# {document['name']}: {document['minutes']:g} minutes of training each"]]
    if rows:
        labels = dict.fromkeys(row["label"] for row in rows)
        entries = [Entry(label, [row for row in rows if row["label"] == label]) for label in labels]
        names = next(names for names in DISTANCES.values() if all(names[0] in row["scores"] for row in rows))
        entries.sort(key=lambda entry: entry.mean_excess(names[0]))
        sections += [format_scores(entries, names), format_floors(rows, names)]
        sections += [format_work(entries), format_machines(rows)]
    sections += [format_open_runs(document), [f"    {format_command(document)}"]]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def floor_name(name: str) -> str:
    """Returns the name of a distance's floor: the score of as many training images in place of samples."""
    return f"floor_{'fd' if name == 'fid' else name}"


def format_scores(entries: list[Entry], names: tuple[str, str]) -> list[str]:
    """Formats the table of scores."""
    suffix = names[1].removeprefix("kid")
    scores = {name: name for name in names} | {"face rate": "face_rate"}
    scores |= {title: title + suffix for title in ("precision", "recall", "diversity")}
    return format_table(entries, {
        "size": lambda entry: f"{entry.rows[0]['protocol']['size']}",
        "seeds": lambda entry: f"{len(entry.rows)}",
        **{title: lambda entry, name=name: entry.format_mean(lambda row: row["scores"].get(name))
           for title, name in scores.items()},
        "distance to training / to held-out images, 1: no copies [95%]": Entry.format_memorization,
    })  # fmt: skip


def format_work(entries: list[Entry]) -> list[str]:
    """Formats the table of sizes, speed and time."""
    columns = {
        "images/s": lambda row: row["images_per_second"],
        "images": lambda row: row["images"],
        "iterations": lambda row: row["iterations"],
        "scoring, % of training": lambda row: 100 * row["scoring_share"],
        "minutes in all": lambda row: row["wall_seconds"] / 60,
        "cores busy with other work": find_other_cores,
    }
    return format_table(entries, {
        "weights G + D": lambda entry: " + ".join(f"{count:,}" for count in entry.rows[0]["weights"].values()),
        **{title: lambda entry, value=value: entry.format_mean(value) for title, value in columns.items()},
        "precision": lambda entry: ", ".join(dict.fromkeys(row["config"]["precision"] for row in entry.rows)),
        "scored generator": Entry.format_generators,
    })  # fmt: skip


def format_table(entries: list[Entry], columns: dict[str, Callable[[Entry], str]]) -> list[str]:
    """Formats a Markdown table of labels and other columns, which are aligned to the right."""
    cells = [["recipe", *columns], ["---", *["---:"] * len(columns)]]
    cells += [[entry.label, *(column(entry) for column in columns.values())] for entry in entries]
    return [f"| {' | '.join(line)} |" for line in cells]


def format_floors(rows: list[dict], names: tuple[str, str]) -> list[str]:
    """Formats the scores of real images, for each image size."""
    lines = ["Floors: the scores of training images against held-out images (kid is x 1000):"]
    sizes = sorted({row["protocol"]["size"] for row in rows})
    for size in sizes:
        same = [row["scores"] for row in rows if row["protocol"]["size"] == size]
        found = [f"{name} {format_number(fmean(scores[floor_name(name)] for scores in same))}" for name in names]
        rates = [scores["face_rate_real"] for scores in same if scores.get("face_rate_real") is not None]
        found += [f"face rate {format_number(fmean(rates))}"] if rates else []
        lines.append(f"- {size} x {size}: {', '.join(found)}")
    if len(sizes) > 1:
        lines += ["", "Rows of different sizes are scored against the same images at those sizes: compare with care."]
    return lines


def find_other_cores(row: dict) -> float | None:
    """Finds how many cores other work kept busy in the worst session of a run; None where the system does not say."""
    known = [session["other_cores"] for session in row["sessions"] if session["other_cores"] is not None]
    return max(known, default=None)


def format_machines(rows: list[dict]) -> list[str]:
    """Formats the machine, and the runs that shared it with other work."""
    lines = []
    for machine in [session["machine"] for row in rows for session in row["sessions"]]:
        values = {name: " ".join(value) if isinstance(value, list) else value for name, value in machine.items()}
        lines.append(f"Machine: {', '.join(f'{name} {value}' for name, value in values.items())}.")
    lines = list(dict.fromkeys(lines))  # an older comparison may have several
    crowded = [f"{row['label']} (seed {row['seed']})" for row in rows if any(s["shared"] for s in row["sessions"])]
    if crowded:
        lines.append(f"Other work kept the machine busy, so that less was done in the same time: {', '.join(crowded)}.")
    return lines


def format_open_runs(document: dict) -> list[str]:
    """Formats the runs that are still to be done."""
    done = {(row["label"], row["seed"]) for row in document["rows"]}
    planned = [(label, seed) for label, count in document["recipes"].items() for seed in range(count)]
    left = [f"{label} (seed {seed})" for label, seed in planned if (label, seed) not in done]
    return [f"Not done yet: {', '.join(left)}."] if left else []


def format_command(document: dict) -> str:
    """Formats the command that makes the comparison again."""
    # The number of seeds stands after the last colon, and a label may have one.
    recipes = [f"{label}:{n}" if n > 1 or ":" in label else label for label, n in document["recipes"].items()]
    half = document.get("half", "")
    output = document.get("output", "output")  # which older versions did not record
    name = document["name"].removesuffix(f"-{half}") if half else document["name"]
    return join_words([
        *("python", "-m", "tools.compare", "--recipes", *recipes, "--data", document["data"]),
        *("--minutes", f"{document['minutes']:g}", "--samples", f"{document['samples']}"),
        *("--network", *document["networks"], "--name", name, *(["--half", half] if half else [])),
        *(["--output", output] if output != "output" else []),
    ])  # fmt: skip
