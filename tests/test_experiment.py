"""Image sizes, --start-from, --freeze-discriminator, --augment and lost labels, from flags to resumed runs."""

import dataclasses
import json
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import train
from data import Faces, measure_side, open_files
from dcgan import DCGAN
from gan import images
from gan.cli import parse_settings
from gan.config import AUGMENT_FEW, DATASETS, Config, build_config, format_command
from gan.errors import UsageError
from gan.experiment import (
    build_gan,
    count_labels,
    load_data,
    load_start,
    rebuild_generator,
    record_align,
    reload_data,
    resolve_align,
    resolve_augment,
    resolve_settings,
)
from gan.labels import Attribute, Labels
from gan.runs import checkpoints
from gan.runs.run_directory import Run

DENSE = [
    *("--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--precision", "float32"),
    *("--generator", "dense", "--discriminator", "dense", "--penalty", "none", "--limit", "60", "--holdout", "0"),
]


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
    assert (f"has images of {size} pixels, so" in capsys.readouterr().out) == (size != 32)
    assert resolve_settings({**given, "image_size": 64})[0].image_size == 64
    if "run" not in given:  # of two, none is meant more than the other
        write_config({**given, "image_size": 16})
        assert resolve_settings(given)[0].image_size == 64


def test_a_damaged_run(sized):
    """Where --run names a run whose settings cannot be read, that is what is said."""
    write_config({"data": (sized(100),), "run": "mine"})
    for damage in ("{", '{"generator": []}'):
        Path("output/mine/config.json").write_text(damage)
        with pytest.raises(UsageError, match="damaged"):
            resolve("--data", "faces", "--run", "mine")


def test_settings_of_a_former_run(sized):
    """Runs go on with the batch that `default` had at their size formerly, again and again, unless flags say otherwise.

    Runs with a batch of another size do not.
    """
    size = {"data": (sized(100),), "image_size": 64}
    former = {**size, "batch_size": 64, "epochs": 4000}
    before = write_config(former)
    for _ in range(2):
        assert resolve_settings(size)[0] == before == resolve_settings({"data": ("faces",)})[0]
        write_config(former)
    assert resolve_settings({**size, "epochs": 9})[0] == dataclasses.replace(before, epochs=9)
    shutil.rmtree("output")
    write_config({**size, "batch_size": 8})
    assert resolve_settings(size)[0] == build_config(size)


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
    config, found, _ = resolve_settings(given)
    assert config == former and found.folder == run.folder


def test_settings_of_avatars_in_a_former_folder(sized):
    """A run with the present settings of avatars goes on in a folder that has the former name."""
    config = build_config({})
    with (run := Run("output/default-vector-self-modulated-32")).lock():
        run.claim({**dataclasses.asdict(config), "recipe": "default"}, None)
        found = resolve_settings({})
        assert found[0] == config and found[1].folder == run.folder
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


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with output/first, a run of three iterations of dense networks, and a cache."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setattr("gan.training.loss_chart.draw_chart", lambda *args: None)
        line = [*DENSE, "--cache-dir", "cache", "--run", "first", "--epochs", "3", "--augment", "none"]
        assert train.main(line) == 0
    return home


@pytest.fixture
def there(home, tmp_path, monkeypatch, fast_saves):
    """A copy of that folder, the current one."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)


def newest(run):
    """The arrays of a run's newest checkpoint, except those that depend on the time."""
    path = checkpoints.list_paths(run.checkpoints)[-1]
    arrays = checkpoints.load(path, {})
    return {name: array for name, array in arrays.items() if not name.endswith("seconds") and name != "validation"}


