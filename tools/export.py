"""A generator in the forms that other programs read, each opened again by its own runtime, and held to Keras's faces.

    python -m tools.export output/RUN                            # all forms that can be made here, in export/
    python -m tools.export output/RUN --to onnx litert
    python -m tools.export output/RUN --to web                   # a page that draws faces; serve it from anywhere

README.md beside them is its model card, and what it does not name as export's is never replaced.
"""

import argparse
import shlex
import sys
from pathlib import Path

import numpy as np

from gan import cli, experiment, images
from gan.errors import RunError, UsageError
from gan.export import formats, model_card
from gan.files import atomic_write
from gan.generation import noise
from gan.runs.run_directory import Run

CHECKED = 16  # faces that are compared
PICTURE = "samples.png"


def main(argv: list[str] | None = None) -> int:
    """Exports. Returns the exit code."""
    parser = cli.run_parser("export", __doc__, "export")
    parser.add_argument("--to", nargs="+", choices=tuple(formats.FORMATS), help="forms (all that can be made here)")
    arguments = parser.parse_args(argv)
    return cli.run_command("export", lambda: export(arguments))


def export(arguments: argparse.Namespace) -> None:
    """Writes each form that was asked for, the card, and its picture; at the end, RunError where forms failed."""
    forms = list(
        dict.fromkeys(arguments.to or [form for form in formats.FORMATS if not formats.missing_packages(form)])
    )
    for form in forms:
        formats.require_packages(form)
    run = Run(arguments.run)
    generator = experiment.load_generator(run, arguments.weights == "best")
    folder = Path(arguments.out) if arguments.out else run.folder / "export"
    made = earlier(folder, [formats.FORMATS[form].name for form in forms])
    folder.mkdir(parents=True, exist_ok=True)
    given = noise.sample_noise(np.arange(64), generator.noise_shape, generator.noise_distribution)
    picture = images.make_grid(generator(given), scale=images.display_scale(generator.size))
    failed = []
    for form in forms:
        making = made | {formats.FORMATS[form].name: model_card.weights_digest(generator)}
        card = model_card.render_card(
            run, generator, making
        )  # first: where that fails, nothing is there that no card names
        try:
            path, difference = formats.export(generator, form, folder, given[:CHECKED])
        except Exception as error:  # other people's packages fail in any way, and one costs no other form
            failed.append(f"{form}: {' '.join(str(error).split()) or type(error).__name__}")
            continue
        made = making
        with atomic_write(folder / model_card.NAME) as file:
            file.write(card.encode("utf-8", "replace"))  # a name may be no text
        images.write_png(folder / PICTURE, picture)
        print(f"{path}: faces differ from Keras's by {difference:.0e} at most, of 2 from black to white", flush=True)
        if form == "web":
            print(f"It opens at http://localhost:8000 after: python -m http.server -d {shlex.quote(str(path))}")
    for form in () if arguments.to else formats.FORMATS:
        if lacking := formats.missing_packages(form):
            print(f"Left out: {form}, which needs {' and '.join(lacking)}: pip install {' '.join(lacking)}")
    if len(failed) < len(forms):
        print(f"{folder / model_card.NAME} is its model card.")
    if failed:
        raise RunError("; ".join(failed))


def earlier(folder: Path, names: list[str]) -> dict[str, str]:
    """What exports made in a folder that is still there; UsageError where others have put there what these replace."""
    made = model_card.read_record(folder)
    own = {*made, model_card.NAME, PICTURE} if made else set()
    if strange := [name for name in (model_card.NAME, PICTURE, *names) if name not in own and (folder / name).exists()]:
        raise UsageError(
            f"{folder} has {' and '.join(strange)}, of which no card there says that export made it:"
            " move that away, or give --out another folder."
        )
    return {name: which for name, which in made.items() if (folder / name).exists()}


if __name__ == "__main__":
    sys.exit(main())
