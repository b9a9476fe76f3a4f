"""Run folders: settings, tables, reports and checkpoints of a run, and the results of a comparison."""

import contextlib
import dataclasses
import functools
import json
import tempfile
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.fuzz_targets.target import SIZE, read_files
from gan import files
from gan.comparison import results, runner
from gan.config import Config, one_or_several
from gan.gallery.page import Page
from gan.labels import Attribute, Labels
from gan.metrics import evaluation
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import Run
from gan.runs.tables import DIAGNOSTIC_COLUMNS, SCORE_COLUMNS

ROOT = Path(__file__).parents[2]
TABLES = ("log.csv", "metrics.csv", "diagnostics.csv", "health.csv")


@functools.cache
def run_files() -> dict[str, bytes]:
    """All files of a finished run but its generators."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "run"))
        files.write_json(run.folder / "config.json", dataclasses.asdict(Config(run="run")) | {"faces": "6 of a (b)"})
        report = {
            "source": "a",
            "found": 6,
            "used": 6,
            "skipped": {"unreadable": 0, "passed_over": 0},
            "crop": "center",
        }
        run.write_data_report(report, [])
        for path, columns in ((run.tables.metrics, SCORE_COLUMNS), (run.tables.diagnostics, DIAGNOSTIC_COLUMNS)):
            files.write_csv(path, [columns])
        scalars = {"d_loss": 1.5, "g_loss": 0.7, "real_score": 0.6, "fake_score": 0.4}
        for i in range(1, 7):
            start = {"iteration": i, "images": 64 * i, "seconds": 0.5 * i}
            run.tables.append_log(
                [start | scalars | ({} if i % 2 else {"penalty": 0.1}) | {"images_per_second": 128.0}]
            )
            row = dict.fromkeys(SCORE_COLUMNS, 0.5) | start | {"network": "onet", "samples": 64, "copying": 0}
            run.tables.append_score(row | {"kid": 100.0 / i, "face_rate": None if i < 3 else 0.9})
        run.tables.append_diagnostics([(3, "mode collapse", "started", "Try it"), (5, "mode collapse", "ended", "")])
        run.tables.append_diagnostics([(6, "losses stuck", "started", "Try, that")])
        files.write_json(run.folder / "best.json", run.tables.read_scores()[-1] | {"protocol": {"samples": 64}})
        (run.folder / "best.keras").touch()
        run.grids.save(6, np.zeros((4, SIZE, SIZE, 3), np.uint8))
        row = read_comparison()["rows"][0]
        files.write_json(
            run.folder / "scores.json", [{name: row[name] for name in ("protocol", "generator", "scores")}]
        )
        files.write_json(run.folder / "sessions.json", row["sessions"])
        for iteration in (3, 6):
            checkpoints.save(run.checkpoints, iteration, make_arrays(iteration))
        return read_files(Path(folder), "run/**/*")


def read_comparison() -> dict:
    """A comparison that this project keeps."""
    return json.loads((ROOT / "results" / "noise.json").read_text())


def make_arrays(value: int) -> dict[str, np.ndarray]:
    """The arrays of a small checkpoint."""
    networks = {"generator/000": (3, 5), "generator/001": (2,), "discriminator/000": (7,), "ema_generator/000": (3, 5)}
    arrays = {name: np.full(shape, value, np.float32) for name, shape in networks.items()}
    return arrays | {
        "iteration": np.int64(value), "seconds": np.float64(2.5), "data_seconds": np.float64(0.5),
        "grid_due": np.bool_(False), "validation": np.zeros(3), "pixel_variance": np.float64(0.1),
    }  # fmt: skip


def make_run(random: Random) -> dict[str, bytes]:
    """The files of a run, some of them under the names that older versions gave them."""
    former = {f"run/{name}": f"run/{old}" for name, old in legacy.FILES.items() if random.random() < 0.2}
    return {former.get(name, name): content for name, content in run_files().items()}


def make_labelled_run(random: Random) -> dict[str, bytes]:
    """The settings and the labels of a run."""
    attributes = (Attribute("class", ("a", "b")), Attribute("Smiling"))
    codes = np.array([[random.randrange(2), random.randrange(2)] for _ in range(6)] + [[0, 0], [1, 1]], np.int32)
    with tempfile.TemporaryDirectory() as folder:
        Labels(attributes, codes).count_combinations().save(Path(folder, "run", "labels.json"))
        return {"run/config.json": run_files()["run/config.json"]} | read_files(Path(folder), "run/*")


def read_labels(folder: Path) -> None:
    """Reads the labels of a run, and uses them."""
    labels = Run(folder / "run").load_labels()
    assert len(labels.encode(labels.codes)) == len(labels.codes) > 0
    assert labels.encode(labels.codes).shape[1] == labels.width and labels.describe_shares()
    assert labels.draw(np.array([0.0, 0.5, 0.999])).shape == (3, len(labels.attributes))


def read_config(folder: Path) -> None:
    """Reads the settings of a run and what is derived from them."""
    run = Run(folder / "run")
    config = run.load_config()
    for field in dataclasses.fields(Config):
        wanted = {str: str, bool: bool, int: int, float: (int, float), tuple: tuple, list: tuple}
        wanted[one_or_several] = (int, float, tuple)
        value, kind = getattr(config, field.name), field.metadata["kind"]
        assert isinstance(value, wanted.get(kind, (int, str))), (field.name, value)
    assert isinstance(run.trained_on(), str) and isinstance(run.resume_command(), str) and isinstance(config.name, str)
    assert isinstance(config.iterations(6), int)
    claim_run(folder)


def claim_run(folder: Path) -> None:
    """Claims the run's folder for the default settings."""
    run = Run(folder / "run")
    with run.lock():
        run.claim(dataclasses.asdict(Config(run="run")) | {"faces": "6 of a (b)"})


