"""Results of a comparison: results/NAME.json, and the Markdown page made from it.

document = open_document({"name": "celeba", "data": "celeba", "minutes": 10.0, "samples": 2000, "networks": ["vgg"]})
page = write(document)
"""

from pathlib import Path

from gan.comparison import markdown
from gan.comparison.variants import name_file
from gan.errors import UsageError
from gan.files import atomic_write, damaged_file_error, has_values, read_json, write_json
from gan.metrics.evaluation import protocol_differences
from gan.runs import legacy
from gan.runs.run_directory import Run

FOLDER = Path("results")
KINDS = {
    "name": str, "data": str, "minutes": int | float, "samples": int, "networks": list, "recipes": dict, "rows": list,
}  # fmt: skip
MOST_RUNS = 10_000  # planned, each of which the page lists
ROW = {"label": str, "seed": int, "run": str}  # beside what the page shows
FORMER = {"failed", "machine"}  # of rows of older versions, which kept runs that failed


def refuse(reason: str, differences: list[str]) -> None:
    """Raises UsageError where there are differences from what a comparison already has."""
    if differences:
        raise UsageError(
            "\n  ".join([f"{reason} (there and here):", *dict.fromkeys(differences)])
            + "\nGive --name another name, which trains all runs anew."
        )


def read(name: str) -> dict:
    """Reads the document of a comparison. Raises UsageError where there is none, or it is damaged."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise UsageError(f"There is no {path}: compare first.")
    document = read_json(path, kinds=KINDS)
    try:
        if sum(document["recipes"].values()) > MOST_RUNS:
            raise ValueError
        rows = [translate_row(row) for row in document["rows"] if not row.get("failed")]
        document |= {"name": name, "rows": rows}  # its name is that of the file
        markdown.format_page(document)
        whole = all(has_values(row, ROW) for row in rows)
    except Exception:  # a value may be any other, of any type
        whole = False
    if not whole:
        raise damaged_file_error(path)
    return document


def translate_row(row: dict) -> dict:
    """Translates a row of an older version to the present names."""
    row = {legacy.RESULT.get(name, name): value for name, value in row.items() if name not in FORMER}
    row["sessions"] = [legacy.translate_session(session) for session in row["sessions"]]
    row["config"] = legacy.translate_config(row["config"])
    return legacy.translate_result(row)


def name_document(name: str, half: str) -> str:
    """The name of the document of a comparison that is scored by one half of the held-out images, or by all."""
    return f"{name}-{half}" if half else name


def open_document(asked: dict) -> dict:
    """Opens the document of a comparison: the one that is there, or a new one.

    Raises UsageError where another comparison has that name: other data, minutes, samples or networks.
    """
    path = FOLDER / f"{asked['name']}.json"
    if not path.exists():
        return {**asked, "recipes": {}, "rows": []}
    document = read(asked["name"])
    there = {**{name: document.get(name, "") for name in asked}, "weights": document.get("weights", "best")}
    wanted = {**asked, "weights": "best"}  # older versions could score last generators
    refuse(f"{path} is another comparison", protocol_differences(there, wanted))
    return document


def add_row(document: dict, row: dict) -> None:
    """Adds a row. Raises UsageError where it was measured by other networks than the first of the comparison."""
    first = (document["rows"] or [row])[0]
    measured = [{name: one["protocol"].get(name) for name in ("networks", "kid")} for one in (first, row)]
    refuse(f"{first['run']} and {row['run']} were measured differently", protocol_differences(*measured))
    document["rows"].append(row)


def write(document: dict) -> str:
    """Writes results/NAME.json and results/NAME.md, and returns the page."""
    page = markdown.format_page(document)
    write_json(FOLDER / f"{document['name']}.json", document)
    with atomic_write(FOLDER / f"{document['name']}.md") as file:
        file.write(page.encode("utf-8", "replace"))  # a name may be no valid text
    return page


def keep_grid(row: dict, name: str, output: Path) -> None:
    """Copies the grid of a run's scored generator, or else its last grid, to results/."""
    run, iteration = Run(output / row["run"]), row["generator"]["iteration"]
    seed = f"-{row['seed']}" if row["seed"] else ""
    kept, grids = FOLDER / f"{name}-{name_file(row['label'])}{seed}.png", run.grids.list_paths()
    if not grids:
        print(f"compare: {run.folder} has no grids any more, so {kept} is not written")
        return
    scored = run.grids.path(iteration) if iteration is not None else None
    with atomic_write(kept) as file:
        file.write((scored if scored in grids else grids[-1]).read_bytes())
