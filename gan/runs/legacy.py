"""Translate the folders of runs that older versions wrote: settings, columns, keys and file names, all in one place.

    config = translate_config(json.loads(text))         # {"average_half_life": 1e4} -> {"ema_half_life": 1e4}
    columns = translate_columns(["iteration", "d_real"])  # -> ["iteration", "real_score"]
    path = find(folder, "sessions.json")                # the file, under its present or its former name

Every function returns new objects and leaves what is already in the present form as it is, so it may be called twice.
"""

from pathlib import Path

from gan.config import Config

SETTINGS = {"average_half_life": "ema_half_life"}
NETWORKS = {"compact": "self-modulated"}  # values of --generator and --discriminator
# Settings that older runs did not have, where the behavior of that time differs from today's default.
DEFAULTS = {"holdout": 0.0, "reuse_fakes": False, "augment": "none", "align": "no"}
FILES = {"skipped.csv": "left-out.csv", "sessions.json": "sittings.json", "diagnostics.csv": "health.csv"}
COLUMNS = {
    "d_real": "real_score", "d_fake": "fake_score",  # log.csv
    "error": "kid_stderr", "memorisation": "memorization", "cost": "eval_seconds",  # metrics.csv, best.json
    "ailment": "failure_mode", "state": "status",  # diagnostics.csv
}  # fmt: skip
FAILURE_MODES, STATUSES = {"collapse": "mode collapse"}, {"began": "started", "over": "ended"}
RESULT = {"sittings": "sessions"}  # rows of results/NAME.json
SESSION = {"code": "exit_code", "others": "other_cores"}
ARRAYS = {"spread": "pixel_variance", "scoring": "validation", "waited": "data_seconds", "picture": "grid_due"}
REPORT = {"left_out": "skipped"}
ATTRIBUTES = {"hair_colour": "hair_color", "clothes_colour": "clothes_color"}  # of avatars, in scores.json


def find_run(output: Path, config: Config, recipe_given: bool) -> Path:
    """The folder of a configuration's run in `output`, under a former default name where only that exists."""
    names = [config.name]
    if config.recipe == "avatars" and config.data == ("avatars",) and not recipe_given:
        names.append(config.name.replace("avatars", "default", 1))  # formerly, there was one recipe for all images
    names += [name.replace("-self-modulated-", "-compact-") for name in names]
    return next((output / name for name in names if (output / name).exists()), output / config.name)


def translate_config(saved: dict) -> dict:
    """The settings of a config.json, by their present names and values."""
    config = {SETTINGS.get(name, name): value for name, value in saved.items()}
    for name in ("generator", "discriminator"):
        if name in config:
            config[name] = NETWORKS.get(config[name], config[name])
    if isinstance(config.get("data"), str):
        config["data"] = [config["data"]]
    if "flip" in config:
        flip = config.pop("flip")
        config.setdefault("augmentation", {True: "flip", False: "none"}.get(flip, flip))
    return config


def translate_columns(names: list[str]) -> list[str]:
    """The header of a run's table (log.csv, metrics.csv, diagnostics.csv), by the present names of its columns."""
    return [COLUMNS.get(name, name) for name in names]


def translate_diagnostic(row: list[str]) -> list[str]:
    """A row of diagnostics.csv: iteration, failure mode, status (started or ended), advice."""
    iteration, mode, status, advice = row
    return [iteration, FAILURE_MODES.get(mode, mode), STATUSES.get(status, status), advice]


def translate_report(report: dict) -> dict:
    """The data report of a data.json."""
    translated = {REPORT.get(name, name): value for name, value in report.items()}
    return translated | ({"crop": translated["crop"].replace("centre", "center")} if "crop" in translated else {})


def translate_arrays(arrays: dict) -> dict:
    """The arrays of a checkpoint, by name."""
    return {ARRAYS.get(name, name).replace("averaged/", "ema_generator/", 1): value for name, value in arrays.items()}


def find(folder: Path, name: str) -> Path:
    """The path of one of a run's files, under its former name where only that exists."""
    path = Path(folder) / name
    former = Path(folder) / FILES.get(name, name)
    return former if former.exists() and not path.exists() else path


def remove(folder: Path, name: str) -> None:
    """Removes one of a run's files under its former name, once it was written under the present one."""
    if name in FILES:
        Path(folder, FILES[name]).unlink(missing_ok=True)


def translate_session(session: dict) -> dict:
    """A training session of a sessions.json."""
    session = {SESSION.get(name, name): value for name, value in session.items()}
    if isinstance(machine := session.get("machine"), dict) and "onednn" not in machine:
        # TensorFlow decided alone: nearly all processors with AVX-512 have the instructions that it looks for.
        session["machine"] = machine | {"onednn": "avx512f" in str(machine.get("flags"))}
    others = session.get("other_cores")  # once a pair: before the training, and during it
    return {**session, "other_cores": others[-1]} if isinstance(others, list) and others else session


def translate_result(result: dict) -> dict:
    """An evaluation of a scores.json: a dict with `protocol`, `generator` and `scores`."""
    protocol, scores = dict(result.get("protocol", {})), dict(result.get("scores", {}))
    for part in (protocol, scores):
        if "memorisation" in part:
            part["memorization"] = part.pop("memorisation")
    if isinstance(protocol.get("crop"), str):
        protocol["crop"] = protocol["crop"].replace("centre", "center")
    memorization = scores.get("memorization")
    if isinstance(memorization, dict) and "in_words" in memorization:
        scores["memorization"] = {("summary" if k == "in_words" else k): v for k, v in memorization.items()}
    for name in ("attribute_distances", "modes_missing"):
        if name in scores:
            scores[name] = _translate_attributes(scores[name])
    if isinstance(shares := scores.get("attribute_shares"), dict):
        scores["attribute_shares"] = {whose: _translate_attributes(values) for whose, values in shares.items()}
    return {**result, "protocol": protocol, "scores": scores}


def _translate_attributes(values: object) -> object:
    return {ATTRIBUTES.get(name, name): value for name, value in values.items()} if isinstance(values, dict) else values
