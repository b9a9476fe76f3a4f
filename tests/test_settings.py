"""Settings that a command line leaves open: by the images, the run that it continues, and the chief process."""

import contextlib
import dataclasses
import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from data import measure_side, open_files
from gan import images
from gan.cli import parse_settings
from gan.config import AUGMENT_FEW, DATASETS, Config, build_config, format_command
from gan.errors import UsageError
from gan.experiment import load_data
from gan.runs.run_directory import Run
from gan.settings import apply_align, decide_augment, require_steps_for_new_data, resolve_align, resolve_settings
from gan.training.schedule import RunLength


@pytest.fixture
def sized(tmp_path, monkeypatch):
    """A function (side, ...) -> the name of a folder with a picture of each of these heights, 10 pixels wider."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()

    def save(*sides):
        for i, side in enumerate(sides):
            images.write_png(tmp_path / "faces" / f"{i:02d}.png", np.zeros((side, side + 10, 3), np.uint8))
        return "faces"

    return save


def resolve(*line):
    """The configuration that train.py has for a command line."""
    return resolve_settings(parse_settings(line)[0])[0]


def write_config(given):
    """Makes the folder of a run with these settings, and its config.json; returns its configuration."""
    config = build_config(given)
    run = Run(f"output/{config.name}")
    with run.lock():
        run.claim(dataclasses.asdict(config), None)
    return config


@pytest.mark.parametrize(
    ("sides", "flags", "size"),
    [
        ([63], [], 32),
        ([64], [], 64),
        ([20, 90, 100], [], 64),
        ([20, 30, 300], [], 32),
        ([300], ["--crop", "50"], 32),
        ([40], ["--crop", "50"], 32),  # none is large enough, an error later
        ([300, 20, 20, 20], ["--limit", "1"], 64),
        ([40, 100], [], 32),  # fewer than most
        ([300], ["--image-size", "32"], 32),
        ([300], ["--recipe", "udacity-64"], 32),
        ([300], ["--recipe", "conv-dense"], 28),
    ],
)
def test_image_size_follows_the_images(sized, sides, flags, size):
    """Without a flag, and a recipe with a size, it is 64 where the median square is at least that large, or else 32."""
    config = resolve("--data", sized(*sides), *flags)
    assert config.image_size == size and f"-{size}-faces" in config.name
    assert config.batch_size == build_config({"recipe": config.recipe, "data": ("x",), "image_size": size}).batch_size


def test_image_size_of_built_in_data(sized):
    """Built-in data have 32 and are not opened; beside files, the files decide, each opened once."""
    for name in DATASETS:
        config, _, opened = resolve_settings({"data": (name,)})
        assert config.image_size == 32 and not opened
    write_config({"image_size": 64})
    assert resolve().image_size == 32
    config, _, opened = resolve_settings({"data": (sized(100), "avatars"), "limit": 3})
    assert config.image_size == 64 and list(opened) == ["faces"]
    faces = load_data(dataclasses.replace(config, cache_dir="cache"), opened)
    assert faces.images.shape == (3, 64, 64, 3)
    with pytest.raises(UsageError):
        resolve_settings({"data": ("nothing",)})


def test_sources_are_opened_once(sized, monkeypatch):
    """The sources that were measured are those that are decoded."""
    config, _, opened = resolve_settings({"data": (sized(100),), "cache_dir": "cache"})
    monkeypatch.setattr("data.open_source", None)
    assert len(load_data(config, opened).images) == 1


@pytest.mark.parametrize("name", ["big.npy", "big.npz"])
@pytest.mark.parametrize("top", [255, 1.0])
def test_image_size_of_arrays(sized, name, top):
    """Arrays, whose range of values has to be found first, decide about the size as well; also joined with others."""
    array = np.full((3, 70, 80, 3), top, np.float32)
    np.save(name, array) if name.endswith("npy") else np.savez(name, images=array)
    config, _, opened = resolve_settings({"data": (name, sized(20)), "cache_dir": "cache"})
    assert config.image_size == 64 and load_data(config, opened).images.shape == (4, 64, 64, 3)


def test_few_images_are_measured_once(sized, monkeypatch):
    """At most 16 images are read, all over the data, and none when the same command is repeated."""
    reads = []
    (source,) = open_files(sized(*[100] * 40)).values()
    counted = dataclasses.replace(source, read=lambda i: reads.append(i) or source.read(i))
    assert [measure_side(counted, cache_dir="cache") for _ in range(2)] == [100, 100]
    assert len(reads) == 14 and max(reads) == 39


def test_images_that_cannot_be_measured(sized, capsys):
    """Where none can be read, nothing is said of their size, and nothing is kept."""
    sized()
    for i in range(3):
        Path(f"faces/{i}.png").write_bytes(b"no picture")
    assert resolve("--data", "faces", "--cache-dir", "cache").image_size == 32
    assert capsys.readouterr().out == "" and not list(Path("cache").glob("side-*"))


@pytest.mark.parametrize("given", [{}, {"run": "mine"}])
@pytest.mark.parametrize("size", [32, 48])
def test_image_size_of_a_run_that_is_there(sized, given, size, capsys):
    """A run goes on at the size that it began with, again and again, whatever the images and its start are now."""
    given = {"data": (sized(100),), "start_from": "output/gone", **given}
    before = write_config({**given, "image_size": size})
    for _ in range(2):
        config, run, _ = resolve_settings(given)
        assert config == before and run.folder.name == before.name
        write_config(dataclasses.asdict(config))
    assert capsys.readouterr().out.count(f"has images of {size} pixels, so") == 2
    assert resolve_settings({**given, "image_size": 64})[0].image_size == 64
    if "run" not in given:  # of two, none is meant more than the other
        write_config({**given, "image_size": 16})
        assert resolve_settings(given)[0].image_size == 64
        assert "several sizes" in capsys.readouterr().out


def test_a_damaged_run(sized):
    """Where --run names a run whose settings cannot be read, that is what is said."""
    write_config({"data": (sized(100),), "run": "mine"})
    for damage in ("{", '{"generator": []}'):
        Path("output/mine/config.json").write_text(damage)
        with pytest.raises(UsageError, match="damaged"):
            resolve("--data", "faces", "--run", "mine")


def test_a_run_keeps_what_it_began_with(sized):
    """Of what `default` decides, that is its settings, again and again, unless flags say otherwise."""
    size = {"data": (sized(100),), "image_size": 64}
    before = write_config({**size, "batch_size": 64, "epochs": 4000, "learning_rate_schedule": "linear"})
    for _ in range(2):
        assert resolve_settings(size)[0] == before == resolve_settings({"data": ("faces",)})[0]
        write_config(dataclasses.asdict(before))
    assert resolve_settings({**size, "epochs": 9})[0] == dataclasses.replace(before, epochs=9)
    assert resolve_settings({**size, "batch_size": 16})[0] == dataclasses.replace(before, batch_size=16)
    assert resolve_settings({**size, "loss": "hinge"})[0] == dataclasses.replace(before, loss="hinge")
    named = {**size, "recipe": "avatars", "run": before.name}
    assert resolve_settings(named)[0] == build_config(named)  # another recipe


def test_an_older_run_has_the_settings_of_its_time(sized):
    """Those that it did not have yet are the defaults, whatever `default` has at its size now."""
    folder = Path("output/default-vector-self-modulated-64-faces")
    folder.mkdir(parents=True)
    saved = {"recipe": "default", "data": ["faces"], "image_size": 64, "batch_size": 32}
    (folder / "config.json").write_text(json.dumps(saved))
    config = resolve_settings({"data": (sized(100),)})[0]
    assert config == Config(data=("faces",), image_size=64, batch_size=32, align="no")


@pytest.mark.parametrize(
    "damage", [{"batch_size": "many"}, {"learning_rate_schedule": "none"}, {"recipe": ["default"]}]
)
def test_a_run_whose_settings_make_no_sense(sized, damage):
    """What cannot be a setting is not kept; `claim` says what is wrong."""
    size = {"data": (sized(100),), "image_size": 64}
    before = write_config({**size, "batch_size": 64})
    path = Path("output", before.name, "config.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    config, run, _ = resolve_settings(size)
    assert config.learning_rate_schedule == build_config(size).learning_rate_schedule
    with pytest.raises(UsageError):
        run.claim(dataclasses.asdict(config), None)


@pytest.mark.parametrize(
    "flags",
    [
        ("--data", "faces", "--batch-size", "64"),
        ("--data", "faces", "--image-size", "32"),
        ("--batch-size", "64", "--width", "32", "--penalty-weight", "0.05", "--learning-rate-schedule", "constant"),
        ("--recipe", "default"),
        ("--recipe", "udacity-64", "--batch-size", "64", "--width", "32"),
        (),
    ],
)
def test_settings_of_a_run_of_today(sized, flags):
    """A run has the settings that it began with when its command is repeated, also where they are former ones."""
    sized(100)
    before = resolve(*flags)
    write_config(dataclasses.asdict(before))
    assert resolve(*flags) == before


@pytest.mark.parametrize("flags", [(), ("--width", "64"), ("--penalty-weight", "0.5", "--epochs", "9")])
def test_settings_of_former_avatars(sized, flags):
    """Runs of avatars had the recipe `default`; they go on with its settings, and in its folder, whatever flags say."""
    given, _ = parse_settings(flags)
    former = Config(**given)
    with (run := Run("output/default-vector-self-modulated-32")).lock():
        run.claim(dataclasses.asdict(former), None)
    for _ in range(2):
        config, found, _ = resolve_settings(given)
        assert config == dataclasses.replace(former, run=run.folder.name) and found.folder == run.folder
        with run.lock():
            run.claim(dataclasses.asdict(config), None)
    assert resolve_settings({**given, "recipe": "avatars"})[0].name.startswith("avatars-")
    assert resolve_settings({**given, "recipe": "default"})[0].name.endswith("-built-in")


@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({"width": 48, "depth": 0, "palette": 0}, ()),
        ({"width": 48, "depth": 0, "palette": 0}, ("depth", "palette")),
        ({"palette": 0, "epochs": 5500}, ("palette",)),
    ],
)
def test_avatars_of_earlier_versions(sized, settings, missing):
    """Runs of `avatars` were 48 channels wide without depth, then without a palette; they go on like that."""
    before = write_config(settings)
    path = Path("output", before.name, "config.json")
    path.write_text(
        json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name not in missing})
    )
    assert resolve_settings({})[0] == before


def test_what_a_run_of_default_keeps(sized, capsys):
    """What the recipes decide by the images stays as it was given, when the command is repeated without it."""
    before = write_config({"recipe": "default", "depth": 1, "palette": 4, "augmentation": "none"})
    assert resolve_settings({"recipe": "default", "depth": 1})[0] == before
    assert "goes on with --augmentation none --palette 4, as before" in capsys.readouterr().out
    write_config({"recipe": "default", "epochs": 9, "run": "it"})
    resolve_settings({"recipe": "default", "minutes": 5.0, "run": "it"})
    assert "goes on with" not in capsys.readouterr().out
    assert resolve_settings({"recipe": "default", "depth": 0})[0] == dataclasses.replace(before, depth=0)


def test_settings_of_avatars_in_a_former_folder(sized):
    """A run with the present settings of avatars goes on in a folder that has the former name."""
    config = build_config({})
    with (run := Run("output/default-vector-self-modulated-32")).lock():
        run.claim({**dataclasses.asdict(config), "recipe": "default"}, None)
        found = resolve_settings({})
        assert found[0] == dataclasses.replace(config, run=run.folder.name, recipe="default")
        assert found[1].folder == run.folder
        run.claim(dataclasses.asdict(config), None)


@pytest.mark.parametrize("start", ["output/other", "output/other/generator.keras"])
def test_image_size_of_the_start(sized, start):
    """A run that starts from another has its size, also where the generator's file is given; commands say which."""
    write_config({"run": "other", "image_size": 48})
    assert resolve("--data", sized(100), "--start-from", start).image_size == 48
    assert resolve("--start-from", start).image_size == 48
    config = resolve("--start-from", start, "--image-size", "32")
    assert resolve(*shlex.split(format_command(config))[2:]) == config
    assert resolve("--data", "faces", "--start-from", "nothing").image_size == 64


