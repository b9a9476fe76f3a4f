"""Settings: decides those that a command line leaves open, by the run that it continues, the images, and the devices.

config, run, opened = resolve_settings({"data": ("faces",)})
config, device = agree_on_settings(config, run, distribution, device, precision)
"""

import contextlib
import dataclasses
import hashlib
import platform
from pathlib import Path

from gan.config import (
    ALIGNMENTS,
    DISCRIMINATOR_AUGMENTATIONS,
    IMAGE_SIZES,
    LOCAL,
    PRECISIONS,
    Config,
    build_config,
    choose_precision,
    differences,
    follows_images,
    join_words,
    list_flags,
)
from gan.errors import UsageError
from gan.files import expand_path
from gan.recipes import OWN, RECIPES

LARGE = 64  # side of the images, in pixels, from which --image-size is that if it is not given


def open_run(config: Config, recipe_given: bool = True):
    """The folder of a configuration's run, a `Run`; under its former default name where only that exists.

    Avatars whose recipe was not given had that of photographs formerly, and its name.
    """
    from gan.runs.legacy import find_run
    from gan.runs.run_directory import Run

    output = expand_path(config.output)
    return Run(output / config.run if config.run else find_run(output, config, recipe_given))


def resolve_settings(given: dict, distribution=None):
    """Completes the settings that are given by those of the recipe at the image size, or of a run that is continued.

    Arguments:
        given: fields of Config by their names.
        distribution: the processes for all of which the chief decides; None: there is one.

    Returns:
        The configuration, its run, and the data sources that were opened to measure their images, by their names.

    Raises UsageError and RunError where these cannot be opened.
    """
    decided, opened = {}, {}
    if distribution is None or distribution.is_chief:
        size, reason, opened = resolve_image_size(given)
        if reason:
            print(f"{reason}, so --image-size is {size}", flush=True)
        config = build_config({**given, "image_size": size})
        run = open_run(config, "recipe" in given)
        kept = run.read_decided(given)
        report_kept(config, run, {name: value for name, value in kept.items() if name not in given})
        decided = {**take_from_start(config), **kept, "image_size": size}
        if run.folder.name != config.name:
            decided["run"] = run.folder.name
    if distribution:
        decided = distribution.broadcast_object(decided)
    config = build_config({**decided, **given})
    run = open_run(config)
    return resolve_align(config, run), run, opened


def report_kept(config: Config, run, kept: dict) -> None:
    """Prints the settings that a run keeps although neither flags nor the recipe of `config` have them now."""
    unused = {"recipe", *(("epochs", "steps_per_epoch") if config.minutes else ())}
    others = {
        field.name: kept[field.name]
        for field in dataclasses.fields(config)
        if field.name in kept.keys() - unused and kept[field.name] != getattr(config, field.name)
    }
    if others:
        print(f"{run.folder} goes on with {join_words(list_flags(others))}, as before", flush=True)


def resolve_image_size(given: dict) -> tuple[int, str, dict]:
    """The image size of the settings that are given, the reason for it, and the data sources that were opened for that.

    Where none is given, it is that of the recipe, of the run that is continued, or of the run of --start-from. Else it
    is 64 where images are at least that large, and 32 where they are smaller or built in. The reason is "" where the
    settings alone decide, and sources are by their names.
    """
    config = build_config(given)
    if "image_size" in {**RECIPES[config.recipe], **given}:
        return config.image_size, "", {}
    sizes = find_earlier_sizes(config)
    if len(sizes) == 1:
        ((size, folder),) = sizes.items()
        decided = size != config.image_size or follows_images(config)
        return size, f"{folder} has images of {size} pixels" if decided else "", {}
    if start := load_start_config(config):
        return start.image_size, f"--start-from {config.start_from} has images of {start.image_size} pixels", {}
    if not follows_images(config):
        return config.image_size, "", {}
    import data
    from gan.datasets.joined import join

    opened = data.open_files(
        config.data, cache_dir=config.cache_dir, max_pixels=config.max_pixels,
        seconds_between_frames=config.seconds_between_frames,
    )  # fmt: skip
    side = data.measure_side(
        join(list(opened.values())), limit=config.limit, crop=config.crop, allow_truncated=config.allow_truncated,
        cache_dir=config.cache_dir,
    )  # fmt: skip
    size = LARGE if side >= LARGE else config.image_size
    runs = f"There are runs of several sizes ({', '.join(map(str, sizes.values()))}). " if sizes else ""
    return size, f"{runs}The images have some {side} pixels on a side" if side else "", opened


def find_earlier_sizes(config: Config) -> dict[int, Path]:
    """The image sizes of the runs that are there already under the name of this configuration, and their folders.

    Raises UsageError where the settings of the run that --run names are damaged.
    """
    run = open_run(config)
    if config.run:
        there = (run.folder / "config.json").exists()
        return {run.load_config().image_size: run.folder} if there else {}
    if not (follows_images(config) or config.start_from):
        return {}  # built-in data have one size unless another is given
    runs = {size: open_run(dataclasses.replace(config, image_size=size)) for size in IMAGE_SIZES}
    return {size: run.folder for size, run in runs.items() if (run.folder / "config.json").exists()}


