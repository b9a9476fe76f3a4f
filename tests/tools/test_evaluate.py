"""tools.evaluate as a person runs it, on tiny runs: what it measures, prints, writes and refuses."""

import functools
import json
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import eager, save_faster, serving
from inception_graphs import pack
from PIL import Image

import train
from gan import experiment, images
from gan.config import Config
from gan.datasets import avatars
from gan.errors import RunError
from gan.labels import Attribute, Labels
from gan.metrics import avatar_classifier, distances, feature_extractors, inception, memorization, run_evaluation
from gan.runs.run_directory import Run
from gan.thumbnails import make_thumbnails
from tools import evaluate

ROOT = Path(__file__).parents[2]
RUN = [
    *("--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--precision", "float32"),
    *("--depth", "0"),
    *("--epochs", "4", "--sample-every", "2", "--generator", "dense", "--discriminator", "dense", "--penalty", "none"),
]
SCORED = ["--score-every", "2", "--score-samples", "64"]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Loads networks once for all tests, and trains the avatar classifier on few images; no charts.

    A face is detected in any image that is not black.
    """
    with pytest.MonkeyPatch.context() as patch:
        save_faster(patch)
        for name, value in {"TRAINING": 400, "HELD_OUT": 200, "NEGATIVES": 100, "BATCH": 32, "EPOCHS": 1}.items():
            patch.setattr(avatar_classifier, name, value)
        for module, name in [(feature_extractors, "load_extractor"), (avatar_classifier, "load_classifier")]:
            patch.setattr(module, name, functools.cache(getattr(module, name)))
        patch.setattr(feature_extractors, "load_face_detector", lambda: lambda pixels: pixels.max(axis=(1, 2, 3)) > 0)
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a cache, photos/, others.npy, and three runs in output/: avatars, photos and unheld.

    The photos are avatars as JPEG files, which the program takes for photographs. The run unheld holds out no image.
    """
    home = tmp_path_factory.mktemp("home")
    pictures, _ = avatars.draw(360, 16, seed=5)
    (home / "photos").mkdir()
    for i, picture in enumerate(pictures[:220]):
        Image.fromarray(picture).save(home / "photos" / f"{i:03}.jpg", quality=95)
    np.save(home / "others.npy", pictures[260:])
    common = [*RUN, "--cache-dir", str(home / "cache")]
    with pytest.MonkeyPatch.context() as patch, eager():
        patch.chdir(home)
        assert train.main([*common, *SCORED, "--run", "avatars", "--limit", "200", "--holdout", "0.3"]) == 0
        photos = [*common, "--data", "photos", "--ema-half-life", "0"]
        assert train.main([*photos, "--run", "photos", "--holdout", "0.3"]) == 0
    unheld = shutil.copytree(home / "output" / "photos", home / "output" / "unheld") / "config.json"
    unheld.write_text(json.dumps(json.loads(unheld.read_text()) | {"holdout": 0.0}))
    return home


@pytest.fixture
def home(trained, monkeypatch):
    """That folder as the current one; its runs have no scores."""
    monkeypatch.chdir(trained)
    for path in trained.glob("output/*/scores.json"):
        path.unlink()
    return trained


def run(*arguments):
    """Runs the command with ONet and few samples, and returns its exit code."""
    return evaluate.main([*map(str, arguments), "--network", "onet", "--samples", "64"])


def results(name):
    """The results in scores.json of a run."""
    return json.loads(Path("output", name, "scores.json").read_text())


@pytest.fixture
def copy_run(home):
    """copy_run("photos", "twin", epochs=9) copies a run for one test, under another name and with another config."""
    copies = []

    def copy(name, new, **changes):
        copies.append(home / "output" / new)
        shutil.copytree(home / "output" / name, copies[-1])
        path = copies[-1] / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return f"output/{new}"

    yield copy
    for folder in copies:
        shutil.rmtree(folder)