def test_width_of_the_start(sized):
    """A run that starts from another of its size has its widths, unless a flag or a published recipe has them."""
    write_config({"run": "other", "image_size": 64, "width": 20, "discriminator_width": 12})
    line = ["--data", sized(100), "--start-from", "output/other"]
    for flags, width in (
        ([], 20),
        (["--image-size", "128"], 16),
        (["--width", "24"], 24),
        (["--recipe", "udacity-128", "--generator", "self-modulated", "--image-size", "64"], 128),
    ):
        config = resolve(*line, *flags)
        same = config.image_size == 64 and config.recipe == "default"
        assert (config.width, config.discriminator_width) == (width, 12 if same else 0)


def test_depth_of_the_start(sized):
    """A run that starts from another has its depth, at any size, and keeps it when that is gone."""
    write_config({"run": "other", "depth": 1})
    line = ["--data", sized(100), "--start-from", "output/other"]
    assert resolve(*line, "--image-size", "64").depth == resolve(*line).depth == 1
    write_config(dataclasses.asdict(resolve(*line)))
    shutil.rmtree("output/other")
    assert resolve(*line, "--image-size", "32").depth == 1


def test_a_published_recipe_takes_nothing_of_the_start(sized):
    """So that it is the same when the start is gone."""
    write_config({"run": "other", "palette": 8, "depth": 1})
    config = resolve("--recipe", "udacity-64", "--generator", "self-modulated", "--start-from", "output/other")
    assert (config.palette, config.depth) == (0, 0)


