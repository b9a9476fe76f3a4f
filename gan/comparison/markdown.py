"""A comparison as a Markdown page: scores, what they cost, and in words how much nearer to real faces a recipe gets.

text = page(document)  # the document that tools/compare.py keeps in results/NAME.json
"""

import shlex
from dataclasses import dataclass
from statistics import fmean

from gan.comparison.comparability import avatar_seed, find_incomparable
from gan.metrics.report import format_number
from gan.runs.run_directory import format_iteration

# Of each network, the names of its two distances; the finest network first.
NETWORKS = {"inception": ("fid", "kid"), "vgg": ("fd-vgg", "kid-vgg"), "onet": ("fd-onet", "kid-onet")}


@dataclass(frozen=True)
class Entry:
    """The finished runs of one variant, a seed each."""

    label: str
    rows: list[dict]

    @property
    def size(self) -> int:
        """The side of its pictures."""
        return self.rows[0]["protocol"]["size"]

    @property
    def published(self) -> bool:
        """Whether this is somebody else's recipe, as they had it."""
        return self.rows[0]["recipe"] != "default" and not self.rows[0]["overrides"]

    def excess(self, name: str) -> float:
        """How far a score is above what real faces have, on average."""
        return fmean(row["scores"][name] - row["scores"][floor(name)] for row in self.rows)

    def cell(self, value) -> str:
        """What `value(row)` is: the mean, and from where to where over the seeds."""
        values = [value(row) for row in self.rows]
        if any(value is None for value in values):
            return "-"
        return format_number(fmean(values)) + (
            f" ({format_number(min(values))} to {format_number(max(values))})" if len(values) > 1 else ""
        )

    def score(self, name: str) -> str:
        """One of the scores."""
        return self.cell(lambda row: row["scores"].get(name))

    def memorisation(self) -> str:
        """The ratio, and the widest of the intervals."""
        found = [row["scores"]["memorisation"] for row in self.rows]
        low, high = min(one["low"] for one in found), max(one["high"] for one in found)
        return f"{fmean(one['ratio'] for one in found):.2f} [{low:.2f}, {high:.2f}]"


def page(document: dict) -> str:
    """The whole page; its last line is the command that made it."""
    scored = [row for row in document["rows"] if not row["failed"]]
    entries = [Entry(label, [row for row in scored if row["label"] == label]) for label in labels(scored)]
    lines = [f"# {document['name']}: {document['minutes']:g} minutes of training each", ""]
    if entries:
        names = network(scored)
        entries.sort(key=lambda entry: entry.excess(names[0]))
        lines += [*score_table(entries, names), "", *floors(scored, names), "", *ratios(entries, names)]
        lines += [*work_table(entries, machines(scored)), "", *remarks(scored), ""]
    lines += shortcomings(document)
    return "\n".join([*lines, f"    {command(document)}", ""])


def labels(rows: list[dict]) -> list[str]:
    """Whose rows they are, each once."""
    return list(dict.fromkeys(row["label"] for row in rows))


def network(rows: list[dict]) -> tuple[str, str]:
    """The names of the two distances of the finest network that saw all runs."""
    for names in NETWORKS.values():
        if all(name in row["scores"] for row in rows for name in names):
            return names
    return NETWORKS["onet"]


def floor(name: str) -> str:
    """Under which name a distance's floor is kept: what as many training faces have in place of samples."""
    return f"floor_{'fd' if name == 'fid' else name}"


def score_table(entries: list[Entry], names: tuple[str, str]) -> list[str]:
    """What the faces are like."""
    suffix = names[1].removeprefix("kid")
    others = ["face_rate", *(f"{name}{suffix}" for name in ("precision", "recall", "diversity"))]
    titles = [
        *("recipe", "size", "seeds", *names, "face rate", "precision", "recall", "diversity"),
        "nearest training face over nearest unseen one, unseen faces having 1 [95%]",
    ]
    return table(titles, [
        [entry.label, f"{entry.size}", f"{len(entry.rows)}", *map(entry.score, [*names, *others]), entry.memorisation()]
        for entry in entries
    ])  # fmt: skip


def work_table(entries: list[Entry], known: list[dict]) -> list[str]:
    """What the faces cost."""
    titles = [
        *("recipe", "weights G + D", "images/s", "images", "iterations", "scoring, % of training"),
        *("minutes in all", "cores at others' work", "machine", "precision", "scored generator"),
    ]
    return table(titles, [
        [
            entry.label,
            " + ".join(f"{entry.rows[0]['weights'][part]:,}" for part in ("generator", "discriminator")),
            *(entry.cell(lambda row, name=name: row[name]) for name in ("images_per_second", "images", "iterations")),
            entry.cell(lambda row: 100 * row["scoring_share"]),
            entry.cell(lambda row: row["wall_seconds"] / 60),
            entry.cell(others),
            ", ".join(dict.fromkeys(letters(row, known) for row in entry.rows)),
            ", ".join(dict.fromkeys(row["config"]["precision"] for row in entry.rows)),
            "; ".join(f"{row['generator']['file']} of {format_iteration(row['generator']['iteration'])}" for row in entry.rows)
            + f", {entry.rows[0]['protocol']['weights']}",
        ]
        for entry in entries
    ])  # fmt: skip