def read_tables(folder: Path) -> None:
    """Reads the tables of a run, cuts them back and goes on, as a resumed training does."""
    run = Run(folder / "run")
    run.tables.truncate(5)
    log, scores, failures = run.tables.read_log(), run.tables.read_scores(), run.tables.read_active_failures()
    assert len({len(column) for column in log.values()}) <= 1 and all(v.dtype == np.float64 for v in log.values())
    for row in scores:
        assert list(row) == SCORE_COLUMNS and isinstance(row["iteration"], int) and isinstance(row["kid"], float), row
    assert all(isinstance(text, str) for pair in failures.items() for text in pair)
    if scores:
        assert (
            0
            <= evaluation.select_best(*([row[name] for row in scores] for name in ("kid", "kid_stderr")))
            < len(scores)
        )
    run.tables.append_log(
        [{"iteration": 6, "images": 384, "seconds": 3.0, "d_loss": 1.0, "new": 2.0, "images_per_second": 1}]
    )
    assert run.tables.read_log()["iteration"][-1] == 6


def read_reports(folder: Path) -> None:
    """Reads what a run says of its data and its scores."""
    run = Run(folder / "run")
    report = run.read_data_report()
    assert isinstance(report, dict) and isinstance(report["crop"], str)
    path, iteration = run.find_generator()
    assert path.name == "best.keras" and isinstance(iteration, int), iteration
    for result in run.read_evaluations():
        assert isinstance(result["protocol"], dict) and isinstance(result["scores"], dict), result


def read_row(folder: Path) -> None:
    """Reads the row that a comparison makes of a run."""
    run = Run(folder / "run")
    assert isinstance(runner.is_trained(run, 1.0), bool)
    result = runner.find_scores(run, 2000, ["onet", "vgg"])
    assert result is None or isinstance(result["scores"], dict)
    json.dumps(runner.collect_row(run))


def write_page(folder: Path) -> None:
    """Writes the gallery of a folder of runs; whatever a run holds, it is on the page or among the skipped."""
    runs, skipped = Page(folder).write()
    assert len(runs) + len(skipped) == 1
    text = (folder / "index.html").read_text("utf-8")
    script = text.split('type="application/json" id="data">', 1)[1].split("</script>", 1)[0]
    assert len(json.loads(script, parse_constant=lambda name: 1 / 0)["runs"]) == len(runs)


def make_comparison(random: Random) -> dict[str, bytes]:
    """The results of a comparison."""
    document = read_comparison()
    document["rows"] = document["rows"][:2]
    return {"results/noise.json": json.dumps(document).encode()}


def read_results(folder: Path) -> None:
    """Writes the table of a comparison again, and opens it to go on."""
    assert results.write(results.read("noise")).startswith("# ")
    asked = {name: read_comparison()[name] for name in ("name", "data", "minutes", "samples", "networks")}
    document = results.open_document(asked)
    assert isinstance(document["recipes"], dict) and all(isinstance(row["run"], str) for row in document["rows"])


class Variable:
    """An array with the interface of a Keras variable that checkpoints use."""

    def __init__(self, array: np.ndarray):
        self.value, self.shape, self.dtype = array, array.shape, array.dtype.name

    def assign(self, array: np.ndarray) -> None:
        """Sets the value, as Keras does: of the same shape, and only from what converts."""
        assert array.shape == self.shape and array.dtype.kind in "fiub", (array.shape, array.dtype)
        self.value = array.astype(self.value.dtype)


def restore_checkpoint(folder: Path) -> None:
    """Restores the newest whole checkpoint; reads the parts that training and other tools use."""
    for path in checkpoints.list_paths(folder / "run" / "checkpoints"):
        with contextlib.suppress(OSError, ValueError):
            assert set(checkpoints.count_weights(path)) == {"generator", "discriminator"}
    names = ("generator/000", "generator/001", "discriminator/000", "ema_generator/000", "iteration")
    variables = {name: Variable(array) for name, array in make_arrays(0).items() if name in names}
    saved = checkpoints.restore(folder / "run" / "checkpoints", variables)
    assert float(saved.get("seconds", 0)) >= 0 and float(saved.get("data_seconds", 0)) >= 0
    assert saved.get("grid_due", np.False_).shape == ()
