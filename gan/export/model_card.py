"""Model card: what a generator is, what it was trained on, how good it is, and what it may be used for.

text = format_card(run, generator, {"generator.onnx": digest_weights(generator)})

Markdown; Mitchell et al., arXiv:1810.03993.
"""

import hashlib
import json
import re
from pathlib import Path

from gan.config import Config
from gan.files import damaged_file_error
from gan.generation.generator import Generator
from gan.metrics.audit import format_cell
from gan.metrics.evaluation import HELD_OUT_NAME
from gan.metrics.report import format_number
from gan.runs.run_directory import Run, format_iteration

FILE, SAMPLES_FILE = "README.md", "samples.png"
# The start of the last line, which lists the files of all exports to a folder. Cards of older versions have it too.
FILE_LIST = "<!-- Every export writes this file anew. It made:"
SCORES = ("fid", "kid", "fd-vgg", "kid-vgg", "fd-onet", "kid-onet", "face_rate", "diversity-vgg", "diversity-onet")
CELEBA = """CelebA may be used for non-commercial research only and must not be redistributed (see the agreement at
http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html); treat a generator trained on it with the same care. Its people are
celebrities, mostly young, mostly white, mostly smiling, photographed for the press. The generator has learned that, and
generates others worse: its images say nothing about what people look like."""
AVATARS = """The training images are Pablo Stanley's Avataaars, free for personal and commercial use, drawn by
DiceBear: a few hundred parts, with skin and hair colors in equal shares. They portray nobody."""
ORL = """The training images are 400 photographs of 40 people, mostly men, taken at AT&T Laboratories Cambridge, which
is to be credited. There is no formal license. With so few people, the generator produces, and may copy, these."""
UNKNOWN = """What may be done with the generator depends on the license of its training images and on the consent of the
people in them: know both before you redistribute it. It generates people who are rare in these images worse, or not at
all."""


def format_card(run: Run, generator: Generator, files: dict[str, str]) -> str:
    """Formats the card of a folder with exported `files`, name -> the digest of the weights in each."""
    config, digest = generator.config, digest_weights(generator)
    current = [f"`{name}`" for name, of in files.items() if of == digest]
    others = [f"`{name}`" for name, of in files.items() if of != digest]
    noise_shape = ", ".join(map(str, generator.noise_shape))
    settings = {name: value for name, value in run.read_config().items() if name not in ("cache_dir", "output", "run")}
    settings |= {"data": " + ".join(base_name(each) for each in config.data)}
    settings |= {name: base_name(settings[name]) for name in ("labels", "start_from") if settings.get(name)}
    labels = ", with labels as in training," if generator.labels else ""
    parts = [
        f"# {run.folder.name}: a generator of {generator.size} x {generator.size} faces",
        f"![Samples]({SAMPLES_FILE})",
        f"Generated from the noise of seeds 0 to 63{labels} by {generator.source.name}.",
        "## Model",
        f"The generator of a GAN, a `{config.generator}` network of {generator.network.count_params():,} weights,"
        f" trained by the recipe `{config.recipe}` for {format_iteration(generator.iteration)} iterations."
        f" Input: noise, float32 (n, {noise_shape}), {describe_noise(config.noise_distribution)}."
        + describe_inputs(generator)
        + f" Output: images, float32 (n, {generator.size}, {generator.size}, 3) in [-1, 1]."
        f" Files: {', '.join(current)}."
        + (f" Of another generator, exported earlier: {', '.join(others)}." if others else ""),
        "## Training data",
        describe_data(run, config),
        *describe_labels(generator),
        "## Evaluation",
        describe_scores(run, generator),
        "## Intended use",
        f"Learning about and research on generative networks. {describe_terms(config.data)} Its images portray nobody"
        " in particular and must not be passed off as portraits.",
        "## Settings",
        "```json\n" + json.dumps(settings, indent=2) + "\n```",
        f"{FILE_LIST} {', '.join(f'{name} {of}' for name, of in files.items())} -->",
    ]
    return "\n\n".join(parts) + "\n"


def read_files(folder: Path) -> dict[str, str]:
    """Reads which files the card in a folder lists, name -> the digest of their weights; none without a card."""
    path = folder / FILE
    text = path.read_text("utf-8", "replace") if path.exists() else ""
    return dict(re.findall(r"(\S+) ([0-9a-f]{16})\b", text.rpartition(FILE_LIST)[2])) if FILE_LIST in text else {}


def digest_weights(generator: Generator) -> str:
    """Computes 16 hexadecimal digits that identify the weights of a generator."""
    content = b"".join(weight.tobytes() for weight in generator.network.get_weights())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def describe_noise(distribution: str) -> str:
    """Describes a distribution of noise in a few words."""
    return {"normal": "from N(0, 1)", "uniform": "uniform in [-1, 1]"}[distribution]


