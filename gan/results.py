"""What a comparison has found so far: results/NAME.json, and the page that is made of it.

document = opened(asked, how, output)  # goes on with what is there
write(document)
"""

from pathlib import Path

from gan import sittings, tables
from gan.errors import UsageError
from gan.files import atomic, read_json, write_json
from gan.runs import Run
from gan.scores import differing

FOLDER = Path("results")
NAMES = {"name", "data", "minutes", "samples", "networks", "mixed", "recipes", "rows"}


def read(name: str) -> dict:
    """The document of a comparison; raises UsageError where there is none, or it is damaged."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        raise UsageError(f"There is no {path}: compare first.")
    return {"weights": "best", **read_json(path, names=NAMES)}


def opened(asked: dict, how: dict, output: Path) -> dict:
    """What is known of a comparison, which what was `asked` (name, data, minutes) makes what it is.

    `how` (samples, networks, weights) it is scored may change: rows that were scored otherwise are left out, to be
    scored again, their runs being in `output` still. Raises UsageError where they are not, or this is not that
    comparison.
    """
    path = FOLDER / f"{asked['name']}.json"
    if not path.exists():
        return {**asked, **how, "mixed": False, "recipes": {}, "rows": []}
    document = read(asked["name"])
    if different := differing({name: document[name] for name in asked}, asked):
        raise UsageError(
            f"{path} is another comparison (there and here):\n  "
            + "\n  ".join(different)
            + "\nGive --name another name, or remove that file: its runs stay in output/ and are not trained again."
        )
    rows = [row for row in document["rows"] if row["failed"] or scored_so(row, document, how)]
    again = [row["run"] for row in document["rows"] if row not in rows]
    if gone := [run for run in again if not Run(output / run).log.exists()]:
        raise UsageError(
            f"{', '.join(gone)}: no longer in {output}, and so not to be scored again."
            " Give --samples, --network and --weights as before, or --name another name, which trains anew."
        )
    return {**document, **how, "rows": rows}


def scored_so(row: dict, document: dict, how: dict) -> bool:
    """Whether a row's scores are as those that are asked for."""
    return document["weights"] == how["weights"] and sittings.measured(row["protocol"], how["samples"], how["networks"])


def write(document: dict, anyway: bool = False) -> None:
    """Writes results/NAME.json and the page; raises UsageError where rows were measured differently."""
    different = tables.measured_differently([row for row in document["rows"] if not row["failed"]])
    if different and not (anyway or document["mixed"]):
        raise UsageError(
            "\n  ".join(["Runs were measured differently:", *different])
            + "\nSo their scores cannot be compared; each run's scores.json has its own. --mixed goes on all the same."
        )
    write_json(FOLDER / f"{document['name']}.json", document)
    with atomic(FOLDER / f"{document['name']}.md") as file:
        file.write(tables.page(document).encode())
