"""Export the generator of a run to the formats of other programs, each verified against Keras by its own runtime.

    python -m tools.export output/RUN                            # all formats that can be exported here, in export/
    python -m tools.export output/RUN --to onnx litert
    python -m tools.export output/RUN --to web                   # a web page that generates faces, for any web server

A model card, README.md, is written beside them. Files that no export wrote are never replaced.
"""

import argparse
import sys
from pathlib import Path

if not __package__:  # run as a file: python tools/export.py
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from gan import cli, experiment
from gan.config import join_words
from gan.errors import RunError
from gan.export import exporter, model_card
from gan.export.formats import FORMATS
from gan.runs.run_directory import Run


def main(argv: list[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    parser = cli.run_parser("export", __doc__, "export")
    parser.add_argument(
        "--to", nargs="+", choices=tuple(FORMATS), help="formats (default: all that can be exported here)"
    )
    arguments = parser.parse_args(argv)
    return cli.run_command("export", lambda: export(arguments))


def export(arguments: argparse.Namespace) -> None:
    """Exports to each format, and prints the paths. Raises RunError, at the end, where some failed."""
    skipped = {} if arguments.to else {name: exporter.missing_packages(name) for name in FORMATS}
    names = list(dict.fromkeys(arguments.to or [name for name in FORMATS if not skipped[name]]))
    for name in names:
        exporter.require_packages(name)
    run, failures = Run(arguments.run), []
    generator = experiment.load_generator(run, arguments.weights == "best")
    folder = Path(arguments.out) if arguments.out else run.folder / "export"
    for result in exporter.export(run, generator, names, folder):
        if result.failure:
            failures.append(f"{result.name}: {result.failure}")
            continue
        print(f"{result.path}: images differ from Keras's by at most {result.difference:.0e}, in [-1, 1]", flush=True)
        if result.name == "web":
            print(f"To open it: python -m http.server -d {join_words([str(result.path)])}, then http://localhost:8000")
    for name, packages in skipped.items():
        if packages:
            print(f"Skipped {name}, which needs {' and '.join(packages)}: pip install {' '.join(packages)}")
    if len(failures) < len(names):
        print(f"Model card: {folder / model_card.FILE}")
    if failures:
        raise RunError("; ".join(failures))


if __name__ == "__main__":
    sys.exit(main())
