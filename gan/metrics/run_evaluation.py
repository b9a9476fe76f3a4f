"""Evaluation of a finished run: scores its samples, adds the result to scores.json, and writes nearest.png.

case = build_case(run, dataset, cache, mirrors=True)
result = evaluate_run(case, fake, {"file": "best.keras", "iteration": 1500}, extractors)
result["protocol"], result["scores"]
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data import FEWEST_HELD
from gan.errors import UsageError
from gan.files import write_json
from gan.images import make_grid, write_png
from gan.labels import Labels
from gan.metrics import evaluation, report
from gan.metrics.class_scores import LabelledImages, score_classes
from gan.metrics.evaluation import HELD_OUT_NAME, ImageSubset
from gan.runs.run_directory import Run

MAX_HELD_OUT = 5000  # held-out images, or those of another reference, that are used


@dataclass(frozen=True)
class EvaluationCase:
    """A run, and the real images that its samples are compared with.

    Arguments:
        run: the run.
        cache: the folder of stored features and of the avatar classifier.
        training: the images that the run was trained on.
        reference: the images that the metrics compare samples with.
        held_out: the images that the search for copies compares samples with: the run's own held-out images, or, where
            these are too few, the reference.
        crop: how images of the reference were cropped, for the protocol.
        avatars: whether the run was trained on avatars.
        mirrors: whether mirrored images were trained on, too.
        labelled: of a run with labels, the reference's images with these; None: no labels, or another reference.
        shares: of a run with labels, those of its own images: the held-out ones, or all others where none are.
    """

    run: Run
    cache: Path
    training: ImageSubset
    reference: ImageSubset
    held_out: ImageSubset
    crop: str
    avatars: bool
    mirrors: bool
    labelled: LabelledImages | None = None
    shares: Labels | None = None

    def announce(self, work: str) -> None:
        """Prints what is done now, as it may take minutes."""
        print(f"{self.run.folder}: {work} ...", flush=True)


def build_case(
    run: Run, dataset, cache: Path, mirrors: bool, reference=None, name: str = "", half: str = ""
) -> EvaluationCase:
    """Selects the images that a run is compared with.

    Arguments:
        run: the run.
        dataset: the `data.Faces` that it was trained on.
        cache: the folder of stored features and of the avatar classifier.
        mirrors: whether mirrored images were trained on, too.
        reference: the `data.Faces` to compare with; None: the run's held-out images. Those that the run was trained on
            are left out.
        name: the name of the reference, for protocols and messages.
        half: one of `gan.metrics.evaluation.HALVES` of the images to compare with; empty: all. The search for copies
            has all.

    Raises UsageError where fewer than `FEWEST_HELD` images are left.
    """
    training_rows, held_out_rows = dataset.split(run.load_config().holdout)
    own = subset = ImageSubset(dataset.images, held_out_rows, HELD_OUT_NAME)
    if reference:
        new = ~np.isin(reference.digests, dataset.digests[training_rows])
        subset = ImageSubset(reference.images, np.flatnonzero(new), name)
    subset = subset.halve(half) if half else subset
    if len(subset) < FEWEST_HELD:
        holder = f"--reference {name} has" if reference else f"{run.folder} held out"
        part = " in that half" if half else ""
        raise UsageError(
            f"{holder} {len(subset)} images{part} that the run was not trained on; a score needs {FEWEST_HELD} or more."
            " Give others to compare with: --reference DATA"
        )
    subset, labelled = subset.subsample(MAX_HELD_OUT), None
    if dataset.labels and not reference:
        from gan.metrics import attribute_classifier  # imports Keras, which the help of a command need not wait for

        classifier = attribute_classifier.load_for_faces(dataset, training_rows, held_out_rows, cache)
        labelled = LabelledImages(subset, dataset.labels.take(subset.rows), classifier)
    own_rows = subset.rows if labelled else held_out_rows if len(held_out_rows) else training_rows
    return EvaluationCase(
        run,
        cache,
        training=ImageSubset(dataset.images, training_rows),
        reference=subset,
        held_out=(own if len(own) >= FEWEST_HELD else subset).subsample(MAX_HELD_OUT),
        crop=(reference or dataset).report["crop"],
        avatars=dataset.avatars,
        mirrors=mirrors,
        labelled=labelled,
        shares=dataset.labels and dataset.labels.take(own_rows),
    )


def evaluate_run(
    case: EvaluationCase,
    fake: np.ndarray,
    generator: dict,
    extractors: list,
    seed: int = 0,
    codes: np.ndarray | None = None,
) -> dict:
    """Scores samples of a run, adds the result to its scores.json, and writes nearest.png.

    Arguments:
        case: the run and the images to compare with.
        fake: samples, uint8 (n, h, w, 3).
        generator: the file and the iteration of their generator, recorded with the result.
        extractors: instances of `gan.metrics.feature_extractors.FeatureExtractor`.
        seed: of all random choices, and of the samples' noise.
        codes: labels that the samples were asked for, int32 (n, attributes); None: of a generator without labels.

    Returns:
        The result: a dict of protocol, generator and scores.
    """
    scores = {}
    for extractor in extractors:
        case.announce(f"computing {extractor.name} features of {len(fake):,} samples")
        embedded = extractor.embed(fake)
        scores |= score_features(case, embedded, extractor, seed)
    if case.labelled and codes is not None:
        case.announce("comparing samples with images of the labels that were asked for")
        scores |= score_classes(case.labelled, fake, embedded, codes, extractors[-1], case.cache / "features")
    case.announce(f"comparing samples with {len(case.training):,} training images")
    scores["memorization"] = score_copies(case, fake, seed)
    case.announce("predicting the attributes of avatars" if case.avatars else "detecting faces")
    # Images of another reference may be photographs where the run has avatars.
    real = case.held_out if case.held_out.name == HELD_OUT_NAME else case.training.subsample(MAX_HELD_OUT)
    detection, content = evaluation.detect_content(fake, real, case.avatars, case.cache)
    result = {
        "protocol": describe_protocol(case, fake, extractors, seed) | {"face rate": detection},
        "generator": generator,
        "scores": scores | content,
    }
    append_result(case.run, result)
    return result


def score_features(case: EvaluationCase, embedded: np.ndarray, extractor, seed: int) -> dict[str, float]:
    """Computes the metrics of one extractor; their names end in its name, but Inception's are plain fid, kid, ..."""
    scores = evaluation.compute_metrics(
        extractor, embedded, case.reference, case.training, case.cache / "features", seed
    )
    if extractor.name == "inception":
        return {"fid" if name == "fd" else name: value for name, value in scores.items()}
    return {f"{name}-{extractor.name}": value for name, value in scores.items()}