@pytest.mark.parametrize("palette", [0, 4])
def test_palette_of_the_start(sized, palette):
    """A run that starts from another has its palette, and keeps it; a flag or another generator decides otherwise."""
    write_config({"run": "other", "palette": palette})
    for data in ((), ("--data", sized(100))):
        line = [*data, "--start-from", "output/other"]
        before = resolve(*line)
        assert before.palette == palette
        write_config(dataclasses.asdict(before))
        assert resolve(*line) == before
        assert resolve(*line, "--run", "new", "--palette", "6").palette == 6
        assert resolve(*line, "--run", "new", "--generator", "conv").palette == 0


class Told:
    """A `Distribution` that is not the chief's, and is told what the chief decided."""

    is_chief = False

    def __init__(self, decided):
        self.decided = decided

    def broadcast_object(self, value):
        """What the chief gave."""
        return self.decided


def test_the_chief_decides(sized):
    """Another process opens nothing, and has the size and the settings that the chief found."""
    given = {"data": ("of this machine",), "generator_betas": (0.1, 0.9)}
    config, run, opened = resolve_settings(given, Told({"image_size": 64, "batch_size": 8, "epochs": 3}))
    assert config == build_config({**given, "image_size": 64, "batch_size": 8, "epochs": 3})
    assert run.folder.name == config.name and not opened