def test_scores_and_protocol(home, capsys):
    """scores.json has the scores, and all that they depend on; avatars have modes, and no detector."""
    assert run("output/avatars") == 0
    [result] = results("avatars")
    protocol, scores = result["protocol"], result["scores"]
    report = json.loads(Path("output/avatars/data.json").read_text())
    assert (protocol["samples"], protocol["seed"], protocol["size"]) == (64, 0, 16)
    assert protocol["weights"] == "averaged" and protocol["crop"] == report["crop"]
    assert protocol["reference"]["faces"] + protocol["training faces"]["faces"] == report["used"] == 200
    assert protocol["reference"]["data"] == "held out" and protocol["unseen"] == protocol["reference"]
    assert protocol["training faces"]["in the floor"] == 64
    assert protocol["kid"] == {"subsets": 100, "of at most": 1000, "times": 1000}
    assert protocol["neighbours"] == {"precision, recall": 3, "density, coverage": 5}
    assert all(re.fullmatch("[0-9a-f]{16}", protocol[name]["digest"]) for name in ("reference", "training faces"))
    assert protocol["networks"] == {"onet": feature_extractors.load_extractor("onet").protocol}
    assert protocol["memorization"]["mirrored too"] is False  # as avatars are not trained on mirrored
    assert list(protocol["face rate"]) == ["classifier"]
    names = ["fd", "kid", "kid_spread", "precision", "recall", "density", "coverage", "diversity", "floor_fd"]
    assert all(np.isfinite(scores[f"{name}-onet"]) for name in names)
    assert 0 <= scores["mode_coverage"] <= 1 and set(scores["attribute_distances"]) == set(avatars.ATTRIBUTES)
    shares = scores["attribute_shares"]
    comparison = avatar_classifier.compare_histograms(shares["samples"], shares["data"])
    assert comparison.distances == scores["attribute_distances"]
    assert sum(shares["data"]["hair"].values()) == pytest.approx(1)
    assert 0 <= scores["face_rate"] <= 1 and scores["face_rate_real"] > 0.8
    printed = capsys.readouterr().out
    assert scores["memorization"]["summary"] in printed and "mode coverage" in printed
    assert "output/avatars: computing onet features of 64 samples ..." in printed


def test_photographs(home):
    """Photographs are scored by the face detector, without modes; a run without EMA has raw weights."""
    assert run("output/photos") == 0
    [result] = results("photos")
    assert result["protocol"]["face rate"] == {"detector": "mtcnn 1.0.0", "size": 64, "surer than": 0.9, "samples": 64}
    assert result["protocol"]["weights"] == "raw"
    assert "face_rate" in result["scores"] and "mode_coverage" not in result["scores"]


def test_nearest_images(home):
    """nearest.png: ten samples, the nearest first, each beside the nearest training image and held-out image."""
    assert run("output/photos") == 0
    picture = images.read_png(Path("output/photos/nearest.png"))
    tiles = images.split_grid(picture, 16, 30, columns=3, scale=6).reshape(10, 3, 16, 16, 3)
    case = evaluate.load_case(Run("output/photos"), evaluate.parse_arguments(["output/photos"]))
    sample, *neighbors = (make_thumbnails(tiles[:, column]) for column in range(3))
    for column, real in enumerate([case.training.load(), case.held_out.load()]):
        assert all((real == image).all(axis=(1, 2, 3)).any() for image in tiles[:, column + 1])
        expected, _ = memorization.nearest_thumbnails(sample, make_thumbnails(real), flip=case.mirrors)
        distances = [
            memorization.nearest_thumbnails(sample[i : i + 1], neighbors[column][i : i + 1], flip=case.mirrors)[0][0]
            for i in range(10)
        ]
        np.testing.assert_allclose(distances, expected, rtol=1e-5)
        assert column or distances == sorted(distances)


def test_results_are_replaced_or_added(home):
    """The same measurement again replaces its result, with equal numbers; another seed or other weights are added."""
    assert run("output/avatars") == 0
    first = results("avatars")
    assert run("output/avatars") == 0
    assert results("avatars") == first
    assert run("output/avatars", "--seed", "1") == 0
    assert run("output/avatars", "--weights", "last") == 0
    assert run("output/avatars", "--seed", "1") == 0
    assert [(r["protocol"]["seed"], r["generator"]["file"]) for r in results("avatars")] == [
        (0, "best.keras"), (0, "generator.keras"), (1, "best.keras"),
    ]  # fmt: skip
    assert results("avatars")[1]["generator"]["iteration"] == 4
    assert results("avatars")[0] == first[0]


