"""Faces as a person asks for them."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gan import experiment, images
from gan.config import Config
from models.portable import to_stock_keras
from tools import generate

ROOT = Path(__file__).parents[2]


def test_one_picture(tiny, capsys):
    """With no flag: 64 faces in faces.png, each as large as in the run's own pictures."""
    assert generate.main([str(tiny)]) == 0
    picture = images.read_png(tiny / "faces.png")
    step = 16 * images.display_scale(16) + 2
    assert picture.shape == (8 * step - 2, 8 * step - 2, 3)
    told = capsys.readouterr().out
    assert told == f"{tiny / 'generator.keras'} of iteration 4 drew faces 0 to 63: {tiny / 'faces.png'}\n"


def test_a_face_keeps_its_number(tiny):
    """Face 7 among others, alone, as a file and in an array is one face; its number is in the name."""
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
    assert max(np.abs(alone - many).max(), np.abs(some - many).max()) <= 1  # other batches round otherwise


def test_byte_for_byte(tiny):
    """Two processes, one file."""
    for name in ("one.png", "two.png"):
        command = [sys.executable, "-m", "tools.generate", str(tiny.absolute()), "--seed", "7", "--out", name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # which tests in this process have set
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
    assert Path("one.png").read_bytes() == Path("two.png").read_bytes()


def test_ten_thousand_in_a_minute(tiny):
    """The default recipe's network draws 1,000 faces as files in less than 6 seconds, the start included."""
    config = Config(precision="float32")
    (tiny / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    to_stock_keras(experiment.build_gan(config).ema_generator).save(tiny / "generator.keras")
    start = time.perf_counter()
    assert generate.main([str(tiny), "--count", "1000", "--separate", "--out", "many"]) == 0
    took = time.perf_counter() - start
    print(f"\n1,000 faces of 32x32, as files, in {took:.1f} s")
    assert len([*Path("many").iterdir()]) == 1000 and took < 6


def test_looks(tiny):
    """Columns, enlargement, smoothly or not; truncation 0 draws one face again and again."""
    assert generate.main([str(tiny), "--count", "6", "--columns", "3", "--scale", "2", "--out", "squares.png"]) == 0
    squares = images.read_png("squares.png")
    assert squares.shape == (2 * 34 - 2, 3 * 34 - 2, 3)
    np.testing.assert_array_equal(squares[:32:2, :32:2], squares[1:32:2, 1:32:2])
    flags = ["--count", "6", "--columns", "3", "--scale", "2", "--smooth", "--truncation", "0", "--out", "smooth.png"]
    assert generate.main([str(tiny), *flags]) == 0
    smooth = images.read_png("smooth.png")
    assert (smooth[:32:2, :32:2] != smooth[1:32:2, 1:32:2]).any()
    np.testing.assert_array_equal(smooth[:32, :32], smooth[34:66, 68:100])


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--count", "0"], "argument --count: 0 is not from 1 to 1,000,000"),
        (["--seed", "x"], "argument --seed: 'x' is not a whole number"),
        (["--seed", "4294967290"], "argument --seed: with 64 faces it is 4,294,967,232 at most"),
        (["--truncation", "2"], "argument --truncation: 2 is not from 0 to 1"),
        (["--npz", "--separate"], "not allowed with argument"),
        (["--npz", "--smooth"], "argument --npz: an array is of faces as they are drawn"),
        (["--separate", "--columns", "2"], "argument --columns: only one picture of all faces has columns"),
    ],
)
def test_mistakes(flags, told, capsys):
    """Exit code 2, and what is allowed."""
    with pytest.raises(SystemExit) as stopped:
        generate.main(["output/tiny", *flags])
    assert stopped.value.code == 2 and told in capsys.readouterr().err


def test_no_more_columns_than_faces(tiny):
    """A picture of fewer faces than columns has no room for others."""
    assert generate.main([str(tiny), "--count", "2", "--columns", "1000", "--scale", "1", "--out", "two.png"]) == 0
    assert images.read_png("two.png").shape == (16, 2 * 16 + 2, 3)


def test_what_cannot_be_written(tiny, capsys):
    """Another ending, and a picture larger than memory: said before anything is drawn."""
    assert generate.main([str(tiny), "--out", "faces.jpg"]) == 2
    assert "--out faces.jpg: its name must end in .png" in capsys.readouterr().err
    assert generate.main([str(tiny), "--count", "1000000"]) == 2
    assert "1,000,000 faces are too many for one picture so large" in capsys.readouterr().err


def test_beside_the_run(tiny):
    """Faces apart may go where the run's own pictures are, which stay as they were."""
    before = {path: path.read_bytes() for path in tiny.glob("0*.png")}
    assert generate.main([str(tiny), "--count", "3", "--separate", "--out", str(tiny)]) == 0
    assert before and all(path.read_bytes() == content for path, content in before.items())


def test_faces_of_earlier_calls(tiny, capsys):
    """They stay, and are counted."""
    for flags in (["--count", "5"], ["--seed", "3", "--count", "4"]):
        assert generate.main([str(tiny), "--separate", "--out", "faces", *flags]) == 0
    assert len(list(Path("faces").iterdir())) == 7
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("faces 0 to 4: faces") and second.endswith("faces 3 to 6: faces, beside 3 of earlier calls")


def test_no_run(tiny, capsys):
    """What is there instead."""
    assert generate.main(["output/huge"]) == 2
    assert capsys.readouterr().err == "generate: output/huge is not the folder of a run. There are: output/tiny\n"


def test_a_run_that_lacks_its_data(tiny):
    """A generator needs none."""
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "data": "/gone"}))
    assert generate.main([str(tiny)]) == 0
