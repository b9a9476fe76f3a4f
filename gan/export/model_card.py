"""A model card: what a generator is, what it learnt from, how good it is, and what may be done with it.

text = card(run, generator, {"generator.onnx": weights(generator)})  # Markdown; Mitchell et al., arXiv:1810.03993
"""

import hashlib
import json
import re
from pathlib import Path

from gan.files import read_json
from gan.generation.generator import Generator
from gan.metrics.evaluation import HELD_OUT
from gan.metrics.report import format_number
from gan.runs.run_directory import Run, format_iteration

NAME = "README.md"
RECORD = "<!-- Every export writes this file anew. It made:"
SHOWN = ("fid", "kid", "fd-vgg", "kid-vgg", "fd-onet", "kid-onet", "face_rate", "diversity-vgg", "diversity-onet")
CELEBA = """CelebA may be used for non-commercial research only, and may not be passed on (see the agreement at
http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html); a generator trained on it falls under the same care. Its people are
celebrities, mostly young, mostly white, mostly smiling, photographed for the press. The generator has learnt that, and
draws others worse: what it draws says nothing about what people look like."""
AVATARS = """The faces it learnt from are Pablo Stanley's Avataaars, free for personal and commercial use, drawn by
DiceBear: a few hundred parts, with skin and hair colours in equal shares. Nobody is portrayed."""
ORL = """The faces are 400 photographs of 40 people, mostly men, taken at AT&T Laboratories Cambridge, to be credited
for them. There is no formal licence. With so few people it draws, and may copy, these."""
UNKNOWN = """What may be done with the generator hangs on what may be done with these pictures: whoever passes it on
should know their licence, and whether the people in them agreed. Whom the pictures show seldom or never, it draws worse
or never."""


def render_card(run: Run, generator: Generator, made: dict[str, str]) -> str:
    """The whole card, of a folder in which the files' and folders' names are `made`, each of which `weights`."""
    config, own = generator.config, weights_digest(generator)
    files = [f"`{name}`" for name, which in made.items() if which == own]
    others = [f"`{name}`" for name, which in made.items() if which != own]
    noise = " x ".join(map(str, generator.noise_shape))
    settings = {name: value for name, value in run.read_config().items() if name not in ("cache_dir", "run")}
    settings |= {"data": base_name(config.data)}
    parts = [
        f"# {run.folder.name}: a generator of {generator.size} x {generator.size} faces",
        "![Samples](samples.png)",
        f"Drawn from noise alone, faces number 0 to 63 of {generator.source.name}.",
        "## What it is",
        f"A `{config.generator}` network of {generator.network.count_params():,} weights, one of two players of a GAN,"
        f" trained by the recipe `{config.recipe}` for {format_iteration(generator.iteration)} iterations. It takes noise, float32"
        f" (n, {noise}), each number {describe_noise(config.noise_distribution)}, and gives faces, float32 (n, {generator.size},"
        f" {generator.size}, 3) from -1 to 1. Files: {', '.join(files)}."
        + (f" Of another generator, exported earlier: {', '.join(others)}." if others else ""),
        "## What it learnt from",
        describe_data(run, config),
        "## How good it is",
        describe_scores(run, generator),
        "## What it is for, and what not",
        f"For learning, play and research on generative networks. {describe_terms(config.data)} It is no likeness of"
        " anybody in particular, and must not be passed off as one.",
        "## How it was made",
        "```json\n" + json.dumps(settings, indent=2) + "\n```",
        f"{RECORD} {', '.join(f'{name} {which}' for name, which in made.items())} -->",
    ]
    return "\n\n".join(parts) + "\n"


def read_record(folder: Path) -> dict[str, str]:
    """What exports made in a folder, and of which `weights`, as its card's last line records; none without a card."""
    path = folder / NAME
    text = path.read_text("utf-8", "replace") if path.exists() else ""
    return dict(re.findall(r"(\S+) ([0-9a-f]{16})\b", text.rpartition(RECORD)[2])) if RECORD in text else {}


def weights_digest(generator: Generator) -> str:
    """16 hexadecimal digits of a generator's weights, by which they are told from others."""
    content = b"".join(weight.tobytes() for weight in generator.network.get_weights())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def describe_noise(distribution: str) -> str:
    """A distribution in words."""
    return {"normal": "from N(0, 1)", "uniform": "uniform from -1 to 1"}[distribution]


def describe_data(run: Run, config) -> str:
    """The data, as far as the run tells."""
    path = run.folder / "data.json"
    if not path.exists():
        return f"`{base_name(config.data)}`."
    report = read_json(path, names={"used", "source", "crop"})
    count = report.get("held_out", round(config.holdout * report["used"]))  # which older runs do not tell
    held = f" {count:,} of them never trained, for scores to be against." if count else ""
    flipped = ", half of them mirrored" if config.augmentation == "flip" else ""
    return (
        f"{report['used']:,} images of `{report['source']}`: {report['crop']},"
        f" {config.image_size} x {config.image_size}{flipped}.{held}"
    )


def describe_terms(data: str) -> str:
    """What is known of the data's licence and bias."""
    known = {"avatars": AVATARS, "orl": ORL}
    return known.get(data, CELEBA if "celeb" in data.lower() else UNKNOWN)


def describe_scores(run: Run, generator: Generator) -> str:
    """What tools/evaluate.py found last of this generator, and how it was measured."""
    source, name = {"file": generator.source.name, "iteration": generator.iteration}, run.folder.name
    kept = [one for one in run.read_evaluations() if one["generator"] == source]
    if not kept:
        return f"Not evaluated: `python -m tools.evaluate output/{name}` does that, and the next card tells of it."
    found, how = kept[-1]["scores"], kept[-1]["protocol"]
    rows = [f"| {name} | {format_number(found[name])} |" for name in SHOWN if name in found]
    data = how["reference"].get("data", HELD_OUT)  # older ones were never against others
    whose, against = f"{how['samples']:,} samples", f"{how['reference']['faces']:,} faces ({base_name(data)})"
    told = found.get("memorization", {}).get("summary", "").replace(data, base_name(data))  # which older ones lack
    told = f" {told[0].upper()}{told[1:]}." if told else ""
    return "\n".join(["| score | |", "| --- | ---: |", *rows, "", f"Of {whose}, against {against}.{told}"])


def base_name(data: str) -> str:
    """A path's last name, as where a person keeps things is nobody's business; all of what is no path."""
    return Path(data).name or data
