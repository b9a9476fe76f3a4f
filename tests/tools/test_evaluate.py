"""The command as a person types it, on tiny finished runs: what it measures, says, keeps and refuses."""

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import serving
from inception_graphs import packed
from PIL import Image

from gan import experiment, images
from gan.datasets import avatars
from gan.errors import RunError
from gan.metrics import avatar_classifier, distances, feature_extractors, inception, memorization
from gan.runs.run_directory import Run
from tools import evaluate

ROOT = Path(__file__).parents[2]
RUN = [
    *("--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--precision", "float32"),
    *("--epochs", "4", "--sample-every", "2"),
]
SCORED = ["--score-every", "2", "--score-samples", "64"]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Networks opened once for all tests, and a judge of drawn faces that has seen few of them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"LEARNT": 400, "HELD_OUT": 200, "NO_FACES": 100, "BATCH": 32, "EPOCHS": 1}.items():
            patch.setattr(avatar_classifier, name, value)
        for module, name in [
            (feature_extractors, "open_network"),
            (feature_extractors, "detector"),
            (avatar_classifier, "classifier"),
        ]:
            patch.setattr(module, name, functools.cache(getattr(module, name)))
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with a cache, photos/, others.npy, and three runs in output/: drawn, photos and unheld.

    The photos are drawn faces as JPEGs, so that nothing tells the program that they are drawn.
    """
    home = tmp_path_factory.mktemp("home")
    pictures, _ = avatars.draw(360, 16, seed=5)
    (home / "photos").mkdir()
    for i, picture in enumerate(pictures[:220]):
        Image.fromarray(picture).save(home / "photos" / f"{i:03}.jpg", quality=95)
    np.save(home / "others.npy", pictures[260:])
    common = [*RUN, "--cache-dir", str(home / "cache")]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert train.main([*common, *SCORED, "--run", "drawn", "--limit", "200", "--holdout", "0.3"]) == 0
        photos = [*common, "--data", "photos", "--ema-half-life", "0"]
        assert train.main([*photos, "--run", "photos", "--holdout", "0.3"]) == 0
    unheld = shutil.copytree(home / "output" / "photos", home / "output" / "unheld") / "config.json"
    unheld.write_text(json.dumps(json.loads(unheld.read_text()) | {"holdout": 0.0}))
    return home


@pytest.fixture
def there(home, monkeypatch):
    """The current folder is `home`, whose runs have no scores."""
    monkeypatch.chdir(home)
    for path in home.glob("output/*/scores.json"):
        path.unlink()
    return home


def run(*arguments):
    """The exit code of the command with the small network, few samples and the tests' own cache."""
    return evaluate.main([*map(str, arguments), "--network", "onet", "--samples", "64"])


def kept(name):
    return json.loads(Path("output", name, "scores.json").read_text())


@pytest.fixture
def copied(there):
    """A copy of a run under another name, gone afterwards: copied("photos", "twin", epochs=9) changes its config."""
    made = []

    def copy(name, new, **changes):
        made.append(there / "output" / new)
        shutil.copytree(there / "output" / name, made[-1])
        path = made[-1] / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return f"output/{new}"

    yield copy
    for folder in made:
        shutil.rmtree(folder)


def test_scores_and_their_protocol(there, capsys):
    """scores.json says what was scored, with what, against what, and how; drawn faces have modes, and no detector."""
    assert run("output/drawn") == 0
    [result] = kept("drawn")
    protocol, scores = result["protocol"], result["scores"]
    config = json.loads(Path("output/drawn/config.json").read_text())
    report = json.loads(Path("output/drawn/data.json").read_text())
    assert config["limit"] == report["used"] == 200
    assert (protocol["samples"], protocol["seed"], protocol["size"]) == (64, 0, 16)
    assert protocol["weights"] == "averaged" and protocol["crop"] == report["crop"]
    assert protocol["reference"]["faces"] + protocol["training faces"]["faces"] == 200
    assert protocol["reference"]["data"] == "held out" and protocol["unseen"] == protocol["reference"]
    assert protocol["training faces"]["in the floor"] == 64
    assert protocol["kid"] == {"subsets": 100, "of at most": 1000, "times": 1000}
    assert protocol["neighbours"] == {"precision, recall": 3, "density, coverage": 5}
    assert all(re.fullmatch("[0-9a-f]{16}", protocol[of]["digest"]) for of in ("reference", "training faces"))
    assert protocol["networks"] == {"onet": feature_extractors.load_extractor("onet").protocol}
    assert protocol["memorisation"]["mirrored too"] is True
    assert list(protocol["face rate"]) == ["classifier"]
    numbers = ["fd", "kid", "kid_spread", "precision", "recall", "density", "coverage", "diversity", "floor_fd"]
    assert {f"{name}-onet" for name in numbers} <= set(scores)
    assert all(np.isfinite(scores[f"{name}-onet"]) for name in numbers)
    assert 0 <= scores["mode_coverage"] <= 1 and set(scores["attribute_distances"]) == set(avatars.ATTRIBUTES)
    shares = scores["attribute_shares"]
    assert (
        avatar_classifier.compare_histograms(shares["samples"], shares["data"]).distances
        == scores["attribute_distances"]
    )
    assert sum(shares["data"]["hair"].values()) == pytest.approx(1)
    assert 0 <= scores["face_rate"] <= 1 and scores["face_rate_real"] > 0.8
    printed = capsys.readouterr().out
    assert scores["memorisation"]["in_words"] in printed and "mode coverage" in printed
    assert re.search(r"nearest training face / nearest unseen face \d\.\d\d \[", printed)