@pytest.mark.slow
def test_start_from_a_run(there, monkeypatch, capsys):
    """A run that starts from another, with frozen layers and ADA, resumes bit for bit though the other is gone."""
    line = [*DENSE, "--cache-dir", "cache", "--epochs", "6", "--start-from", "output/first", "--augment", "ada"]
    line += ["--freeze-discriminator", "1", "--seed", "7"]
    first, step = newest(Run("output/first")), DCGAN.train_step
    assert train.main([*line, "--run", "whole"]) == 0
    printed = capsys.readouterr().out
    assert "generator: 7 of 7 layers" in printed and "000000003.npz" in printed and "averages" in printed
    weights = sum(first[f"discriminator/{i:03d}"].size for i in (0, 1))
    assert f"{weights:,} weights" in printed and "ada" in printed

    def stop_at_3(gan, batch):
        if int(gan.iteration) == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(gan, batch)

    with monkeypatch.context() as patch:
        patch.setattr(DCGAN, "train_step", stop_at_3)
        assert train.main([*line, "--run", "halves"]) == 128 + signal.SIGTERM
    shutil.rmtree("output/first")
    assert train.main([*line, "--run", "halves"]) == 0
    whole, halves = Run("output/whole"), Run("output/halves")
    assert int(newest(whole)["iteration"]) == 6
    assert newest(whole).keys() == newest(halves).keys() >= {"augment_probability", "real_sign"}
    for name, array in newest(whole).items():
        np.testing.assert_array_equal(array, newest(halves)[name], err_msg=name)
    log = whole.read_log()
    assert {"augment_probability", "real_sign"} <= log.keys()
    np.testing.assert_array_equal(log["augment_probability"], halves.read_log()["augment_probability"])
    for i in (0, 1):  # frozen
        np.testing.assert_array_equal(newest(whole)[f"discriminator/{i:03d}"], first[f"discriminator/{i:03d}"])
    assert not np.array_equal(newest(whole)["discriminator/002"], first["discriminator/002"])
    assert json.loads((whole.folder / "config.json").read_text())["start_from"] == "output/first"
    assert "--start-from output/first" in whole.resume_command()


def test_the_average_that_is_shown(there, capsys):
    """Of two, it is what a generator is rebuilt from, and what both averages of another run start at."""
    half_lives = ["--ema-half-life", "1", "1000", "--augment", "none", "--cache-dir", "cache"]
    assert train.main([*DENSE, *half_lives, "--run", "two", "--epochs", "3"]) == 0
    run = Run("output/two")
    [path] = checkpoints.list_paths(run.checkpoints)[-1:]
    for shown, part in ((0, "ema_generator"), (1, "ema_generator-2")):
        arrays = checkpoints.load(path, {}) | {"shown_average": np.int64(shown)}
        arrays["ema_generator-2/000"] = -arrays["ema_generator/000"]
        checkpoints.save(run.checkpoints, 3, arrays)
        rebuilt = rebuild_generator(run, run.load_config()).network.get_weights()
        start = load_start(Config(**{**vars(run.load_config()), "start_from": "output/two"}), Run("output/new"))
        first = start.layers["ema_generator"][0][0]
        np.testing.assert_array_equal(first, arrays[f"{part}/000"])
        assert rebuilt[0].shape == first.shape and np.corrcoef(rebuilt[0].ravel(), first.ravel())[0, 1] > 0.9999
    checkpoints.save(run.checkpoints, 3, arrays | {"shown_average": np.int64(2)})
    with pytest.raises(ValueError, match="there are 2 averages"):
        checkpoints.load(path, {})


@pytest.mark.filterwarnings("default")
def test_start_from_a_generator(there, capsys):
    """A .keras file gives the generator alone, and a warning."""
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", "--dry-run", "--start-from", "output/first/generator.keras"]
    assert train.main(line) == 0
    printed = capsys.readouterr()
    assert "7 of 7" in printed.out and "discriminator: 0 of 3" in printed.out
    assert "discriminator starts anew" in printed.err


def test_start_from_another_width(there, capsys):
    """What fits of networks of another width is taken, and the rest is named."""
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", "--dry-run", "--start-from", "output/first", "--width", "8"]
    assert train.main(line) == 2
    assert "no layer" in capsys.readouterr().err
    line[line.index("--width", line.index("--start-from")) + 1] = "4"
    assert train.main([*line, "--noise-size", "9"]) == 0
    printed = capsys.readouterr().out
    assert "generator: 6 of 7" in printed and "(9, " in printed
    assert "discriminator: 3 of 3" in printed


@pytest.mark.parametrize(
    ("start", "more", "message"),
    [
        ("output", [], "output/first"),  # not a run; which there are
        ("output/none.keras", [], "no such file"),
        ("output/first", ["--discriminator", "conv"], "--discriminator dense"),
        ("output/first", ["--generator", "conv"], "--generator dense"),
        ("output/first", ["--freeze-discriminator", "3"], "at most 2"),
        ("", ["--freeze-discriminator", "1"], "needs --start-from"),
    ],
)
def test_what_cannot_be_started_from(there, capsys, start, more, message):
    """Exit code 2, and what there is or what to type; nothing is written."""
    line = [*DENSE, "--cache-dir", "cache", "--run", "new", *(["--start-from", start] if start else []), *more]
    assert train.main(line) == 2
    assert message in capsys.readouterr().err.replace("\\", "/")
    assert not Run("output/new").folder.exists()