def table(titles: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table; all but the first column to the right."""
    rule = ["---", *["---:"] * (len(titles) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in [titles, rule, *rows]]


def floors(rows: list[dict], names: tuple[str, str]) -> list[str]:
    """What real faces score, once a size, and what different sizes mean."""
    sizes = sorted({row["protocol"]["size"] for row in rows})
    lines = ["Floors, which is what real faces that were trained on score against those that were not (kid is x 1000):"]
    for size in sizes:
        same = [row["scores"] for row in rows if row["protocol"]["size"] == size]
        found = (f"{name} {format_number(fmean(scores[floor(name)] for scores in same))}" for name in names)
        rates = [scores["face_rate_real"] for scores in same if scores.get("face_rate_real") is not None]
        rate = f", face rate {format_number(fmean(rates))}" if rates else ""
        lines.append(f"- {size} x {size}: {', '.join(found)}{rate}")
    if len(sizes) > 1:
        lines += ["", "Rows of different sizes are held against the same faces at different sizes: compare with care."]
    return lines


def ratios(entries: list[Entry], names: tuple[str, str]) -> list[str]:
    """How much of the best published recipe's distance above the floor each has left, a line each."""
    fd, kid = names
    lines = ["How much remains of the best other published recipe's distance above the floor:"]
    for entry in entries:
        others = [other for other in entries if other.published and other is not entry]
        if others:
            best, second = (min(others, key=lambda other, name=name: other.excess(name)) for name in names)
            of = f"its {kid}" if second is best else f"the best {kid} ({told(second, entry)})"
            lines.append(
                f"- {entry.label}: {ratio(entry, best, fd)} of the best published recipe's {fd} above the floor"
                f" ({told(best, entry)}), {ratio(entry, second, kid)} of {of}"
            )
    return [*lines, ""] if len(lines) > 1 else []


def told(entry: Entry, beside: Entry) -> str:
    """Its name, and its size where that is another."""
    return entry.label if entry.size == beside.size else f"{entry.label}, {entry.size} x {entry.size}"


def ratio(entry: Entry, best: Entry, name: str) -> str:
    """One excess over another; there is none where the other is at the floor."""
    return f"{entry.excess(name) / best.excess(name):.2f}" if best.excess(name) > 0 else "no telling how much"


def machines(rows: list[dict]) -> list[dict]:
    """All machines that trained, each once."""
    found = [sitting["machine"] for row in rows for sitting in row["sittings"]]
    return [machine for i, machine in enumerate(found) if machine not in found[:i]]


def letters(row: dict, known: list[dict]) -> str:
    """Which of the machines, by letter, a run was trained on."""
    return "+".join(dict.fromkeys(chr(ord("A") + known.index(sitting["machine"])) for sitting in row["sittings"]))


def others(row: dict) -> float | None:
    """How many cores others kept at work beside a run, in its worst sitting; None where the system does not tell."""
    told = [sitting["others"][1] for sitting in row["sittings"]]
    return max((cores for cores in told if cores is not None), default=None)


def remarks(rows: list[dict]) -> list[str]:
    """The machines; which runs shared theirs with other work; what was measured differently."""
    lines = []
    for i, machine in enumerate(machines(rows)):
        told = (f"{name} {' '.join(value) if isinstance(value, list) else value}" for name, value in machine.items())
        lines.append(f"Machine {chr(ord('A') + i)}: {', '.join(told)}.")
    crowded = [f"{row['label']} (seed {row['seed']})" for row in rows if any(s["shared"] for s in row["sittings"])]
    if crowded:
        lines.append(f"Others worked there meanwhile, so less was done in the same time: {', '.join(crowded)}.")
    if len({avatar_seed(row) for row in rows}) > 1:
        lines.append("Each seed draws avatars of its own: a range over seeds is one over faces, too.")
    if different := find_incomparable(rows):
        lines += ["Measured differently, so scores cannot be compared:", *(f"- {line}" for line in different)]
    return lines


def shortcomings(document: dict) -> list[str]:
    """What failed, and what is still to be done."""
    done = {(row["label"], row["seed"]) for row in document["rows"]}
    lines = [
        f"Failed: {row['label']} (seed {row['seed']}): {row['failed']}." for row in document["rows"] if row["failed"]
    ]
    left = [(label, seed) for label, count in document["recipes"].items() for seed in range(count)]
    left = [f"{label} (seed {seed})" for label, seed in left if (label, seed) not in done]
    lines += [f"Not done yet: {', '.join(left)}."] if left else []
    return [*lines, ""] if lines else []


def command(document: dict) -> str:
    """What to type to have it all again."""
    recipes = [label + (f":{count}" if count > 1 else "") for label, count in document["recipes"].items()]
    return shlex.join([
        *("python", "-m", "tools.compare", "--recipes", *recipes, "--data", document["data"]),
        *("--minutes", f"{document['minutes']:g}", "--samples", f"{document['samples']}"),
        *("--network", *document["networks"], "--name", document["name"]),
        *(["--weights", document["weights"]] if document.get("weights", "best") != "best" else []),
        *(["--mixed"] if document["mixed"] else []),
    ])  # fmt: skip