def test_the_floor_may_be_of_fewer(there):
    """Where there are fewer training faces than samples, the floor is of all of them, and the protocol says so."""
    assert evaluate.main(["output/photos", "--network", "onet", "--samples", "200"]) == 0
    protocol = kept("photos")[0]["protocol"]
    assert protocol["training faces"]["in the floor"] == protocol["training faces"]["faces"] < 200


def test_what_takes_long_is_announced(there, capsys):
    """Before each part that is silent for long, in their order: what is done."""
    assert run("output/photos", "output/photos") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.endswith("...")]
    trained = kept("photos")[0]["protocol"]["training faces"]["faces"]
    assert [line.removeprefix("output/photos: ") for line in lines] == [
        "generator.keras draws 64 samples ...",
        "onet looks at 64 samples ...",
        f"samples are held against {trained} training faces ...",
        "a detector looks for faces ...",
    ]
    assert run("output/drawn") == 0
    assert "output/drawn: a classifier tells what the faces are made of ..." in capsys.readouterr().out


def test_photographs_are_looked_at_by_a_detector(there):
    """Faces without attributes: how many a detector finds, and no modes; a run without an average says raw."""
    assert run("output/photos") == 0
    [result] = kept("photos")
    assert result["protocol"]["face rate"] == {"detector": "mtcnn 1.0.0", "size": 64, "surer than": 0.9, "samples": 64}
    assert result["protocol"]["weights"] == "raw"
    assert "face_rate" in result["scores"] and "mode_coverage" not in result["scores"]


def test_nearest_faces_are_drawn(there):
    """nearest.png: ten samples, the closest first, each beside the training and the unseen face nearest to it."""
    assert run("output/photos") == 0
    picture = images.read_png(Path("output/photos/nearest.png"))
    tiles = images.split_grid(picture, 16, 30, columns=3, scale=6).reshape(10, 3, 16, 16, 3)
    case = evaluate.opened_run(Run("output/photos"), evaluate.parse(["output/photos"]))
    sample, *nearest = (memorization.thumbnails(tiles[:, column]) for column in range(3))
    for column, real in enumerate([case.training.load(), case.unseen.load()]):
        assert all((real == face).all(axis=(1, 2, 3)).any() for face in tiles[:, column + 1])
        found, _ = memorization.nearest_thumbnails(sample, memorization.thumbnails(real), flip=case.config.flip)
        shown = [
            memorization.nearest_thumbnails(sample[i : i + 1], nearest[column][i : i + 1], flip=case.config.flip)[0][0]
            for i in range(10)
        ]
        np.testing.assert_allclose(shown, found, rtol=1e-5)
        assert column or shown == sorted(shown)


def test_alike_replaces_otherwise_adds(there):
    """The same measurement again is kept once, and to the bit; another seed, or other weights, are kept beside it."""
    assert run("output/drawn") == 0
    first = kept("drawn")
    assert run("output/drawn") == 0
    assert kept("drawn") == first
    assert run("output/drawn", "--seed", "1") == 0
    assert run("output/drawn", "--weights", "last") == 0
    assert run("output/drawn", "--seed", "1") == 0
    assert [(r["protocol"]["seed"], r["generator"]["file"]) for r in kept("drawn")] == [
        (0, "best.keras"), (0, "generator.keras"), (1, "best.keras"),
    ]  # fmt: skip
    assert kept("drawn")[0] == first[0]


