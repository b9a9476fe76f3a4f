import dataclasses
import json
import math
import re
import shlex

import pytest

from dcgan import DISTRIBUTIONS
from gan.cli import GROUPS, parse_arguments
from gan.config import MUTABLE, RECIPES, Config, differences, format_command
from gan.runs import legacy
from gan.training.augmentation import AUGMENTATIONS
from gan.training.losses import LOSSES
from gan.training.optimizers import OPTIMIZERS
from gan.training.regularizers import REGULARIZERS
from gan.training.schedule import SCHEDULES
from models import DISCRIMINATORS, GENERATORS

FIELDS = {field.name: field for field in dataclasses.fields(Config)}


def refusal(capsys, *line):
    """What a command line that is refused with exit code 2 is told."""
    with pytest.raises(SystemExit) as stop:
        parse_arguments(list(line))
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1]


def test_no_flags_give_the_defaults():
    """An empty command line is Config()."""
    assert parse_arguments([]) == (Config(), False)


def test_a_flag_goes_before_the_recipe_before_the_default():
    """In either order on the line; what neither mentions keeps its default."""
    for line in (["--recipe", "udacity-32-128", "--width", "7"], ["--width", "7", "--recipe", "udacity-32-128"]):
        config, _ = parse_arguments(line)
        assert config.width == 7  # the recipe's is 128
        assert (config.discriminator_width, config.noise_size, config.epochs) == (32, 128, 40)  # the recipe's
        assert (config.loss, config.seed, config.recipe) == (Config.loss, Config.seed, "udacity-32-128")


