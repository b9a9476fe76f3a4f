"""tools.generate, as typed at a command line."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gan import experiment, images
from gan.runs.run_directory import Run
from tools import generate

ROOT = Path(__file__).parents[2]


def test_one_grid(tiny, capsys):
    """Without flags, 64 images go to faces.png, each as large as in the run's own grids."""
    assert generate.main([str(tiny)]) == 0
    step = 16 * images.display_scale(16) + 2
    assert images.read_png(tiny / "generated.png").shape == (8 * step - 2, 8 * step - 2, 3)
    printed = capsys.readouterr().out
    assert all(part in printed for part in ("0 to 63", str(tiny / "generator.keras"), str(tiny / "generated.png")))


def test_seed_determines_the_image(tiny):
    """Seed 7 gives the same image among others, alone, as a file and in an array; files are named by their seeds."""
    for arguments in (
        ["--count", "12", "--separate", "--out", "many"],
        ["--seed", "7", "--count", "1", "--separate", "--out", "alone"],
        ["--seed", "5", "--count", "4", "--npz", "--out", "some.npz"],
    ):
        assert generate.main([str(tiny), *arguments]) == 0
    assert sorted(path.name for path in Path("many").iterdir()) == [f"face-{i:06d}.png" for i in range(12)]
    many, alone = (images.read_png(Path(folder, "face-000007.png")).astype(int) for folder in ("many", "alone"))
    with np.load("some.npz", allow_pickle=False) as file:
        assert file["seeds"].tolist() == [5, 6, 7, 8] and file["images"].dtype == np.uint8
        some = file["images"][2].astype(int)
    assert many.shape == (16, 16, 3)
    assert max(np.abs(alone - many).max(), np.abs(some - many).max()) <= 1  # batches of other sizes round differently


def test_output_is_reproducible(tiny):
    """Another process, of the file of the command, writes the same bytes."""
    assert generate.main([str(tiny), "--seed", "7", "--out", "one.png"]) == 0
    command = [sys.executable, str(ROOT / "tools/generate.py"), str(tiny), "--seed", "7", "--out", "two.png"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()


def test_grid_options(tiny):
    """Columns, enlargement to squares or smoothly; truncation 0 gives the same image for every seed."""
    assert generate.main([str(tiny), "--count", "6", "--columns", "3", "--scale", "2", "--out", "squares.png"]) == 0
    squares = images.read_png("squares.png")
    assert squares.shape == (2 * 34 - 2, 3 * 34 - 2, 3)
    np.testing.assert_array_equal(squares[:32:2, :32:2], squares[1:32:2, 1:32:2])
    flags = ["--count", "6", "--columns", "3", "--scale", "2", "--smooth"]
    assert generate.main([str(tiny), *flags, "--out", "smooth.png"]) == 0
    smooth = images.read_png("smooth.png")
    assert (smooth[:32:2, :32:2] != smooth[1:32:2, 1:32:2]).any()
    assert (smooth[:32, :32] != smooth[34:66, 68:100]).any()
    assert generate.main([str(tiny), *flags, "--truncation", "0", "--out", "same.png"]) == 0
    same = images.read_png("same.png")
    np.testing.assert_array_equal(same[:32, :32], same[34:66, 68:100])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--count", "0"], "argument --count: 0 is not from 1 to 1,000,000"),
        (["--seed", "x"], "argument --seed: 'x'"),
        (["--seed", "4294967290"], "4,294,967,232 is the largest"),
        (["--truncation", "2"], "argument --truncation: 2 is not from 0 to 1"),
        (["--npz", "--separate"], "not allowed with argument"),
        (["--npz", "--smooth"], "leave out --scale and --smooth"),
        (["--separate", "--columns", "2"], "leave out --npz and --separate"),
    ],
)
def test_usage_errors(flags, message, capsys):
    """Exit code 2, and a message that says what is allowed."""
    with pytest.raises(SystemExit) as stopped:
        generate.main(["output/tiny", *flags])
    assert stopped.value.code == 2 and message in capsys.readouterr().err


def test_no_more_columns_than_images(tiny):
    """A grid of fewer images than --columns is no wider than they are."""
    assert generate.main([str(tiny), "--count", "2", "--columns", "1000", "--scale", "1", "--out", "two.png"]) == 0
    assert images.read_png("two.png").shape == (16, 2 * 16 + 2, 3)