def test_the_best_is_scored_unless_told_otherwise(there, capsys):
    """Which generator it was, and of which iteration, is said and kept; without scores there is only the last."""
    best = json.loads(Path("output/drawn/best.json").read_text())["iteration"]
    assert run("output/drawn") == 0
    assert f"best.keras of iteration {best}, 64 samples (averaged weights) against" in capsys.readouterr().out
    assert run("output/drawn", "--weights", "last") == 0
    assert "generator.keras of iteration 4" in capsys.readouterr().out
    assert kept("drawn")[1]["generator"] == {"file": "generator.keras", "iteration": 4}
    assert run("output/photos") == 0
    assert "generator.keras of iteration 4, 64 samples (raw weights)" in capsys.readouterr().out


def test_side_by_side(copied, capsys):
    """Two runs measured alike: a row a score, a column a run, equal numbers for equal runs."""
    assert run("output/photos", copied("photos", "twin")) == 0
    lines = capsys.readouterr().out.splitlines()
    [head] = [line for line in lines if line.split() == ["output/photos", "output/twin"]]
    rows = {line.split()[0]: line.split()[1:] for line in lines[lines.index(head) + 1 :]}
    assert len(rows["fd-onet"]) == 2 and rows["fd-onet"][0] == rows["fd-onet"][1]
    assert {"kid-onet", "recall-onet", "face_rate"} <= set(rows)


def test_measured_differently(copied, capsys):
    """Exit 2, every difference named, scores kept, and shown alone; --anyway shows them in one table all the same."""
    line = ["output/photos", "output/drawn"]
    assert run(*line, copied("photos", "averaged", ema_half_life=7)) == 2
    captured = capsys.readouterr()
    assert "output/photos and output/drawn were measured differently:" in captured.err
    assert re.search("reference digest: [0-9a-f]{16} and [0-9a-f]{16}", captured.err)
    assert "output/photos and output/averaged were measured differently:\n  weights: raw and averaged" in captured.err
    rows = [text.split() for text in captured.out.splitlines() if text.startswith("fd-onet")]
    assert "--anyway" in captured.err and len(rows) == 3 and all(len(row) == 2 for row in rows)
    assert len(kept("photos")) == len(kept("drawn")) == 1
    assert run(*line, "--anyway") == 0
    printed = capsys.readouterr().out
    assert "  weights: raw and averaged\n" in printed and "fd-onet" in printed
    [modes] = [line for line in printed.splitlines() if line.startswith("mode_coverage")]
    assert modes.split()[1] == "-" and 0 <= float(modes.split()[2]) <= 1


def test_another_reference(there, capsys):
    """Other faces to score against have another digest; those that the run trained on are not among them."""
    assert run("output/unheld", "--reference", "others.npy") == 0
    assert "against 100 faces" in capsys.readouterr().out
    shutil.copytree("photos", "more")
    for i, picture in enumerate(avatars.draw(30, 16, seed=6)[0]):
        Image.fromarray(picture).save(f"more/new {i:02}.png")
    assert run("output/unheld", "--reference", "more") == 0
    assert "against 30 faces" in capsys.readouterr().out
    first, second = (result["protocol"]["reference"] for result in kept("unheld"))
    assert first["faces"] == 100 and second["faces"] == 30 and first["digest"] != second["digest"]
    assert (first["data"], second["data"]) == ("others.npy", "more")


def test_copies_are_told_beside_the_runs_own_faces(there, capsys):
    """Another reference is for networks alone; only where nothing was held out it serves for copies, with a warning."""
    assert run("output/photos") == run("output/photos", "--reference", "others.npy") == 0
    one, other = kept("photos")
    assert other["protocol"]["reference"]["data"] == "others.npy"
    assert other["protocol"]["unseen"] == one["protocol"]["unseen"] == one["protocol"]["reference"]
    for name in ("memorisation", "face_rate_real"):
        assert other["scores"][name] == one["scores"][name], name
    assert other["scores"]["fd-onet"] != one["scores"]["fd-onet"]
    assert "of the same kind" not in capsys.readouterr().out
    assert run("output/unheld", "--reference", "others.npy") == 0
    assert kept("unheld")[0]["protocol"]["unseen"]["data"] == "others.npy"
    assert "if the faces of others.npy are of the same kind as those trained on\n" in capsys.readouterr().out