def test_automatic_augmentation_stays_with_the_run(tmp_path):
    """It is chosen by the number of images once; with more of them, the run goes on with what it had."""
    run, config = Run(tmp_path), Config()
    few, many = (decide_augment(config, run, count) for count in (60, 10**5))
    assert (few, many) == (AUGMENT_FEW, "none")
    run.claim({"augment": few})
    assert decide_augment(config, run, 10**5) == few
    assert decide_augment(Config(augment="ada"), run, 10**5) == "ada"  # which `claim` refuses


def test_alignment_stays_with_the_run(tmp_path):
    """A run of an older version goes on without, and one that was started with a value keeps it."""
    run = Run(tmp_path)
    assert resolve_align(Config(), run).align == "auto"
    for saved, align in (({}, "no"), ({"align": "yes"}, "yes"), ({"align": "auto"}, "auto")):
        (tmp_path / "config.json").write_text(json.dumps(saved))
        assert resolve_align(Config(), run).align == align
    assert resolve_align(Config(align="no"), run).align == "no"


def test_alignment_of_other_sources(tmp_path):
    """What was decided for a source is not what another one, or its middle, has."""
    run = Run(tmp_path)
    run.claim(dataclasses.asdict(Config(data=("a",), align="yes")))
    assert resolve_align(Config(data=("moved",)), run).align == "yes"
    assert resolve_align(Config(data=("a", "b")), run).align == "auto"
    assert resolve_align(Config(data=("a",), crop=50), run).align == "auto"


def test_alignment_is_recorded(tmp_path):
    """What --align auto came to is a setting of the run from then on; a run of before that was recorded has none."""
    run = Run(tmp_path)
    for align in ("yes", "no", "auto"):
        assert apply_align(Config(), run, {"align": align}).align == align
    run.claim({"align": "auto"})
    assert apply_align(Config(), run, {"align": "yes"}).align == "auto"


def test_the_start_stays_with_the_run(sized):
    """A run goes on from where it began, whatever its recipe, without the flag."""
    write_config({"run": "other"})
    for recipe in ([], ["--recipe", "udacity-64"]):
        line = [*recipe, "--data", sized(100), "--run", f"new{len(recipe)}", "--image-size", "32"]
        write_config(dataclasses.asdict(resolve(*line, "--start-from", "output/other")))
        assert resolve(*line).start_from == "output/other"


@pytest.mark.parametrize(("iteration", "other", "accepted", "refused"), [
    (10, True, True, True), (9, True, True, False), (10, False, True, False), (10, True, False, False),
])  # fmt: skip
def test_steps_left_for_new_data(tmp_path, iteration, other, accepted, refused):
    """A run that has its length is not said to be trained on images that it never saw."""
    run = Run(tmp_path / "run")
    config = Config(accept_new_data=accepted)
    with run.lock():
        run.claim({**dataclasses.asdict(config), "faces": "8 of faces (abc)"})
    run.tables.append_log(
        [{"iteration": iteration, "images": 8, "seconds": 1.0, "d_loss": 1.0, "images_per_second": 1.0}]
    )
    title = "9 of faces (def)" if other else "8 of faces (abc)"
    with pytest.raises(UsageError, match="--epochs") if refused else contextlib.nullcontext():
        require_steps_for_new_data(config, run, title, RunLength(10))