@pytest.mark.slow
def test_start_from_a_run_without_checkpoints(there, capsys):
    """Its generator is named, which is what is left."""
    shutil.rmtree("output/first/checkpoints")
    assert train.main([*DENSE, "--cache-dir", "cache", "--run", "new", "--start-from", "output/first"]) == 2
    assert "--start-from output/first/generator.keras" in capsys.readouterr().err.replace("\\", "/")


def test_automatic_augmentation_stays_with_the_run(tmp_path):
    """It is chosen by the number of images once; with more of them, the run goes on with what it had."""
    run, config = Run(tmp_path), Config()
    few, many = (resolve_augment(config, run, count).augment for count in (60, 10**5))
    assert (few, many) == (AUGMENT_FEW, "none")
    run.claim({"augment": few})
    assert resolve_augment(config, run, 10**5).augment == few
    assert resolve_augment(Config(augment="ada"), run, 10**5).augment == "ada"  # which `claim` refuses


def test_alignment_stays_with_the_run(tmp_path):
    """A run of an older version goes on without, and one that was started with a value keeps it."""
    run = Run(tmp_path)
    assert resolve_align(Config(), run).align == "auto"
    for saved, align in (({}, "no"), ({"align": "yes"}, "yes"), ({"align": "auto"}, "auto")):
        (tmp_path / "config.json").write_text(json.dumps(saved))
        assert resolve_align(Config(), run).align == align
    assert resolve_align(Config(align="no"), run).align == "no"


def test_alignment_is_recorded(tmp_path):
    """What --align auto came to is a setting of the run from then on; a run of before that was recorded has none."""
    run = Run(tmp_path)
    for align in ("yes", "no", "auto"):
        assert record_align(Config(), run, {"align": align}).align == align
    run.claim({"align": "auto"})
    assert record_align(Config(), run, {"align": "yes"}).align == "auto"


def test_an_older_run_goes_on(there, capsys):
    """A run of before there were --align and --augment is resumed by its command."""
    path = Run("output/first").folder / "config.json"
    saved = json.loads(path.read_text())
    for name in ("align", "min_face", "keep_duplicates", "augment"):
        del saved[name]
    path.write_text(json.dumps(saved))
    assert train.main([*DENSE, "--cache-dir", "cache", "--run", "first", "--epochs", "4"]) == 0
    assert "after iteration 3" in capsys.readouterr().out


def test_undecided_augmentation():
    """A GAN that is built before --augment auto is decided augments nothing."""
    config = Config(image_size=16, width=2, generator="dense", discriminator="dense", precision="float32")
    assert build_gan(config).augment is None


def test_no_label_to_train_with():
    """Where the only labelled images are held out, a run is refused."""
    labels = Labels((Attribute("Happy"),), np.array([[0], [1], [-1], [-1]], np.int32))
    faces = Faces(np.zeros((4, 1, 1, 3), np.uint8), {}, [], labels=labels, unlabelled="keep")
    assert count_labels(Config(), faces, np.array([1, 2])).codes.tolist() == [[1]]
    with pytest.raises(UsageError, match="--holdout"):
        count_labels(Config(), faces, np.array([2, 3]))


def test_labels_that_are_gone(tmp_path):
    """Where the file of a run's labels is no longer there, the command that tells where it is now is named."""
    run = Run(tmp_path / "output/it")
    run.claim(dataclasses.asdict(Config(data=("avatars",), limit=60, labels="gone.csv")))
    with pytest.raises(UsageError, match=r"labels from gone\.csv, which is not there.*--labels WHERE"):
        reload_data(run, tmp_path / "cache")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"head": "san", "loss": "least-squares"}, "for --loss: cross-entropy, hinge, wasserstein"),
        ({"head": "san", "loss": "relativistic"}, "or --head linear"),
        ({"minibatch_stddev": True, "batch_size": 10}, "--batch-size 12"),
    ],
)
def test_heads_and_groups_that_are_impossible(settings, message):
    """A loss whose logits have no direction, and a batch that has no groups of 4, are refused with what to type."""
    with pytest.raises(UsageError, match=message):
        build_gan(Config(**settings))