def describe_inputs(generator: Generator) -> str:
    """Describes the input of labels, in a sentence; "" for a generator without labels."""
    if generator.labels is None:
        return ""
    return (
        f" Second input: labels, float32 (n, {generator.labels.width}), as below; the inputs are `noise` and `labels`."
    )


def describe_labels(generator: Generator) -> list[str]:
    """Describes the labels of a generator: the column of each in the input, and its share in training."""
    if generator.labels is None:
        return []
    labels = generator.labels
    balanced = ", balanced" if generator.config.balance else ""
    rows, column = [f"| column | label | share in training{balanced} |", "| ---: | --- | ---: |"], 0
    for attribute, shares in zip(labels.attributes, labels.shares, strict=True):
        for code in attribute.codes if attribute.values else [1]:
            value = f"{attribute.name}: {attribute.values[code]}" if attribute.values else attribute.name
            rows.append(f"| {column} | {format_cell(value)} | {shares[code]:.1%} |")
            column += 1
    note = "A column is 1 where an image shall have the label, and 0 elsewhere; values between are possible."
    return ["## Labels", note, "\n".join(rows), f"```python\n{format_example(generator)}\n```"]


def format_example(generator: Generator) -> str:
    """Formats a program that generates images of the most frequent combination of labels."""
    frequent = generator.labels.count_combinations().codes[:1]
    columns = generator.labels.encode(frequent)[0].nonzero()[0].tolist()
    shape = ", ".join(map(str, (8, *generator.noise_shape)))
    sample = {"normal": "standard_normal(({}))", "uniform": "uniform(-1, 1, ({}))"}[generator.noise_distribution]
    return f"""import keras
import numpy as np

noise = np.random.default_rng().{sample.format(shape)}.astype(np.float32)
labels = np.zeros((8, {generator.labels.width}), np.float32)
labels[:, {columns}] = 1  # {" ".join(generator.labels.describe(frequent[0]).split())}
generator = keras.saving.load_model("generator.keras", compile=False)
images = generator([noise, labels], training=False).numpy()
# ONNX: onnxruntime.InferenceSession("generator.onnx").run(None, {{"noise": noise, "labels": labels}})"""


def describe_data(run: Run, config: Config) -> str:
    """Describes the training data, as far as the run's folder does."""
    report = run.read_data_report()
    if report is None:
        return ", ".join(f"`{base_name(each)}`" for each in config.data) + "."
    count = report.get("held_out", round(config.holdout * report["used"]))  # older runs do not record these
    trained = report.get("trained", report["used"] - count)
    held_out = f" {count:,} more were held out of training, to score against." if count else ""
    augmentation = {"none": "", "flip": ", half of them mirrored"}.get(
        config.augmentation, f", augmented by {config.augmentation}"
    )
    return (
        f"{trained:,} images of `{report['source']}`: {report['crop']},"
        f" {config.image_size} x {config.image_size}{augmentation}.{held_out}"
    )


def describe_terms(data: tuple[str, ...]) -> str:
    """Describes license and bias of the data, where they are known."""
    known = {"avatars": AVATARS, "orl": ORL}
    return " ".join(dict.fromkeys(known.get(each, CELEBA if "celeba" in each.lower() else UNKNOWN) for each in data))


def describe_scores(run: Run, generator: Generator) -> str:
    """Formats the last evaluation of this generator by tools.evaluate, and how it was measured."""
    source = {"file": generator.source.name, "iteration": generator.iteration}
    evaluations = [result for result in run.read_evaluations() if result["generator"] == source]
    if not evaluations:
        return f"Not evaluated yet: run `python -m tools.evaluate {Path(*run.folder.parts[-2:])}`, then export again."
    scores, protocol = evaluations[-1]["scores"], evaluations[-1]["protocol"]
    if not isinstance(protocol.get("reference"), dict) or {"samples", "faces"} - {*protocol, *protocol["reference"]}:
        raise damaged_file_error(run.folder / "scores.json")
    rows = [f"| {name} | {format_number(scores[name])} |" for name in SCORES if name in scores]
    data = protocol["reference"].get("data", HELD_OUT_NAME)  # older evaluations were against no other data
    samples, images = f"{protocol['samples']:,} samples", f"{protocol['reference']['faces']:,} images"
    summary = scores.get("memorization", {}).get("summary", "").replace(data, base_name(data))  # older ones lack it
    summary = f" {summary[0].upper()}{summary[1:]}." if summary else ""
    table = ["| score | |", "| --- | ---: |", *rows]
    return "\n".join([*table, "", f"Of {samples}, against {images} ({base_name(data)}).{summary}"])


def base_name(data: str) -> str:
    """Returns the last part of a path, or of several joined ones: a card should not reveal its writer's folders."""
    return " + ".join(re.split(r"[\\/]", each.rstrip("\\/"))[-1] or each for each in data.split(" + "))
