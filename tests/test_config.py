import dataclasses
import json
import math
import re
import shlex

import pytest

from dcgan import NOISE_DISTRIBUTIONS
from gan import images
from gan.cli import ELSEWHERE, GROUPS, parse_arguments
from gan.config import (
    AUGMENT_FEW,
    DATASETS,
    FEW_IMAGES,
    FILE_SUFFIXES,
    MUTABLE,
    RECIPES,
    Config,
    build_config,
    choose_precision,
    differences,
    format_command,
    format_flag,
    join_words,
    one_or_several,
)
from gan.datasets import SOURCES
from gan.recipes import DEFAULT_BY_SIZE
from gan.runs import legacy
from gan.training.augmentation import AUGMENTATIONS
from gan.training.discriminator_augmentation import DISCRIMINATOR_AUGMENTATIONS
from gan.training.losses import LOSSES
from gan.training.optimizers import OPTIMIZERS
from gan.training.regularizers import REGULARIZERS
from gan.training.schedule import SCHEDULES
from models import DISCRIMINATORS, GENERATORS

FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def parse_error(capsys, *line):
    """Asserts that a command line is refused with exit code 2 and returns the error message."""
    with pytest.raises(SystemExit) as stop:
        parse_arguments(list(line))
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1]


def test_no_flags_give_the_defaults():
    """An empty command line gives the recipe of the avatars, which are its data; data of one's own give Config()."""
    assert parse_arguments([]) == (Config(recipe="avatars", **RECIPES["avatars"]), False)
    assert parse_arguments(["--recipe", "default"]) == (Config(), False)
    assert parse_arguments(["--data", "avatars", "--data", "x"]) == (Config(data=("avatars", "x")), False)
    assert parse_arguments(["--data", "x"]) == (Config(data=("x",)), False)


def test_flags_override_recipes_and_recipes_override_defaults():
    """Flags override the recipe, and the recipe the defaults, in either order on the command line."""
    for line in (["--recipe", "udacity-32-128", "--width", "7"], ["--width", "7", "--recipe", "udacity-32-128"]):
        config, _ = parse_arguments(line)
        assert config.width == 7  # the recipe's is 128
        assert (config.discriminator_width, config.noise_size, config.epochs) == (32, 128, 40)  # the recipe's
        assert (config.loss, config.seed, config.recipe) == (Config.loss, Config.seed, "udacity-32-128")


