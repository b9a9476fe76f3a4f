"""What a comparison has found so far: results/NAME.json, and the page that is made of it.

document = opened(asked, how, output)  # goes on with what is there
write(document)
"""

import shlex
from pathlib import Path

from gan.comparison import markdown, runner
from gan.comparison.comparability import avatar_seed, find_incomparable, training_faces
from gan.errors import UsageError
from gan.files import atomic_write, read_json, write_json
from gan.metrics.evaluation import protocol_differences
from gan.runs.run_directory import Run, format_iteration

FOLDER = Path("results")
NAMES = {"name", "data", "minutes", "samples", "networks", "mixed", "recipes", "rows"}


def read(name: str) -> dict:
    """The document of a comparison; raises UsageError where there is none, or it is damaged."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise UsageError(f"There is no {path}: compare first.")
    return {"weights": "best", **read_json(path, names=NAMES)}


def open_document(asked: dict, how: dict, output: Path) -> dict:
    """What is known of a comparison, which what was `asked` (name, data, minutes) makes what it is.

    `how` (samples, networks, weights) it is scored may change: rows that were scored otherwise are left out, to be
    scored again, their runs being in `output` still; the others get the newest scores of theirs. Raises UsageError
    where a run to be scored again is gone, or this is not that comparison.
    """
    path = FOLDER / f"{asked['name']}.json"
    if not path.exists():
        return {**asked, **how, "mixed": False, "recipes": {}, "rows": []}
    document = read(asked["name"])
    if different := protocol_differences({name: document[name] for name in asked}, asked):
        raise UsageError(
            f"{path} is another comparison (there and here):\n  "
            + "\n  ".join(different)
            + "\nGive --name another name."
        )
    rows = [row for row in document["rows"] if row["failed"] or has_protocol(row, document, how)]
    again = [row["run"] for row in document["rows"] if row not in rows]
    if gone := [run for run in again if not runner.is_trained(Run(output / run), asked["minutes"])]:
        raise UsageError(
            f"{', '.join(gone)}: no longer in {output}, and so not to be scored again."
            " Give --samples, --network and --weights as before, or --name another name, which trains anew."
        )
    return {**document, **how, "rows": [with_newest_scores(row, output, how) for row in rows]}


def known_rows(name: str) -> dict[str, dict]:
    """The rows of a comparison that did not fail, by their runs, however they were scored; none where it is new."""
    rows = read(name)["rows"] if (FOLDER / f"{name}.json").exists() else []
    return {row["run"]: row for row in rows if not row["failed"]}


def with_newest_scores(row: dict, output: Path, how: dict) -> dict:
    """A row with the newest scores of its run, where there is one still."""
    run = Run(output / row["run"])
    if row["failed"] or not (run.folder / "generator.keras").exists():
        return row
    return {**row, **(runner.find_scores(run, **how) or {})}


def has_protocol(row: dict, document: dict, how: dict) -> bool:
    """Whether a row's scores are as those that are asked for."""
    return document["weights"] == how["weights"] and runner.matches_protocol(
        row["protocol"], how["samples"], how["networks"]
    )


def require_faces(document: dict, seed: int, there: str) -> None:
    """Raises UsageError where `there` are other faces now than runs of the comparison were trained on.

    Of avatars each seed draws its own, so that only runs of one seed are of the same faces.
    """
    for row in document["rows"] if not document["mixed"] else []:
        ours = not row["failed"] and avatar_seed(row) in (None, seed)
        if ours and training_faces(row) != there:
            raise UsageError(
                f"{row['run']} was trained on {training_faces(row)}; {document['data']} is {there} now, and scores against other"
                " faces do not compare. Give --name another name, which trains anew; --mixed goes on all the same."
            )


def write(document: dict, anyway: bool = False) -> None:
    """Writes results/NAME.json and the page; raises UsageError where rows were measured differently."""
    path, rows = FOLDER / f"{document['name']}.json", [row for row in document["rows"] if not row["failed"]]
    different = find_incomparable(rows)
    if different and not (anyway or document["mixed"]):
        raise UsageError(
            "\n  ".join(["Runs were measured differently:", *different])
            + f"\nSo their scores cannot be compared, and {path} is as it was. Score again those that were scored in"
            " another way, then give the same command, which takes the newest of each run's scores.json:\n  "
            + shlex.join(["python", "-m", "tools.evaluate", *(f"output/{row['run']}" for row in rows), *how(document)])
            + "\nThose of other faces have to be trained again: remove their folders and that file, or give --name"
            " another name. --mixed goes on all the same."
        )
    write_json(path, document)
    with atomic_write(FOLDER / f"{document['name']}.md") as file:
        file.write(markdown.page(document).encode("utf-8", "replace"))  # a name may be no text


def how(document: dict) -> list[str]:
    """How a comparison's runs are scored, as tools/evaluate.py takes it."""
    weights = ["--weights", document["weights"]] if document["weights"] != "best" else []
    return ["--samples", f"{document['samples']}", "--network", *document["networks"], *weights]


def keep_grid(row: dict, name: str, output: Path) -> None:
    """Copies the picture of a run's scored generator, or else its last one, to results/; says what it did not."""
    run, iteration = Run(output / row["run"]), row["generator"]["iteration"]
    seed = f"-{row['seed']}" if row["seed"] else ""
    kept = FOLDER / f"{name}-{row['label'].replace(' ', '+')}{seed}.png"
    pictures = run.list_grids()
    if not pictures:
        what = "is as it was" if kept.exists() else "is not made"
        print(f"compare: {run.folder} has no pictures any more; {kept} {what}")
        return
    best = None if iteration is None else run.grid_path(iteration)
    if best not in pictures:
        best = pictures[-1]
        print(
            f"compare: {run.folder} has no picture of iteration {format_iteration(iteration)}; {kept} is its {best.name}"
        )
    with atomic_write(kept) as file:
        file.write(best.read_bytes())
