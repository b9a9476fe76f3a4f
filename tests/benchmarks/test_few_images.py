"""The comparison on few images: its commands, the images to score against, and the table by hand."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import few_images
from gan.cli import parse_arguments
from gan.comparison.variants import parse_variant
from gan.errors import UsageError
from gan.files import write_json
from gan.runs.run_directory import Run


@pytest.fixture
def arguments(tmp_path):
    """The command line of a comparison of two recipes on an array of 2,300 grays."""
    grays = np.broadcast_to(np.arange(2300).reshape(-1, 1, 1, 1) % 251, (2300, 16, 16, 3)).astype(np.uint8)
    np.save(tmp_path / "data.npy", grays)
    return few_images.parse([
        *("--data", str(tmp_path / "data.npy"), "--out", str(tmp_path / "out"), "--limit", "100", "300"),
        *("--cache-dir", str(tmp_path / "cache"), "--seen", "1000", "--network", "onet"),
        *("--recipes", "default,augment=none,image_size=16:2", "default,augment=ada,image_size=16"),
    ])  # fmt: skip


def scores(fd, **more):
    """The scores of a run."""
    return {
        "fd-onet": fd, "kid-onet": 1.0, "precision-onet": 0.5, "recall-onet": 0.25, "face_rate": None,
        "memorization": {"copying": False}, "images": 1024.0, "seconds": 2.0, **more,
    }  # fmt: skip


def test_benchmark(arguments, monkeypatch, capsys):
    """Every run is trained and scored once, in order of seeds; the references are the images beyond the largest limit.

    1,000 images in batches of 64 are 16 iterations.
    """
    (arguments.out).mkdir()
    commands = []

    def run_process(command):
        commands.append(command[1:])
        name = command[command.index("--run") + 1] if "--run" in command else command[2].rpartition("/")[2]
        run = Run(arguments.out / name)
        run.folder.mkdir(exist_ok=True)
        (run.folder / "generator.keras").touch()
        if "--reference" in command:
            reference = command[command.index("--reference") + 1]
            generator = {"file": "generator.keras", "iteration": 16}
            result = {"protocol": {"reference": {"data": reference}}, "generator": generator, "scores": scores(10.0)}
            write_json(run.folder / "scores.json", [result])
            write_json(run.folder / "config.json", {"width": 4})
            run.tables.append_log(
                [{"iteration": 16, "images": 1024, "seconds": 2.0, "d_loss": 1.0, "images_per_second": 1.0}]
            )
        return 0

    monkeypatch.setattr(few_images, "run_process", run_process)
    few_images.benchmark(arguments)
    trained = [command[command.index("--run") + 1] for command in commands if "--run" in command]
    one, two = "default,augment=none,image_size=16", "default,augment=ada,image_size=16"
    assert trained == [
        *(f"{limit}-1000-{label}-0" for limit in (100, 300) for label in (one, two)),
        *(f"{limit}-1000-{one}-1" for limit in (100, 300)),
    ]
    assert len(commands) == 12 and commands[0][commands[0].index("--epochs") + 1] == "16"
    halves = [np.load(next(arguments.out.glob(f"{half}-*-16-*.npy")))[:, 0, 0, 0] for half in few_images.HALVES]
    np.testing.assert_array_equal(halves[0], np.arange(300, 2300, 2) % 251)
    np.testing.assert_array_equal(halves[1], np.arange(301, 2300, 2) % 251)
    table = (arguments.out / "few-images-choose.md").read_text()
    assert table in capsys.readouterr().out and table.count("\n") == 6
    few_images.benchmark(arguments)
    assert len(commands) == 12  # nothing is repeated
    arguments.limit = [1000]
    with pytest.raises(UsageError, match="650"):
        few_images.benchmark(arguments)


def test_references_of_photographs(arguments, monkeypatch):
    """They are of each size, and begin after all faces of the photographs that are trained on, which may have two."""

    def load_data(config):
        count = 2 * (config.limit or 1400)
        images = np.broadcast_to(
            np.arange(count, dtype=np.uint16).reshape(-1, 1, 1, 1), (count, config.image_size, 1, 3)
        )
        return SimpleNamespace(images=images, digest="f00d")

    monkeypatch.setattr(few_images.experiment, "load_data", load_data)
    arguments.out.mkdir()
    config, _ = parse_arguments(few_images.training_flags(arguments, 100, parse_variant("default"), 0))
    for size in (16, 32):
        found = np.load(few_images.write_references(arguments, dataclasses.replace(config, image_size=size)))
        np.testing.assert_array_equal(found[:, 0, 0, 0], np.arange(600, 2800, 2))
        assert found.shape[1] == size


def test_table_by_hand():
    """Means and ranges over seeds, and the ratio of means to the first recipe's of the same number of images."""
    none, ada = parse_variant("default"), parse_variant("default,augment=ada")
    results = {
        (500, none, 0): scores(100.0), (500, ada, 0): scores(40.0), (2000, none, 0): scores(80.0),
        (500, none, 1): scores(200.0), (500, ada, 1): scores(50.0, memorization={"copying": True}),
    }  # fmt: skip
    _, _, *rows = [line.strip("| ").split(" | ") for line in few_images.format_table(results, "onet")]
    assert rows[0][:5] == ["500", "default", "2", "150 (100 to 200)", "1.00"]
    assert rows[1][:5] == ["500", "default,augment=ada", "2", "45.0 (40.0 to 50.0)", "0.30"]
    assert rows[1][5:] == ["1.00", "0.500", "0.250", "-", "1 of 2", "1,024", "512"]
    assert rows[2][:2] == ["2,000", "default"] and rows[2][4] == "1.00"