def test_a_flag_with_the_default_value_overrides_the_recipe():
    """A flag overrides the recipe even with the default value."""
    line = ["--recipe", "udacity-64", "--width", str(Config.width), "--augmentation", "flip", "--steps-per-epoch", "1"]
    config, _ = parse_arguments(line)
    assert (config.width, config.augmentation, config.steps_per_epoch) == (Config.width, "flip", 1)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe):
    """The settings of each recipe, typed as flags, are accepted and give the same Config."""
    config, dry_run = parse_arguments(["--recipe", recipe, "--data", "x", "--dry-run"])
    assert dry_run and config.recipe == recipe
    line = ["--recipe", "default", "--data", "x"]
    for name, value in RECIPES[recipe].items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            line += [flag if value else flag.replace("--", "--no-", 1)]
        else:
            line += [flag, *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    typed, _ = parse_arguments(line)
    assert dataclasses.replace(typed, recipe=recipe) == config


def test_recipes_have_the_values_of_their_sources():
    """Batch size, epochs, learning rate and betas are the sources'; the additions of this project are off."""
    expected = {  # batch size, epochs, learning rate, Adam's betas
        "udacity-64": (128, 100, 2e-4, (0.5, 0.999)),
        "udacity-128": (128, 100, 2e-4, (0.5, 0.999)),
        "udacity-256": (128, 50, 2e-4, (0.5, 0.999)),
        "udacity-32-128": (128, 40, 1e-4, (0.9, 0.999)),
        "udacity-2x2": (32, 50, 2e-4, (0.5, 0.999)),
        "udacity-32": (128, 50, 2e-4, (0.5, 0.999)),
        "keras-gan-upsample": (32, 4000, 2e-4, (0.5, 0.999)),
        "keras-gan-dense": (32, 30_000, 2e-4, (0.5, 0.999)),
        "conv-dense": (32, 2900, 2e-4, (0.5, 0.999)),
    }
    assert {"default", "avatars", *expected} == set(RECIPES)
    for recipe, (batch, epochs, rate, betas) in expected.items():
        config, _ = parse_arguments(["--recipe", recipe])
        assert (config.batch_size, config.epochs) == (batch, epochs), recipe
        assert config.generator_learning_rate == config.discriminator_learning_rate == rate, recipe
        assert config.generator_betas == config.discriminator_betas == betas, recipe
        assert (config.loss, config.penalty, config.label_smoothing) == ("cross-entropy", "none", 0.0), recipe
        assert (config.augmentation, config.ema_half_life, config.discriminator_steps) == ("none", 0.0, 1), recipe
        udacity = recipe.startswith("udacity")
        assert config.noise_distribution == ("uniform" if udacity else "normal"), recipe
        assert config.steps_per_epoch == ("all" if udacity else 1), recipe


def test_default_at_128_continues_that_at_64():
    """It has half the width, as networks of both sizes have the same layers then."""
    narrow, wide = (parse_arguments(["--recipe", "default", "--image-size", size])[0] for size in ("128", "64"))
    assert 2 * narrow.width == wide.width and narrow.batch_size == wide.batch_size


def test_default_by_image_size(monkeypatch):
    """A size has the row of the largest one that is not larger; flags override it; other recipes have none."""
    for size in (16, 64, 128):
        monkeypatch.setitem(DEFAULT_BY_SIZE, size, {"width": size + 1})
    for size, width in ((16, 17), (32, 17), (60, 17), (64, 65), (124, 65), (128, 129)):
        line = ["--image-size", str(size)]
        config, _ = parse_arguments(["--data", "photos", *line])
        assert (config.image_size, config.width) == (size, width)
        assert shlex.split(format_command(config))[2:] == ["--data", "photos", *line]
        config, _ = parse_arguments(["--recipe", "default", *line])
        assert (config.image_size, config.width) == (size, width)
        assert shlex.split(format_command(config))[2:] == ["--recipe", "default", *([] if size == 32 else line)]
        config, _ = parse_arguments(line)  # of avatars
        assert (config.image_size, config.width) == (size, RECIPES["avatars"]["width"])
        assert shlex.split(format_command(config))[2:] == ([] if size == 32 else line)
        assert parse_arguments([*line, "--recipe", "default", "--width", "5"])[0].width == 5
        assert parse_arguments([*line, "--recipe", "udacity-128"])[0].width == 128


NEED_LABELS = {"unlabelled", "balance", "auxiliary_weight"}
EXAMPLES = {
    bool: (["--no-{}"], False), tuple: (["--{}", "0.25", "0.5"], (0.25, 0.5)), float: (["--{}", "0.25"], 0.25),
    int: (["--{}", "72"], 72), str: (["--{}", "x"], "x"), list: (["--{}", "x", "--{}", "y"], ("x", "y")),
    one_or_several: (["--{}", "0.25", "0.5"], (0.25, 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_flag_sets_its_field(name):
    """A flag sets its field to a value of the field's type, and no other field."""
    field = FIELDS[name]
    words, value = EXAMPLES.get(field.metadata["kind"], (["--{}", "all"], "all"))
    if name == "recipe":
        words, value = ["--{}", "udacity-64"], "udacity-64"
    elif name == "devices":
        words, value = ["--{}", "cpu:2"], "cpu:2"
    elif name == "image_size":
        words, value = ["--{}", "48"], 48  # which has the defaults of 32
    elif field.metadata["choices"]:
        value = next(choice for choice in field.metadata["choices"] if choice != field.default)
        words = ["--{}", value]
    elif field.default is False:
        words, value = ["--{}"], True
    words = [word.format(name.replace("_", "-")) for word in words]
    usual = build_config({"labels": "auto"} if name in NEED_LABELS else {})
    if name == "data":  # others than the built-in ones have other settings
        usual = dataclasses.replace(build_config({"data": ("x", "y")}), data=usual.data)
    if name == "generator":  # the recipe's palette is not for others
        usual = dataclasses.replace(usual, palette=0)
    config, _ = parse_arguments([*words, "--labels", "auto"] if name in NEED_LABELS else words)
    assert getattr(config, name) == value != field.default and type(getattr(config, name)) is type(value)
    if name != "recipe":
        assert dataclasses.replace(config, **{name: getattr(usual, name)}) == usual


@pytest.mark.parametrize("words", [["--unlabelled", "keep"], ["--balance"], ["--auxiliary-weight", "0.5"]])
def test_settings_that_need_labels(capsys, words):
    """Settings of labels are refused without labels; --attributes alone asks for them."""
    error = parse_error(capsys, *words)
    assert words[0] in error and "--labels" in error
    assert parse_arguments([*words, "--attributes", "Smiling"])[0].attributes == "Smiling"


def test_help_shows_every_flag(capsys):
    """--help exits with 0 and shows the flag, help text and default of each field, under the titles of their groups."""
    with pytest.raises(SystemExit) as stop:
        parse_arguments(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    words = re.sub(r"(?<=\w)- ", "-", " ".join(text.split()))  # argparse breaks lines at hyphens
    for name, field in FIELDS.items():
        assert re.search(rf"^  (-h, )?--{name.replace('_', '-')}[ ,]", text, re.MULTILINE), name
        meaning = field.metadata["help"].replace("%%", "%")
        shown = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        shown = {"True": "yes", "False": "no"}.get(shown, shown)
        expected = meaning if field.default == "" or "(default:" in meaning else f"{meaning} (default: {shown})"
        assert expected in words, name
    for title in GROUPS.values():
        assert f"\n{title}:\n" in text
    assert set(GROUPS) <= set(FIELDS)
    loose = text.split("\noptions:\n")[1].split("\n\n")[0]
    assert re.findall(r"--[a-z-]+", loose) == ["--help", "--dry-run"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (["--generator", "resnet"], "self-modulated"),
        (["--generator", "resnet"], "conv-dense"),
        (["--recipe", "mine"], "udacity-128"),
        (["--precision", "int8"], "mixed_bfloat16"),
        (["--epochs", "many"], "'many' is not a whole number"),
        (["--epochs", "1.5"], "'1.5' is not a whole number"),
        (["--epochs", "0"], "0 is not at least 1"),
        (["--steps-per-epoch", "some"], "'some' is not a number, or 'all'"),
        (["--steps-per-epoch", "0"], "0 is not at least 1"),
        (["--steps-per-epoch", "-3"], "-3 is not at least 1"),
        (["--batch-size", "0"], "0 is not at least 1"),
        (["--image-size", "15"], "15 is not from 16 to 128"),
        (["--image-size", "132"], "132 is not from 16 to 128"),
        (["--image-size", "30"], "30 is not a multiple of 4 from 16 to 128"),
        (["--minutes", "5", "--epochs", "9"], "argument --epochs: --minutes says how long to train"),
        (["--minutes", "5", "--steps-per-epoch", "9"], "argument --steps-per-epoch: --minutes says how long to train"),
        (["--palette", "1"], "1 is not 0, or at least 2"),
        (["--label-smoothing", "0.6"], "0.6 is not from 0.0 to 0.5"),
        (["--penalty-weight", "nan"], "nan is not at least 0.0"),
        (["--penalty-weight", "-1"], "-1 is not at least 0.0"),
        (["--generator-learning-rate", "fast"], "'fast' is not a number"),
        (["--generator-betas", "0.5"], "expected 2 arguments"),
        (["--generator-betas", "0.5", "2"], "2 is not"),
        (["--seed", "-1"], "-1 is not"),
        (["--holdout", "0.6"], "0.6 is not from 0.0 to 0.5"),
        (["--discriminator-width", "1"], "1 is not 0, or at least 2"),
        (["--score-samples", "63"], "63 is not 0, or at least 64"),
        (["--score-samples", "1000000"], "is not from 0 to 2,048"),
        (["--minutes", "inf"], "inf is not at least 0.0, and finite"),
        (["--patience", "-1"], "-1 is not at least 0"),
        (["--batch-size", "1" + 305 * "0"], "at most 9,223,372,036,854,775,807"),
        (["--epochs", "1" + 200 * "0"], "at most 9,223,372,036,854,775,807"),
        (["--steps-per-epoch", "1" + 200 * "0"], "at most 9,223,372,036,854,775,807"),
        (["--run", "a/b"], "'a/b' is not the name of a folder"),
        (["--run", ".."], "'..' is not the name of a folder"),
        (["--ema-half-life", "0", "5", "9"], "give --ema-half-life 5 9, or --ema-half-life 0"),
        (["--ema-half-life", "5e3", "9", "5000.0"], "give --ema-half-life 5000 9"),
        (["--ema-half-life", "0", "0"], "give --ema-half-life 0"),
        (["--ema-half-life", "5", "-1"], "-1 is not at least 0.0"),
        (["--ema-half-life"], "expected at least one argument"),
        (["--nonsense"], "--nonsense"),
        (["faces"], "faces"),
    ],
)
def test_bad_values(capsys, line, reason):
    """Exit code 2, and one line that names the flag and what is allowed."""
    message = parse_error(capsys, *line)
    assert message.startswith("train.py: error: ") and reason in message
    assert line[0] in message


@pytest.mark.parametrize(
    "line",
    [
        ["--generator-betas", "0.5", "1"],  # Adam's step would always be 0
        ["--discriminator-betas", "1", "0.999"],  # Adam's step would be 0 / 0
        ["--seed", str(2**32)],  # NumPy's largest seed is 2^32 - 1
        ["--generator-learning-rate", "inf"],
    ],
)
def test_values_that_cannot_work(capsys, line):
    """Values that would give a NaN or a traceback during training are refused at the start."""
    assert line[0] in parse_error(capsys, *line)


def test_choices_are_the_keys_of_the_tables():
    """The choices in config.py, which cannot import the tables, are the keys of the tables, in their order."""
    tables = {
        "generator": GENERATORS, "discriminator": DISCRIMINATORS, "loss": LOSSES, "penalty": REGULARIZERS,
        "noise_distribution": NOISE_DISTRIBUTIONS, "augmentation": AUGMENTATIONS,
        "augment": ("auto", *DISCRIMINATOR_AUGMENTATIONS), "generator_optimizer": OPTIMIZERS,
        "discriminator_optimizer": OPTIMIZERS, "learning_rate_schedule": SCHEDULES,
        "penalty_schedule": SCHEDULES, "beta_schedule": SCHEDULES, "discriminator_noise_schedule": SCHEDULES,
    }  # fmt: skip
    for name, table in tables.items():
        assert FIELDS[name].metadata["choices"] == tuple(table), name
    assert {*FILE_SUFFIXES, *DATASETS, "folder"} == set(SOURCES)


@pytest.mark.parametrize(
    ("options", "faces", "iterations"),
    [
        ({"epochs": 3000, "steps_per_epoch": 1}, 10, 3000),
        ({"epochs": 7, "steps_per_epoch": 5}, 10, 35),
        ({"epochs": 1, "steps_per_epoch": "all", "batch_size": 128}, 89_931, 703),  # 702.6
        ({"epochs": 50, "steps_per_epoch": "all", "batch_size": 128}, 89_931, 35_130),  # 35,129.3
        ({"epochs": 2, "steps_per_epoch": "all", "batch_size": 5}, 10, 4),
        ({"epochs": 2, "steps_per_epoch": "all", "batch_size": 5, "discriminator_steps": 2}, 10, 2),
        ({"epochs": 1, "steps_per_epoch": "all", "batch_size": 64}, 8, 1),
    ],
)
def test_iterations(options, faces, iterations):
    """Iterations are epochs * steps_per_epoch, or with "all" as many as use every image `epochs` times."""
    config = dataclasses.replace(Config(), **options)
    assert config.iterations(faces) == iterations
    if config.steps_per_epoch == "all":
        assert iterations == math.ceil(config.epochs * faces / config.images_per_iteration)


NAMED = ["--noise", "vector", "--generator", "self-modulated", "--image-size", "32"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (NAMED, "avatars-vector-self-modulated-32"),
        (["--noise", "image", "--generator", "dense", "--image-size", "28"], "avatars-image-dense-28"),
        ([*NAMED, "--recipe", "default"], "default-vector-self-modulated-32-built-in"),
        ([*NAMED, "--recipe", "avatars", "--data", "faces.zip"], "avatars-vector-self-modulated-32-faces"),
        (["--recipe", "conv-dense"], "conv-dense-image-conv-dense-28"),
        ([*NAMED, "--data", "/home/me/My Faces/"], "default-vector-self-modulated-32-My Faces"),
        ([*NAMED, "--data", "faces.zip"], "default-vector-self-modulated-32-faces"),
        ([*NAMED, "--data", "."], "default-vector-self-modulated-32-data"),
        (["--data", "celeba", "--run", "mine"], "mine"),
    ],
)
def test_run_names(line, name):
    """A run is named after recipe, noise, generator and size, and after the data unless they are built in."""
    assert parse_arguments(line)[0].name == name


def test_names_of_runs_fit_into_a_file_system():
    """Longer names are cut, and differ where the sources do, even after what is cut; the longest that fits stays."""
    sources = [[f"/data/faces of {i}" for i in (*range(40), last)] for last in (40, 41)]
    first, second = (Config(data=tuple(each)).name for each in sources)
    assert len(first) < 255 and first[:50] == second[:50] and first != second
    prefix = len("default-vector-self-modulated-32-")
    for character, room in (("x", 255 - prefix), ("\u30a2", (255 - prefix) // 3)):
        assert Config(data=(character * room,)).name.endswith(f"-{character * room}")
        assert len(Config(data=(character * (room + 1),)).name.encode()) <= 255


def test_config_is_serializable_and_frozen():
    """A Config survives JSON, with tuples as lists, and its fields cannot be assigned."""
    config = dataclasses.asdict(Config())
    saved = json.loads(json.dumps(config))
    assert saved == {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    assert config["generator_betas"] != saved["generator_betas"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().width = 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_config_round_trip(recipe):
    """Config.from_dict restores a Config from JSON, converts lists to tuples and ignores unknown names."""
    config, _ = parse_arguments(
        ["--recipe", recipe, "--holdout", "0.25", "--minutes", "1.5", "--generator-betas", "0.1", "0.2"]
    )
    saved = json.loads(json.dumps({**dataclasses.asdict(config), "faces": "60 of faces (abc)"}))
    assert Config.from_dict(saved) == config
    assert dataclasses.asdict(Config.from_dict(saved)) == dataclasses.asdict(config)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 1}, {"width": "32"}, {"width": True}, {"width": 32.0}, {"image_size": 10**30}, {"seed": -1},
        {"minutes": float("nan")}, {"minutes": float("inf")}, {"minutes": -1}, {"minutes": None},
        {"steps_per_epoch": "some"}, {"steps_per_epoch": 0}, {"steps_per_epoch": None},
        {"ema_half_life": [5.0]}, {"ema_half_life": [5.0, 0]}, {"ema_half_life": [5, 5.0]}, {"ema_half_life": [[5], 6]},
        {"ema_half_life": "5"}, {"generator_betas": [0.0]}, {"generator_betas": [0.0, "1"]},
        {"generator_betas": [0.0, 2]}, {"loss": 3},
    ],
    ids=str,
)  # fmt: skip
def test_settings_of_the_wrong_type_or_out_of_range(change):
    """What no flag allows is refused, and named, but for choices, which another version may have had."""
    with pytest.raises(ValueError, match=next(iter(change))):
        Config.from_dict(change)
    allowed = {"width": 2, "minutes": 3, "steps_per_epoch": "all", "generator_betas": [0, 0.5], "loss": "another"}
    assert Config.from_dict(allowed).generator_betas == (0, 0.5)


def old_config(**changes):
    """The content of config.json in versions without held-out images or reused fakes."""
    config = json.loads(json.dumps(dataclasses.asdict(Config())))
    later = {
        *("augment", "start_from", "freeze_discriminator", "holdout", "reuse_fakes", "score_every", "score_samples"),
        *("patience", "minutes"),
    }
    return {**{name: value for name, value in config.items() if name not in later}, **changes}


def test_defaults_of_an_old_config():
    """A config.json of an older version has holdout 0, reuse_fakes False, and the defaults of other new settings."""
    assert Config.from_dict(old_config(width=5), legacy.DEFAULTS) == Config(
        width=5, holdout=0.0, reuse_fakes=False, augment="none"
    )  # fmt: skip


def test_differences_from_an_old_config():
    """An older run differs from the defaults in holdout and reuse-fakes, and continues if both are given as flags."""

    def now(*line):
        return json.loads(json.dumps(dataclasses.asdict(parse_arguments([*line, "--data", "x"])[0])))

    assert differences(old_config(), now(), legacy.DEFAULTS) == [
        "augment: none there, auto here",
        "reuse-fakes: False there, True here",
        "holdout: 0.0 there, 0.1 here",
    ]
    assert (
        differences(
            old_config(),
            now("--augment", "none", "--holdout", "0", "--no-reuse-fakes", "--patience", "3", "--minutes", "9"),
            legacy.DEFAULTS,
        )
        == []
    )


def test_differences():
    """There is one line for each setting that differs or is missing on either side, except for mutable settings."""
    here = {**dataclasses.asdict(Config()), "data_key": "k"}
    assert differences(here, dict(here)) == []
    other = {**here, "noise_size": 101, "loss": "least-squares"}
    assert differences(other, here) == [
        f"noise-size: 101 there, {Config.noise_size} here",
        f"loss: least-squares there, {Config.loss} here",
    ]
    assert differences({**here, **dict.fromkeys(MUTABLE, "other")}, here) == []
    assert differences({}, {"width": 3}) == ["width: 32 there, 3 here"]
    assert differences({"width": 3}, {}) == ["width: 3 there, 32 here"]
    assert differences({}, {"start_from": "a"}) == ["start-from: none there, a here"]
    assert differences({**here, "data_key": "j"}, here) == ["data-key: j there, k here"]
    assert set(FIELDS) >= MUTABLE


@pytest.mark.parametrize("recipe", ["avatars", "default", "udacity-64"])
@pytest.mark.parametrize(
    "line",
    [
        [],
        [
            "--width",
            "7",
            "--augmentation",
            "flip",
            "--steps-per-epoch",
            "3",
            "--generator-betas",
            "0.25",
            "0.5",
        ],
        ["--minutes", "1.5"],
        [
            "--augmentation",
            "none",
            "--reuse-fakes",
            "--allow-bad",
            "--generator-learning-rate",
            "1e-5",
            "--steps-per-epoch",
            "all",
        ],
        ["--data=-faces; rm -rf 'x' $HOME\n<b>", "--run=--my run"],
        ["--ema-half-life", "123456789", "0.5"],
    ],
)
def test_format_command_round_trip(recipe, line):
    """The command that format_command gives, parsed by a shell, has the same configuration."""
    config, _ = parse_arguments(["--recipe", recipe, *line])
    program, script, *words = shlex.split(format_command(config))
    assert (program, script) == ("python", "train.py")
    assert parse_arguments(words) == (config, False)


@pytest.mark.parametrize(
    ("words", "value", "half_lives"),
    [(["0"], 0.0, ()), (["300"], 300.0, (300.0,)), (["300", "20"], (300.0, 20.0), (300.0, 20.0))],
)
def test_half_lives(words, value, half_lives):
    """One is a number, in config.json as well, as in older versions; several are a list there, in their order."""
    config, _ = parse_arguments(["--ema-half-life", *words])
    assert config.ema_half_life == value and config.ema_half_lives == half_lives
    saved = json.loads(json.dumps(dataclasses.asdict(config)))
    assert saved["ema_half_life"] == (list(value) if len(words) > 1 else value) and Config.from_dict(saved) == config
    usual = json.loads(json.dumps(dataclasses.asdict(build_config({}))))
    assert differences(saved, saved) == []
    assert differences(usual, saved) == [f"ema-half-life: 20000.0 there, {saved['ema_half_life']} here"]


def test_format_command_omits_defaults():
    """A command has the recipe and only the settings that differ from it."""
    assert format_command(build_config({})) == "python train.py"
    assert format_command(parse_arguments(["--recipe", "udacity-64"])[0]) == "python train.py --recipe udacity-64"
    config, _ = parse_arguments(
        ["--recipe", "udacity-64", "--width", "32", "--augmentation", "flip", "--data", "my faces"]
    )
    assert (
        format_command(config) == "python train.py --recipe udacity-64 --data 'my faces' --augmentation flip --width 32"
    )
    assert format_command(Config(epochs=9, minutes=5.0, recipe="udacity-64", run="it")).count("epochs") == 0


def test_format_command_of_an_unknown_recipe():
    """If the recipe no longer exists, a command has all settings as flags, and the run's name."""
    config = dataclasses.replace(build_config({"recipe": "default"}), recipe="older", width=7)
    command = "python train.py --recipe default --width 7 --run older-vector-self-modulated-32"
    assert format_command(config) == command


def test_flags_of_older_versions():
    """Flags and values of older versions are still accepted."""
    default = ["--recipe", "default"]
    assert parse_arguments([*default, "--no-flip"])[0].augmentation == "none"
    assert parse_arguments([*default, "--flip"])[0] == Config()
    assert parse_arguments(["--recipe", "udacity-64", "--flip"])[0].augmentation == "flip"
    assert parse_arguments(["--average-half-life", "500"])[0].ema_half_life == 500
    config, _ = parse_arguments(["--recipe", "udacity-64", "--generator", "compact", "--discriminator", "compact"])
    assert (config.generator, config.discriminator) == ("self-modulated", "self-modulated")


def test_settings_of_older_versions():
    """The settings of a config.json with former names are translated to the present names."""
    saved = {**old_config(), "average_half_life": 500.0, "flip": False, "generator": "compact", "discriminator": "conv"}
    del saved["ema_half_life"], saved["augmentation"]
    config = Config.from_dict(legacy.translate_config(saved), legacy.DEFAULTS)
    assert (config.ema_half_life, config.augmentation) == (500.0, "none")
    assert (config.generator, config.discriminator) == ("self-modulated", "conv")
    assert legacy.translate_config(legacy.translate_config(saved)) == legacy.translate_config(saved)


@pytest.mark.parametrize(
    ("augment", "images", "expected"),
    [("auto", FEW_IMAGES - 1, AUGMENT_FEW), ("auto", FEW_IMAGES, "none"), ("ada", 10**6, "ada"), ("none", 20, "none")],
)
def test_choose_augment(augment, images, expected):
    """Only `auto` depends on the number of images."""
    assert Config(augment=augment).choose_augment(images) == expected


def test_limit_of_pixels_is_that_of_images():
    """The default of --max-pixels is the limit of gan/images.py, which --help must not import."""
    assert Config().max_pixels == images.MAX_PIXELS


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], "mixed_bfloat16"), (["--precision", "float32"], "float32"), (["--optimizer", "acgd"], "float32")],
)
def test_precision_of_a_configuration(flags, expected):
    """It is the best of the machine unless it is given; ACGD needs float32."""
    assert choose_precision(parse_arguments(flags)[0], "mixed_bfloat16") == expected