def test_unwritable_output(tiny, capsys):
    """Another suffix, and a grid too large for memory, are refused before anything is generated."""
    assert generate.main([str(tiny), "--out", "faces.jpg"]) == 2
    printed = capsys.readouterr().err
    assert "--out faces.jpg" in printed and ".png" in printed
    assert generate.main([str(tiny), "--count", "1000000"]) == 2
    printed = capsys.readouterr().err
    assert "1,000,000 faces" in printed and "--separate" in printed and "--scale 1 " not in printed
    assert generate.main([str(tiny), "--count", "700000"]) == 2  # fits at a scale of 1, with 179 million pixels
    assert "--scale 1 " in capsys.readouterr().err


def test_separate_files_beside_grids(tiny):
    """Separate files may go to the run's folder, whose grids stay as they are."""
    before = {path: path.read_bytes() for path in tiny.glob("0*.png")}
    assert generate.main([str(tiny), "--count", "3", "--separate", "--out", str(tiny)]) == 0
    assert before and all(path.read_bytes() == content for path, content in before.items())


def test_files_of_earlier_calls(tiny, capsys):
    """They stay, and are counted."""
    for flags in (["--count", "5"], ["--seed", "3", "--count", "4"]):
        assert generate.main([str(tiny), "--separate", "--out", "faces", *flags]) == 0
    assert len(list(Path("faces").iterdir())) == 7
    first, second = capsys.readouterr().out.splitlines()
    assert "0 to 4" in first and first.endswith(": faces")
    assert "3 to 6" in second and second.endswith(": faces, beside 3 of earlier calls")


def test_many_files_are_written_in_parts(tiny, monkeypatch):
    """Noise of many seeds is computed a part at a time, which changes no image."""
    assert generate.main([str(tiny), "--count", "12", "--separate", "--out", "whole"]) == 0
    monkeypatch.setattr(generate, "NOISE_BATCH", 5)
    assert generate.main([str(tiny), "--count", "12", "--separate", "--out", "parts"]) == 0
    whole, parts = (sorted(Path(folder).iterdir()) for folder in ("whole", "parts"))
    assert [path.name for path in whole] == [path.name for path in parts] and len(whole) == 12
    for one, other in zip(whole, parts, strict=True):
        assert np.abs(images.read_png(one).astype(int) - images.read_png(other)).max() <= 1


def test_run_without_its_data(tiny):
    """Generating needs no data."""
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "/gone"}))
    assert generate.main([str(tiny)]) == 0


def test_labels(labelled):
    """--label asks for what it names; other labels are drawn as in training, a function of the seed."""
    flags = [str(labelled), "--count", "30", "--npz"]
    assert generate.main([*flags, "--label", "skin=dark,round", "--out", "asked.npz"]) == 0
    assert generate.main([*flags, "--out", "drawn.npz"]) == 0
    with np.load("asked.npz") as asked, np.load("drawn.npz") as drawn:
        assert asked["labels"].shape == drawn["labels"].shape == (30, 9)
        assert (asked["labels"] == asked["labels"][0]).all() and len(np.unique(drawn["labels"], axis=0)) > 3
        assert asked["columns"][asked["labels"][0] == 1].tolist() == ["skin=dark", "glasses=round"]
        assert (asked["images"] != drawn["images"]).any()
        generator = experiment.load_generator(Run(labelled))
        codes = np.array([[4, 2]])
        assert generator.labels.describe(codes[0]) == "skin dark, glasses round"
        np.testing.assert_array_equal(asked["images"][7:8], generator(generator.sample_noise([7]), codes))
        np.testing.assert_array_equal(drawn["labels"][7:8], generator.labels.encode(generator.draw_codes([7])))


def test_files_of_other_labels(labelled):
    """Files of one seed with different labels do not replace each other; their names have the labels."""
    for flags in ([], ["--label", "skin=dark"], ["--label", "skin=pale,glasses=round"]):
        assert generate.main([str(labelled), "--separate", "--count", "1", "--out", "faces", *flags]) == 0
    assert sorted(path.name for path in Path("faces").iterdir()) == [
        "face-000000-skin=dark.png",
        "face-000000-skin=pale,glasses=round.png",
        "face-000000.png",
    ]


@pytest.mark.parametrize("label", ["skin=blue", "nose", "dark", " , "])
def test_labels_that_there_are_not(labelled, label, capsys):
    """A label that there is not, or of two attributes, is refused by name; so is a text without any."""
    assert generate.main([str(labelled), "--label", label]) == 2
    assert label.rpartition("=")[2] in capsys.readouterr().err


def test_a_run_without_labels(tiny, capsys):
    """A run without labels cannot be asked for any."""
    assert generate.main([str(tiny), "--label", "skin=dark"]) == 2
    assert "skin=dark" in capsys.readouterr().err


def test_repeated_flag_of_labels():
    """Labels may be given by several flags, of which none replaces another."""
    assert generate.parse_arguments(["run", "--label", "Male", "--label", "Smiling=0"]).label == "Male,Smiling=0"