def test_a_flag_may_restate_the_default_against_a_recipe():
    """A typed flag counts even where its value is the default's, booleans too."""
    line = ["--recipe", "udacity-64", "--width", str(Config.width), "--augmentation", "flip", "--steps-per-epoch", "1"]
    config, _ = parse_arguments(line)
    assert (config.width, config.augmentation, config.steps_per_epoch) == (Config.width, "flip", 1)


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe):
    """Each gives a Config of known fields and allowed values: typed out in full as flags, it is the same again."""
    config, dry_run = parse_arguments(["--recipe", recipe, "--dry-run"])
    assert dry_run and config.recipe == recipe
    line = ["--recipe", "default"]
    for name, value in RECIPES[recipe].items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            line += [flag if value else flag.replace("--", "--no-", 1)]
        else:
            line += [flag, *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    typed, _ = parse_arguments(line)
    assert dataclasses.replace(typed, recipe=recipe) == config


def test_recipes_are_those_of_their_sources():
    """Batch size, epochs, rates and decays of each, by hand from the sources; all without our additions."""
    expected = {  # batch, epochs, learning rate, Adam's decays
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
    assert {"default", *expected} == set(RECIPES)
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


SAMPLES = {
    bool: (["--no-{}"], False), tuple: (["--{}", "0.25", "0.5"], (0.25, 0.5)), float: (["--{}", "0.25"], 0.25),
    int: (["--{}", "72"], 72), str: (["--{}", "x"], "x"),
}  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_every_flag_reaches_its_field(name):
    """A value typed for a field is in the Config, of the field's type, and no other field has changed."""
    field = FIELDS[name]
    words, value = SAMPLES.get(field.metadata["kind"], (["--{}", "all"], "all"))
    if name == "recipe":
        words, value = ["--{}", "udacity-64"], "udacity-64"
    elif field.metadata["choices"]:
        value = next(choice for choice in field.metadata["choices"] if choice != field.default)
        words = ["--{}", value]
    elif field.default is False:
        words, value = ["--{}"], True
    config, _ = parse_arguments([word.format(name.replace("_", "-")) for word in words])
    assert getattr(config, name) == value != field.default and type(getattr(config, name)) is type(value)
    if name != "recipe":
        assert dataclasses.replace(config, **{name: field.default}) == Config()


def test_help_shows_every_flag(capsys):
    """--help exits with 0 and has each field's flag, meaning and default, under its group's title."""
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
        expected = meaning if field.default == "" else f"{meaning} (default: {shown})"
        assert expected in words, name
    for title in GROUPS.values():
        assert f"\n{title}:\n" in text
    assert set(GROUPS) <= set(FIELDS)
    loose = text.split("\noptions:\n")[1].split("\n\n")[0]
    assert re.findall(r"--[a-z-]+", loose) == ["--help", "--dry-run"]


@pytest.mark.parametrize(
    ("line", "told"),
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
        (["--run", "a/b"], "'a/b' is not the name of a folder"),
        (["--run", ".."], "'..' is not the name of a folder"),
        (["--nonsense"], "--nonsense"),
        (["faces"], "faces"),
    ],
)
def test_bad_values(capsys, line, told):
    """Exit code 2, and one line that names the flag and what is allowed."""
    message = refusal(capsys, *line)
    assert message.startswith("train.py: error: ") and told in message
    assert line[0] in message


@pytest.mark.parametrize(
    "line",
    [
        ["--generator-betas", "0.5", "1"],  # Adam's step is then always 0
        ["--discriminator-betas", "1", "0.999"],  # and here 0 / 0
        ["--seed", str(2**32)],  # NumPy's seeds end at 2^32 - 1
        ["--generator-learning-rate", "inf"],
    ],
)
def test_values_that_cannot_work(capsys, line):
    """Refused at once, and not by a traceback or a NaN later."""
    assert line[0] in refusal(capsys, *line)


def test_choices_are_the_tables_keys():
    """What --help offers is what there is: config.py cannot import the tables, so it repeats their keys."""
    tables = {
        "generator": GENERATORS, "discriminator": DISCRIMINATORS, "loss": LOSSES, "penalty": REGULARIZERS,
        "noise_distribution": DISTRIBUTIONS, "augmentation": AUGMENTATIONS, "generator_optimizer": OPTIMIZERS,
        "discriminator_optimizer": OPTIMIZERS, "learning_rate_schedule": SCHEDULES,
    }  # fmt: skip
    for name, table in tables.items():
        assert set(FIELDS[name].metadata["choices"]) == set(table), name
    assert Config.penalty in REGULARIZERS and Config.loss in LOSSES


@pytest.mark.parametrize(
    ("options", "faces", "iterations"),
    [
        ({"epochs": 3000, "steps_per_epoch": 1}, 10, 3000),
        ({"epochs": 7, "steps_per_epoch": 5}, 10, 35),
        ({"epochs": 1, "steps_per_epoch": "all", "batch_size": 128}, 89_931, 703),  # 702.6
        ({"epochs": 50, "steps_per_epoch": "all", "batch_size": 128}, 89_931, 35_130),  # 35,129.3: passes overlap
        ({"epochs": 2, "steps_per_epoch": "all", "batch_size": 5}, 10, 4),
        ({"epochs": 2, "steps_per_epoch": "all", "batch_size": 5, "discriminator_steps": 2}, 10, 2),
        ({"epochs": 1, "steps_per_epoch": "all", "batch_size": 64}, 8, 1),
    ],
)
def test_iterations(options, faces, iterations):
    """Epochs times steps; or as many as show every face `epochs` times."""
    config = dataclasses.replace(Config(), **options)
    assert config.iterations(faces) == iterations
    if config.steps_per_epoch == "all":
        assert iterations == math.ceil(config.epochs * faces / config.images_per_iteration)


NAMED = ["--noise", "vector", "--generator", "self-modulated", "--image-size", "32"]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (NAMED, "default-vector-self-modulated-32"),
        (["--noise", "image", "--generator", "dense", "--image-size", "28"], "default-image-dense-28"),
        (["--recipe", "conv-dense"], "conv-dense-image-conv-dense-28"),
        ([*NAMED, "--data", "/home/me/My Faces/"], "default-vector-self-modulated-32-My Faces"),
        ([*NAMED, "--data", "faces.zip"], "default-vector-self-modulated-32-faces"),
        ([*NAMED, "--data", "."], "default-vector-self-modulated-32-data"),
        (["--data", "celeba", "--run", "mine"], "mine"),
    ],
)
def test_names(line, name):
    """A run's folder says what it is, the data only where they are not the built-in ones."""
    assert parse_arguments(line)[0].name == name