def test_one_table(copy_run, capsys):
    """Two runs measured in the same way: a row a score, a column a run, equal numbers for equal runs."""
    assert run("output/photos", copy_run("photos", "twin")) == 0
    lines = capsys.readouterr().out.splitlines()
    [head] = [line for line in lines if line.split() == ["output/photos", "output/twin"]]
    rows = {line.split()[0]: line.split()[1:] for line in lines[lines.index(head) + 1 :]}
    assert len(rows["fd-onet"]) == 2 and rows["fd-onet"][0] == rows["fd-onet"][1]
    assert {"kid-onet", "recall-onet", "face_rate"} <= set(rows)


def test_an_augmentation_of_another_version(copy_run, capsys):
    """Exit code 2; the message names it."""
    assert run(copy_run("photos", "rotated", augmentation="rotation")) == 2
    assert "augmentation rotation" in capsys.readouterr().err


def test_different_protocols(copy_run, capsys):
    """Exit code 2, all differences, a table for each run, and results are stored; --anyway prints one table."""
    runs = ["output/photos", "output/avatars"]
    assert run(*runs, copy_run("photos", "averaged", ema_half_life=7)) == 2
    captured = capsys.readouterr()
    assert "output/photos and output/avatars were measured differently:" in captured.err
    assert re.search("reference digest: [0-9a-f]{16} and [0-9a-f]{16}", captured.err)
    assert "output/photos and output/averaged were measured differently:\n  weights: raw and averaged" in captured.err
    rows = [line.split() for line in captured.out.splitlines() if line.startswith("fd-onet")]
    assert "--anyway" in captured.err and len(rows) == 3 and all(len(row) == 2 for row in rows)
    assert len(results("photos")) == len(results("avatars")) == 1
    assert run(*runs, "--anyway") == 0
    printed = capsys.readouterr().out
    assert "  weights: raw and averaged\n" in printed and "fd-onet" in printed
    [modes] = [line for line in printed.splitlines() if line.startswith("mode_coverage")]
    assert modes.split()[1] == "-" and 0 <= float(modes.split()[2]) <= 1


def test_reference(home, capsys, tmp_path):
    """Images of --reference that trained are left out; a run without held-out images uses the others for copies."""
    assert run("output/unheld", "--reference", "others.npy") == 0
    printed = capsys.readouterr().out
    assert "against 100 faces" in printed and "others.npy are of the same kind" in printed
    more = shutil.copytree("photos", tmp_path / "more")
    for i, picture in enumerate(avatars.draw(30, 16, seed=6)[0]):
        Image.fromarray(picture).save(more / f"new {i:02}.png")
    assert run("output/unheld", "--reference", more) == 0
    assert "against 30 faces" in capsys.readouterr().out
    first, second = (result["protocol"]["reference"] for result in results("unheld"))
    assert first["faces"] == 100 and second["faces"] == 30 and first["digest"] != second["digest"]
    assert (first["data"], second["data"]) == ("others.npy", str(more))
    assert results("unheld")[0]["protocol"]["unseen"]["data"] == "others.npy"
    assert run("output/unheld", "--reference", "others.npy", "--reference", more) == 0
    joined = results("unheld")[2]["protocol"]["reference"]
    assert joined["faces"] == 130 and joined["data"] == f"others.npy + {more}"


def test_reference_of_a_run_with_labels(copy_run):
    """The reference needs no labels, which the run's own images have."""
    folder = copy_run("avatars", "labelled", labels="auto", attributes="hair")
    case = evaluate.load_case(Run(folder), evaluate.parse_arguments([folder, "--reference", "others.npy"]))
    assert len(case.reference) == 100 and case.labelled is None


@pytest.mark.parametrize("balanced", [False, True])
def test_labels_of_samples(balanced):
    """They are drawn as in training, and after --balance as real images have them."""
    drawn, shares = [], Labels((Attribute("Happy"),), np.zeros((3, 1), np.int32))

    class Generator:
        config, noise_shape, noise_distribution = Config(balance=balanced), (4,), "normal"

        def draw_codes(self, seeds, labels):
            drawn.append(labels)
            return np.zeros((len(seeds), 1), np.int32)

        def __call__(self, noise, codes):
            return np.zeros((len(noise), 16, 16, 3), np.uint8)

    samples, codes = evaluate.generate_samples(Generator(), 5, 0, shares)
    assert drawn == [shares if balanced else None] and len(samples) == len(codes) == 5


