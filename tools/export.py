"""A generator in the forms that other programs read, each opened again by its own runtime, and held to Keras's faces.

    python -m tools.export output/RUN                            # all forms that can be made here, in export/
    python -m tools.export output/RUN --to onnx litert
    python -m tools.export output/RUN --to web                   # a page that draws faces; serve it from anywhere

README.md beside them is its model card.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from gan import cards, doors, exports, generators, images, noise
from gan.files import atomic
from gan.runs import Run, enlargement

CHECKED = 16  # faces that are compared


def main(argv: list[str] | None = None) -> int:
    """Exports. Returns the exit code."""
    parser = doors.parser("export", __doc__, "export")
    parser.add_argument("--to", nargs="+", choices=tuple(exports.FORMATS), help="forms (all that can be made here)")
    arguments = parser.parse_args(argv)
    return doors.answer("export", lambda: export(arguments))


def export(arguments: argparse.Namespace) -> None:
    """Writes each form that was asked for, the card, and its picture."""
    import train

    run = Run(arguments.run)
    generator = generators.opened(run, train.build, arguments.weights == "best")
    folder = Path(arguments.out) if arguments.out else run.folder / "export"
    given = noise.drawn(np.arange(CHECKED), generator.noise_shape, generator.law)
    forms = arguments.to or [form for form in exports.FORMATS if not exports.missing(form)]
    files = []
    for form in dict.fromkeys(forms):
        path, difference = exports.export(generator, form, folder, given)
        print(f"{path}: faces differ from Keras's by {difference:.0e} at most, of 2 from black to white", flush=True)
        files.append(path.name)
    for form in () if arguments.to else exports.FORMATS:
        if lacking := exports.missing(form):
            print(f"Left out: {form}, which needs {' and '.join(lacking)}: pip install {' '.join(lacking)}")
    faces = generator(noise.drawn(np.arange(64), generator.noise_shape, generator.law))
    images.write_png(folder / "samples.png", images.grid(faces, scale=enlargement(generator.size)))
    with atomic(folder / "README.md") as file:
        file.write(cards.card(run, generator, files).encode())
    print(f"{folder / 'README.md'} is its model card.")


if __name__ == "__main__":
    sys.exit(main())