def test_a_config_is_json_and_frozen():
    """It goes to a file and comes back, tuples as lists; and it cannot be changed."""
    config = dataclasses.asdict(Config())
    saved = json.loads(json.dumps(config))
    assert saved == {name: list(value) if isinstance(value, tuple) else value for name, value in config.items()}
    assert config["generator_betas"] != saved["generator_betas"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().width = 3


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_config_comes_back_from_its_file(recipe):
    """Through config.json and Config.from_dict it is the same, lists being tuples again; unknown names are ignored."""
    config, _ = parse_arguments(
        ["--recipe", recipe, "--holdout", "0.25", "--minutes", "1.5", "--generator-betas", "0.1", "0.2"]
    )
    saved = json.loads(json.dumps({**dataclasses.asdict(config), "faces": "60 of faces (abc)"}))
    assert Config.from_dict(saved) == config
    assert dataclasses.asdict(Config.from_dict(saved)) == dataclasses.asdict(config)


def old(**changes):
    """What config.json held before anything was held out or reused."""
    config = json.loads(json.dumps(dataclasses.asdict(Config())))
    later = {"holdout", "reuse_fakes", "score_every", "score_samples", "patience", "minutes"}
    return {**{name: value for name, value in config.items() if name not in later}, **changes}


def test_an_old_run_held_nothing_out():
    """An older file trains on all images, with other fakes for the generator; all else is by default."""
    assert Config.from_dict(old(width=5), legacy.DEFAULTS) == Config(width=5, holdout=0.0, reuse_fakes=False)


def test_an_old_run_goes_on_as_it_was():
    """Against the defaults it differs in these two settings, named as flags, and in none when both are typed."""

    def now(*line):
        return json.loads(json.dumps(dataclasses.asdict(parse_arguments(list(line))[0])))

    assert differences(old(), now()) == [
        "reuse-fakes: False there, True here",
        "holdout: 0.0 there, 0.1 here",
    ]
    assert differences(old(), now("--holdout", "0", "--no-reuse-fakes", "--patience", "3", "--minutes", "9")) == []


def test_differences():
    """One line for each setting that differs or is missing on either side, none for what may differ."""
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
    assert differences({**here, "data_key": "j"}, here) == ["data-key: j there, k here"]
    assert set(FIELDS) >= MUTABLE


@pytest.mark.parametrize("recipe", RECIPES)
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
            "--minutes",
            "1.5",
        ],
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
    ],
)
def test_a_command_gives_its_configuration(recipe, line):
    """Typed again, it is the same, whatever a shell makes of its signs."""
    config, _ = parse_arguments(["--recipe", recipe, *line])
    program, script, *words = shlex.split(format_command(config))
    assert (program, script) == ("python", "train.py")
    assert parse_arguments(words) == (config, False)


def test_a_command_is_short():
    """The recipe, and only what departs from it."""
    assert format_command(Config()) == "python train.py"
    assert format_command(parse_arguments(["--recipe", "udacity-64"])[0]) == "python train.py --recipe udacity-64"
    config, _ = parse_arguments(
        ["--recipe", "udacity-64", "--width", "32", "--augmentation", "flip", "--data", "my faces"]
    )
    assert (
        format_command(config) == "python train.py --recipe udacity-64 --data 'my faces' --augmentation flip --width 32"
    )


def test_a_command_of_a_recipe_that_is_gone():
    """All of it in flags, into the same folder."""
    config = dataclasses.replace(Config(), recipe="older", width=7)
    assert format_command(config) == "python train.py --width 7 --run older-vector-self-modulated-32"


def test_flags_of_older_versions():
    """They go on working, and --help does not show them."""
    assert parse_arguments(["--no-flip"])[0].augmentation == "none" and parse_arguments(["--flip"])[0] == Config()
    assert parse_arguments(["--recipe", "udacity-64", "--flip"])[0].augmentation == "flip"
    assert parse_arguments(["--average-half-life", "500"])[0].ema_half_life == 500
    config, _ = parse_arguments(["--recipe", "udacity-64", "--generator", "compact", "--discriminator", "compact"])
    assert (config.generator, config.discriminator) == ("self-modulated", "self-modulated")


def test_settings_of_older_versions():
    """A config.json of before the names changed is the configuration that it was."""
    saved = {**old(), "average_half_life": 500.0, "flip": False, "generator": "compact", "discriminator": "conv"}
    del saved["ema_half_life"], saved["augmentation"]
    config = Config.from_dict(legacy.translate_config(saved), legacy.DEFAULTS)
    assert (config.ema_half_life, config.augmentation) == (500.0, "none")
    assert (config.generator, config.discriminator) == ("self-modulated", "conv")
    assert legacy.translate_config(legacy.translate_config(saved)) == legacy.translate_config(saved)