def score_copies(case: EvaluationCase, fake: np.ndarray, seed: int) -> dict:
    """Measures memorization, with a summary, and writes nearest.png."""
    result, nearest = evaluation.compare_with_training(fake, case.held_out, case.training, case.mirrors, seed)
    summary = report.describe_memorization(result)
    if case.held_out.name != HELD_OUT_NAME:
        summary += f", if the images of {case.held_out.name} are of the same kind as those trained on"
    rows = [np.stack([fake[i], case.training.images[j], case.held_out.images[k]]) for i, j, k in nearest]
    picture = make_grid(np.concatenate(rows), columns=3, scale=max(1, 96 // fake.shape[1]))
    write_png(case.run.folder / "nearest.png", picture)
    return result._asdict() | {"summary": summary}


def describe_protocol(case: EvaluationCase, fake: np.ndarray, extractors: list, seed: int) -> dict:
    """Collects all that scores depend on, apart from the generator."""
    config, training = case.run.load_config(), case.training
    return {
        "samples": len(fake),
        "seed": seed,
        "weights": "averaged" if config.ema_half_lives else "raw",
        "size": config.image_size,
        "crop": case.crop,
        "reference": case.reference.protocol,
        "unseen": case.held_out.protocol,
        "training faces": {
            "faces": len(training),
            "digest": training.digest(),
            "in the floor": min(len(fake), len(training)),
        },
        "networks": {extractor.name: extractor.protocol for extractor in extractors},
        **evaluation.PROTOCOL,
        "memorization": {"distance": "of 8 x 8 thumbnails", "mirrored too": case.mirrors},
    }


def append_result(run: Run, result: dict) -> None:
    """Adds a result to scores.json, in place of one of the same generator that was measured in the same way."""
    same = [result["protocol"], result["generator"]]
    others = [other for other in run.read_evaluations() if [other["protocol"], other["generator"]] != same]
    write_json(run.folder / "scores.json", [*others, result])