def test_halves(home, capsys):
    """--half compares with every second held-out image, and searches for copies with all of them."""
    assert run("output/photos") == run("output/photos", "--half", "choose") == 0
    assert run("output/photos", "--half", "report") == 0
    assert "held-out faces, half to report" in capsys.readouterr().out
    every, choose, report = (result["protocol"] for result in results("photos"))
    counts = [each["reference"]["faces"] for each in (every, choose, report)]
    assert counts[0] == counts[1] + counts[2] and 0 <= counts[1] - counts[2] <= 1
    assert len({each["reference"]["digest"] for each in (every, choose, report)}) == 3
    assert every["unseen"] == choose["unseen"] == report["unseen"]


def test_reference_does_not_change_the_search_for_copies(home, capsys):
    """With --reference, copies and faces are still compared with the run's own held-out images."""
    assert run("output/photos") == run("output/photos", "--reference", "others.npy") == 0
    one, other = results("photos")
    assert other["protocol"]["reference"]["data"] == "others.npy"
    assert other["protocol"]["unseen"] == one["protocol"]["unseen"] == one["protocol"]["reference"]
    for name in ("memorization", "face_rate_real"):
        assert other["scores"][name] == one["scores"][name], name
    assert other["scores"]["fd-onet"] != one["scores"]["fd-onet"]
    assert "of the same kind" not in capsys.readouterr().out


def test_attributes_are_compared_with_the_runs_own(copy_run):
    """A reference may be photographs, which the classifier does not know: attributes are those of training images."""
    folder = copy_run("avatars", "unheld-avatars", holdout=0.0)
    assert run(folder, "--reference", "others.npy") == 0
    [result] = results("unheld-avatars")
    real = np.asarray(experiment.reload_data(Run(folder)).images)
    classifier = avatar_classifier.load_classifier(16, Path("cache"))
    expected = avatar_classifier.compute_histograms(classifier.predict(real))
    assert result["scores"]["attribute_shares"]["data"] == expected


def test_crop_of_the_reference(home, tmp_path):
    """The protocol has the crop of the reference, whose images may have another shape."""
    for i, picture in enumerate(avatars.draw(20, 16, seed=6)[0]):
        Image.fromarray(picture).resize((178, 218)).save(tmp_path / f"{i:02}.png")
    assert run("output/photos") == run("output/photos", "--reference", tmp_path) == 0
    own, other = (result["protocol"]["crop"] for result in results("photos"))
    assert "108x108" in other and "108x108" not in own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["output/unheld"], "output/unheld held out 0 images.*--reference DATA"),
        (["output/unheld", "--reference", "photos"], "--reference photos has 0 images"),
        (["output/photos", "--reference", "phots"], "--reference phots: "),
        (["output/nothing"], "output/nothing is not the folder of a run. There are: .*output/avatars, output/photos"),
        (["output"], "output is not the folder of a run. There are: output/avatars"),
        (["photos"], "photos is not the folder of a run. There are: output/avatars"),
        (["output/photos", "output/drwan"], "output/drwan is not the folder of a run"),
    ],
)
def test_mistakes(home, capsys, arguments, message):
    """Exit code 2 and one line that lists what there is or what to type, before anything is scored."""
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert re.search(f"^evaluate: {message}", captured.err, re.MULTILINE) and captured.err.count("\n") == 1
    assert "--data" not in captured.err and "features" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--samples", "10"], "--samples: 10 is not at least 64"),
        (["--seed", "-1"], "--seed: -1 is not from 0 to 4,294,967,295"),
        (["--seed", "4294967296"], "--seed: 4294967296 is not from 0 to 4,294,967,295"),
        (["--inception", "graph.pb"], "--inception: .* --network inception"),
        (["--network", "resnet"], "choose from"),
    ],
)
def test_mistyped_flags(capsys, arguments, message):
    """Invalid values end with exit code 2 before anything is opened."""
    with pytest.raises(SystemExit) as caught:
        evaluate.main(["output/avatars", *arguments])
    assert caught.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_changed_data(copy_run, capsys):
    """Images that were added since the training, or are gone: exit code 2, and the command that says where they are."""
    shutil.copytree("photos", "album", copy_function=shutil.copy2)
    folder = copy_run("photos", "album", data="album")
    assert run(folder) == 0
    shutil.copy("album/000.jpg", "album/new.jpg")
    assert run(folder) == 2
    assert "output/album was trained on 220 of photos (" in capsys.readouterr().err
    shutil.rmtree("album")
    assert run(folder) == 2
    error = capsys.readouterr().err
    assert "output/album was trained on album" in error and error.count("\n") == 1
    command = error.partition("python train.py ")[2]
    assert "--data WHERE " in command and command.endswith(" --run album\n")
    shutil.copytree("photos", "moved", copy_function=shutil.copy2)
    assert train.main(shlex.split(command.replace("WHERE", "moved"))) == 0
    assert run(folder) == 0