def take_from_start(config: Config) -> dict:
    """The settings that a new run takes from the one that --start-from names, where none are given.

    A run of `default` or `avatars` with the generator of that run takes its palette and depth and, at the same size,
    both widths; else few layers would fit.
    """
    start = load_start_config(config)
    if not start or start.generator != config.generator or config.recipe not in OWN:
        return {}
    names = ["palette", "depth", *(["width", "discriminator_width"] if start.image_size == config.image_size else [])]
    return {name: getattr(start, name) for name in names}


def load_start_config(config: Config) -> Config | None:
    """The configuration of the run that --start-from names, or a file in it; None where there is none."""
    from gan.runs.run_directory import Run

    if not config.start_from:
        return None
    start = expand_path(config.start_from)
    with contextlib.suppress(UsageError):  # which `find_start` raises
        return Run(start if start.is_dir() else start.parent).load_config()
    return None


def agree_on_settings(config: Config, run, distribution, device: str, precision: str) -> tuple[Config, str]:
    """Makes sure that all processes train alike. The chief decides what is left to `auto`.

    Arguments are as from `gan.experiment.connect`. Returns the configuration with what was decided, and the devices in
    words. Raises UsageError where the processes have other settings, or replicas cannot share a batch.
    """
    distribution.require_same("versions", describe_versions() if distribution.count > 1 else {})
    # This machine may prefer another precision than the one on which the run began.
    earlier = run.read_choice("precision", PRECISIONS[1:]) if config.precision == "auto" else ""
    decided = {"precision": earlier or choose_precision(config, precision), "align": config.align}
    same = {name: value for name, value in dataclasses.asdict(config).items() if name not in {*LOCAL, *decided}}
    distribution.require_same("settings", same)
    distribution.require_divisible(config.batch_size)
    if config.jit and distribution.replicas > 1:
        raise UsageError("--jit: XLA cannot compile a step of several replicas. Leave it out, or use one device.")
    config = dataclasses.replace(config, **distribution.broadcast_object(decided))
    return config, f"{distribution.describe(device)}, {config.precision}{' as before' if earlier else ''}"


def describe_versions() -> dict[str, str]:
    """The versions of what computes, and a digest of this program's code: processes of a run need the same."""
    import keras
    import numpy as np
    import tensorflow as tf

    root = Path(__file__).parents[1]
    code = hashlib.blake2b(digest_size=8)
    files = [root / name for name in ("data.py", "dcgan.py", "train.py")]
    for path in sorted([*files, *root.glob("gan/**/*.py"), *root.glob("models/*.py")]):
        code.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "tensorflow": tf.__version__, "keras": keras.__version__,
        "numpy": np.__version__, "code": code.hexdigest(),
    }  # fmt: skip


def require_steps_for_new_data(config: Config, run, title: str, length) -> None:
    """Raises UsageError where a finished run, which takes no further step, is given new images, `title`.

    Its config.json would name images that it has never seen.
    """
    log = run.tables.read_log(1)
    if not (config.accept_new_data and len(log.get("iteration", ()))):
        return
    other = differences({"faces": run.read_config().get("faces", "")}, {"faces": title})
    if other and length.progress(int(log["iteration"][-1]), float(log["seconds"][-1])) >= 1:
        raise UsageError(
            f"{run.folder} is finished, and would not be trained on the new images: with --accept-new-data, give a"
            f" larger {'--minutes' if length.seconds else '--epochs'}, too."
        )


def resolve_align(config: Config, run) -> Config:
    """The configuration with --align auto as the run has had it; in older versions, runs had none.

    It stays auto where there are more sources, or fewer, for which it was not decided.
    """
    earlier = ""
    if config.align == "auto" and not config.crop and run.has_sources(len(config.data)):
        earlier = run.read_choice("align", ALIGNMENTS[1:])
    return dataclasses.replace(config, align=earlier or config.align)


def apply_align(config: Config, run, report: dict) -> Config:
    """The configuration with what --align auto came to, by the report of the data: the run goes on with it.

    It stays auto where some sources are aligned and others not, and in runs of older versions, which did not record it.
    """
    undecided = run.read_choice("align", ALIGNMENTS[:1])
    return config if undecided else dataclasses.replace(config, align=report["align"])


def decide_augment(config: Config, run, images: int) -> str:
    """What --augment auto comes to: what the run has had, or what the number of training images decides.

    The choice is recorded, so that a run goes on with it although it has more images now.
    """
    earlier = run.read_choice("augment", DISCRIMINATOR_AUGMENTATIONS) if config.augment == "auto" else ""
    return earlier or config.choose_augment(images)