def test_what_drawn_faces_are_made_of_is_told_of_the_runs_own(copied):
    """Another reference may be photographs, which no judge of drawn faces knows: then training faces stand beside."""
    folder = copied("drawn", "unheld-drawn", holdout=0.0)
    assert run(folder, "--reference", "others.npy") == 0
    [result] = kept("unheld-drawn")
    faces = experiment.reload_data(Run(Path(folder))).images
    expected = avatar_classifier.histograms(
        avatar_classifier.load_classifier(16, Path("cache")).tell(np.asarray(faces))
    )
    assert result["scores"]["attribute_shares"]["data"] == json.loads(json.dumps(expected))


def test_the_crop_is_the_references_own(there, tmp_path):
    """Photographs of another shape are cut differently."""
    for i, picture in enumerate(avatars.draw(20, 16, seed=6)[0]):
        Image.fromarray(picture).resize((178, 218)).save(tmp_path / f"{i:02}.png")
    assert run("output/photos") == run("output/photos", "--reference", tmp_path) == 0
    crops = [result["protocol"]["crop"] for result in kept("photos")]
    assert crops == ["centre square", "centre square (108x108 of 178x218)"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["output/unheld"], "output/unheld held out 0 faces.*--reference DATA"),
        (["output/unheld", "--reference", "photos"], "--reference photos has 0 faces that it never trained on"),
        (["output/photos", "--reference", "phots"], "--reference phots: there is no such file or folder"),
        (["output/nothing"], "output/nothing is not the folder of a run. There are: .*output/drawn, output/photos"),
        (["output"], "output is not the folder of a run. There are: output/drawn"),
        (["photos"], "photos is not the folder of a run. There are: output/drawn"),
        (["output/photos", "output/drwan"], "output/drwan is not the folder of a run"),
    ],
)
def test_mistakes_are_answered_in_a_line(there, capsys, arguments, said):
    """Exit 2, one message that names what there is or what to type; nothing is scored before."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert re.search(f"^evaluate: {said}", captured.err, re.MULTILINE) and captured.err.count("\n") == 1
    assert "--data" not in captured.err and "looks at" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "10"], "--samples: 10 is not at least 64"),
        (["--seed", "-1"], "--seed: -1 is not from 0 to 4294967295"),
        (["--seed", "4294967296"], "--seed: 4294967296 is not from 0 to 4294967295"),
        (["--inception", "graph.pb"], "--inception: .* --network inception"),
        (["--network", "resnet"], "choose from"),
    ],
)
def test_mistyped_flags(capsys, arguments, said):
    """Values that make no sense end with 2 before anything is opened."""
    with pytest.raises(SystemExit) as end:
        evaluate.main(["output/drawn", *arguments])
    assert end.value.code == 2
    assert re.search(said, capsys.readouterr().err)


def test_changed_data_are_refused(copied, there, capsys):
    """Faces that were added since the training, or are gone: exit 2, what the run was trained on is said."""
    shutil.copytree("photos", "album", copy_function=shutil.copy2)
    line = copied("photos", "album", data="album")
    assert run(line) == 0
    shutil.copy("album/000.jpg", "album/new.jpg")
    assert run(line) == 2
    assert "output/album was trained on 220 of photos (" in capsys.readouterr().err
    shutil.rmtree("album")
    assert run(line) == 2
    told = capsys.readouterr().err
    assert "output/album was trained on album, which is not there. Put it back, or tell the run where" in told
    assert "train.py --data WHERE " in told and told.endswith(" --run album\n") and told.count("\n") == 1
    shutil.copytree("photos", "moved", copy_function=shutil.copy2)
    assert train.main(shlex.split(told.partition("python train.py ")[2].replace("WHERE", "moved"))) == 0
    assert run(line) == 0  # what was to be typed is all that it takes


def test_damaged_scores_are_not_thrown_away(there, capsys):
    """A scores.json that cannot be read is named at once and left as it is."""
    path = Path("output/photos/scores.json")
    for text in ("[{", "[1]"):
        path.write_text(text)
        assert run("output/photos") == 2
        captured = capsys.readouterr()
        assert "output/photos/scores.json is damaged" in captured.err and "looks at" not in captured.out
        assert path.read_text() == text


def test_no_foreign_code(copied, capsys):
    """A generator with a Python function inside, one that is cut short, none: exit 2, in a line."""
    folder = Path(copied("photos", "foreign"))
    layers = [
        keras.Input((8,)),
        keras.layers.Lambda(lambda x: x),
        keras.layers.Dense(768),
        keras.layers.Reshape((16, 16, 3)),
    ]
    keras.Sequential(layers).save(folder / "generator.keras")
    assert run(folder) == 2
    error = capsys.readouterr().err
    assert "generator.keras is not a generator that can be opened" in error and "Lambda" in error
    assert error.count("\n") == 1 and not (folder / "scores.json").exists()
    (folder / "generator.keras").write_bytes((folder / "generator.keras").read_bytes()[:500])
    assert run(folder) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (folder / "generator.keras").unlink()
    assert run(folder) == 0  # out of its checkpoint
    [found] = json.loads((folder / "scores.json").read_text())
    assert found["generator"]["file"].endswith(".npz")
    shutil.rmtree(folder / "checkpoints")
    assert run(folder) == 2
    assert "has no generator yet. Its training goes on with: python train.py" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_a_damaged_generator_is_named(copied, capsys, part):
    """One byte of what the zip holds is another one: exit 2, in a line, whatever it is that finds out."""
    path = Path(copied("photos", "damaged")) / "generator.keras"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        info = file.getinfo(part)
    start = info.header_offset + 30 + len(part)
    content[start + info.compress_size // 2] ^= 1
    path.write_bytes(content)
    assert run(path.parent) == 2
    error = capsys.readouterr().err
    assert "generator.keras is not a generator that can be opened" in error and error.count("\n") == 1


def test_without_mtcnn(there, capsys, monkeypatch):
    """What is to be installed is told before any work."""
    monkeypatch.setattr(feature_extractors, "is_installed", lambda name: False)
    assert run("output/photos") == 2
    captured = capsys.readouterr()
    assert captured.err == "evaluate: The network onet is not installed, or not whole: pip install mtcnn==1.0.0\n"
    assert captured.out == ""


def test_a_full_disk_is_no_traceback(there, capsys, monkeypatch):
    """What the system refuses to write is said in a line: exit 1."""

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(evaluate, "write_json", full)
    assert run("output/photos") == 1
    assert "evaluate: [Errno 28] No space left on device" in capsys.readouterr().err


def test_fid_from_a_download(there, capsys, monkeypatch):
    """--network inception downloads the graph once, shows how far it is, and its scores are called fid and kid."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(
        distances, "frechet_distance", lambda real, fake: float(real.shape[1])
    )  # minutes, and tested elsewhere
    arguments = ["output/photos", "--network", "inception", "--samples", "64", "--cache-dir", str(there / "cache")]
    with serving(packed()) as (url, asked):
        monkeypatch.setattr(inception, "URL", url)
        assert [evaluate.main(arguments) for _ in range(2)] == [0, 0]
    assert len(asked) == 1 and "Downloading Inception: 100%" in capsys.readouterr().out
    [result] = kept("photos")
    assert result["scores"]["fid"] == 2048 and np.isfinite(result["scores"]["kid"])
    assert list(result["protocol"]["networks"]) == ["inception"]