def test_damaged_scores_are_kept(home, capsys):
    """A damaged scores.json is reported before the work, and not overwritten."""
    path = Path("output/photos/scores.json")
    for text in ("[{", "[1]"):
        path.write_text(text)
        assert run("output/photos") == 2
        captured = capsys.readouterr()
        assert "output/photos/scores.json is damaged" in captured.err and "features" not in captured.out
        assert path.read_text() == text


def test_no_foreign_code(copy_run, capsys):
    """A generator with a Python function, or cut short: exit code 2 and one line. Without one, a checkpoint is used."""
    folder = Path(copy_run("photos", "foreign"))
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
    assert run(folder) == 0
    [found] = json.loads((folder / "scores.json").read_text())
    assert found["generator"]["file"].endswith(".npz")
    shutil.rmtree(folder / "checkpoints")
    assert run(folder) == 2
    assert "has no generator yet. Its training goes on with: python train.py" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_damaged_generator(copy_run, capsys, part):
    """One changed byte in the file: exit code 2 and one line, whichever library detects it."""
    path = Path(copy_run("photos", "damaged")) / "generator.keras"
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as file:
        info = file.getinfo(part)
    start = info.header_offset + 30 + len(part)
    content[start + info.compress_size // 2] ^= 1
    path.write_bytes(content)
    assert run(path.parent) == 2
    error = capsys.readouterr().err
    assert "generator.keras is not a generator that can be opened" in error and error.count("\n") == 1


def test_without_mtcnn(home, capsys, monkeypatch):
    """A missing package is reported before any work, with what to type."""
    monkeypatch.setattr(feature_extractors, "is_installed", lambda name: False)
    assert run("output/photos") == 2
    captured = capsys.readouterr()
    assert captured.err.endswith("pip install mtcnn==1.0.0\n") and captured.err.count("\n") == 1
    assert captured.out == ""


def test_full_disk(home, capsys, monkeypatch):
    """A file that cannot be written is reported in one line, with exit code 1."""

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(run_evaluation, "write_json", full)
    assert run("output/photos") == 1
    assert "evaluate: [Errno 28] No space left on device" in capsys.readouterr().err


def test_fid_from_a_download(home, capsys, monkeypatch):
    """--network inception downloads the graph once, with progress, and its scores are called fid and kid."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(distances, "frechet_distance", lambda real, fake: float(real.shape[1]))  # it takes minutes
    arguments = ["output/photos", "--network", "inception", "--samples", "64", "--cache-dir", str(home / "cache")]
    with serving(pack()) as (url, requests):
        monkeypatch.setattr(inception, "URL", url)
        assert [evaluate.main(arguments) for _ in range(2)] == [0, 0]
    assert len(requests) == 1 and "Downloading Inception: 100%" in capsys.readouterr().out
    [result] = results("photos")
    assert result["scores"]["fid"] == 2048 and np.isfinite(result["scores"]["kid"])
    assert list(result["protocol"]["networks"]) == ["inception"]


def test_failed_download(home, capsys, monkeypatch):
    """A download that fails ends the command before the first sample."""

    def fail(*given):
        raise RunError("no such host")

    monkeypatch.setattr(inception, "fetch", fail)
    assert evaluate.main(["output/photos", "--network", "onet", "inception", "--samples", "64"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "evaluate: no such host\n" and captured.out == ""
    assert not Path("output/photos/scores.json").exists()


def test_ctrl_c(home, capsys, monkeypatch):
    """Ctrl-C prints one line, and the exit code is that of an interrupt."""

    def interrupt(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "generate_samples", interrupt)
    assert run("output/photos") == 130
    error = capsys.readouterr().err
    assert error.startswith("evaluate: stopped") and error.count("\n") == 1
