"""Results of a comparison: results/NAME.json, and the Markdown page made from it.

document = open_document({"name": "celeba", "data": "celeba", "minutes": 10.0, "samples": 2000, "networks": ["vgg"]})
write(document)
"""

from pathlib import Path

from gan.comparison import markdown
from gan.errors import UsageError
from gan.files import atomic_write, read_json, write_json
from gan.metrics.evaluation import protocol_differences
from gan.runs import legacy
from gan.runs.run_directory import Run

FOLDER = Path("results")
NAMES = {"name", "data", "minutes", "samples", "networks", "recipes", "rows"}


def read(name: str) -> dict:
    """Reads the document of a comparison. Raises UsageError where there is none, or it is damaged."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise UsageError(f"There is no {path}: compare first.")
    document = read_json(path, names=NAMES)
    return {**document, "rows": [translate_row(row) for row in document["rows"]]}


def translate_row(row: dict) -> dict:
    """Translates a row of an older version to the present names."""
    row = {legacy.RESULT.get(name, name): value for name, value in row.items()}
    row["sessions"] = legacy.translate_sessions(row.get("sessions", []))
    if "config" in row:
        row["config"] = legacy.translate_config(row["config"])
    return legacy.translate_scores([row])[0] if "scores" in row else row


def open_document(asked: dict) -> dict:
    """Opens the document of a comparison: the one that is there, or a new one.

    Raises UsageError where another comparison has that name: other data, minutes, samples or networks.
    """
    path = FOLDER / f"{asked['name']}.json"
    if not path.exists():
        return {**asked, "recipes": {}, "rows": []}
    document = read(asked["name"])
    there = {**{name: document[name] for name in asked}, "weights": document.get("weights", "best")}
    if different := protocol_differences(there, {**asked, "weights": "best"}):  # older versions had --weights last
        raise UsageError(
            f"{path} is another comparison (there and here):\n  "
            + "\n  ".join(different)
            + "\nGive --name another name."
        )
    return document


def require_same_data(document: dict, seed: int, title: str) -> None:
    """Raises UsageError where the data are not those that runs of the comparison were trained on.

    Avatars depend on the seed, so only runs of one seed are compared.
    """
    for row in document["rows"]:
        comparable = not row["failed"] and (document["data"] != "avatars" or row["seed"] == seed)
        if comparable and (known := row["config"].get("faces")) != title:
            raise UsageError(
                f"{row['run']} was trained on {known}; {document['data']} is {title} now, and scores against other"
                " images do not compare. Give --name another name, which trains all runs anew."
            )


def require_same_protocol(document: dict, row: dict) -> None:
    """Raises UsageError where a new row was measured with other networks than the first of the comparison."""
    first = next((other for other in document["rows"] if not other["failed"]), row)
    measured = [{name: one["protocol"].get(name) for name in ("networks", "kid")} for one in (first, row)]
    if different := protocol_differences(*measured):
        raise UsageError(
            f"{first['run']} and {row['run']} were measured differently, so their scores do not compare:\n  "
            + "\n  ".join(different)
            + "\nScore the second again, with python -m tools.evaluate and what measured the first, or give --name"
            " another name, which trains all runs anew."
        )


def write(document: dict) -> None:
    """Writes results/NAME.json and results/NAME.md."""
    write_json(FOLDER / f"{document['name']}.json", document)
    with atomic_write(FOLDER / f"{document['name']}.md") as file:
        file.write(markdown.format_page(document).encode("utf-8", "replace"))  # a name may be no valid text


def keep_grid(row: dict, name: str, output: Path) -> None:
    """Copies the grid of a run's scored generator, or else its last grid, to results/."""
    run, iteration = Run(output / row["run"]), row["generator"]["iteration"]
    seed = f"-{row['seed']}" if row["seed"] else ""
    kept, grids = FOLDER / f"{name}-{row['label'].replace(' ', '+')}{seed}.png", run.list_grids()
    if not grids:
        print(f"compare: {run.folder} has no grids any more, so {kept} is not written")
        return
    scored = run.grid_path(iteration) if iteration is not None else None
    with atomic_write(kept) as file:
        file.write((scored if scored in grids else grids[-1]).read_bytes())