def test_networks_are_there_before_any_work(there, capsys, monkeypatch):
    """A download that fails ends it before the first sample, not after the first network's minutes."""

    def failing(*given):
        raise RunError("no such host")

    monkeypatch.setattr(inception, "fetch", failing)
    assert evaluate.main(["output/photos", "--network", "onet", "inception", "--samples", "64"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "evaluate: no such host\n" and captured.out == ""
    assert not Path("output/photos/scores.json").exists()


def test_ctrl_c_is_no_traceback(there, capsys, monkeypatch):
    """Whoever loses patience reads a line, and the exit code is that of an interrupt."""

    def interrupted(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "made", interrupted)
    assert run("output/photos") == 130
    assert capsys.readouterr().err == "evaluate: stopped. Runs that were done have their scores.json.\n"


def test_as_a_command(there):
    """python -m tools.evaluate, typed where output/ is: exit code 0 and the table, and 2 for a folder that is none."""
    line = [sys.executable, "-m", "tools.evaluate", "--network", "onet", "--samples", "64"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)  # set by this process, it would stop the command from being quiet
    results = [
        subprocess.run([*line, folder], env=environment, capture_output=True, text=True, timeout=120)
        for folder in ("output/photos", "output/none")
    ]
    assert [done.returncode for done in results] == [0, 2], results
    assert "fd-onet" in results[0].stdout and results[0].stderr == ""
    assert "Traceback" not in results[1].stderr