def test_words_of_a_command():
    """They are quoted for the shell of the system."""
    words = ["train.py", "--data", r"C:\my faces", "it's"]
    assert shlex.split(join_words(words, windows=False)) == words
    assert join_words(words, windows=True) == r'''train.py --data "C:\my faces" "it's"'''
    words = ["--attributes", "hair,skin", "--recipes", "@list.txt", r"C:\a&b", "plain"]
    assert join_words(words, windows=True) == r'--attributes "hair,skin" --recipes "@list.txt" "C:\a&b" plain'
    assert join_words(["C:\\a(1)\\"], windows=True) == '"C:\\a(1)\\\\"'


def test_flags_of_other_programs(capsys):
    """Each is refused with exit code 2 and what it is here, whose flags exist."""
    flags = {format_flag(name) for name in FIELDS}
    for given, here in ELSEWHERE.items():
        line = given.split() if " " in given else [given, "1"]
        assert f"for {given}, give {here}" in parse_error(capsys, *line)
        assert set(re.findall(r"--[a-z-]+", here)) <= flags
    assert "for --batch, give --batch-size" in parse_error(capsys, "--batch=8")
    assert "--data A --data B" in parse_error(capsys, "--data", "a", "b")
    assert "unrecognized arguments" in parse_error(capsys, "")


def test_no_flag_is_shortened(capsys):
    """The beginning of a flag is none: what it stands for could change with the next flag."""
    assert "unrecognized arguments: --epoch" in parse_error(capsys, "--epoch", "3")
