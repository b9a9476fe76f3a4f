"""Fixtures that several tests share: small datasets, a finished run, fast replacements of slow functions."""

import functools
import gc
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from helpers import THREADS, eager, save_faster
from PIL import Image

os.environ.update(THREADS)
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as of a command in the background: tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)

DEFAULT_CELEBA = Path(__file__).parents[2] / "shared" / "data" / "processed-celeba-small.zip"
CELEBA = Path(os.environ.get("CELEBA_ZIP") or DEFAULT_CELEBA)


# The files whose tests take longest, which begin first.
LONGEST = (
    "test_launch.py", "test_distribution.py", "test_train.py", "test_sizes.py", "test_dcgan.py", "test_web_demo.py",
    "test_models.py", "test_trainer.py", "test_evaluate.py", "test_browser.py", "test_blocks.py", "test_project.py",
    "test_audit.py", "test_legacy.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Moves the longest tests and files to the front, so that at the end no worker waits for another's."""

    def rank(item):
        minutes = max((mark.kwargs.get("minutes", 0) for mark in item.iter_markers("slow")), default=0)
        return -minutes, LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST)

    items.sort(key=rank)


def pytest_collection_finish(session):
    """Keras collects garbage whenever it forgets networks: modules and tests need not be looked at each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def eagerly():
    """Runs the test with `eager`."""
    with eager():
        yield


@pytest.fixture
def eight():
    """Eight images of noise, uint8 (8, 32, 32, 3)."""
    return np.random.default_rng(8).integers(0, 256, (8, 32, 32, 3), np.uint8)


@pytest.fixture
def load(tmp_path):
    """`data.load` with its cache in tmp_path / "cache"."""
    import data

    return functools.partial(data.load, cache_dir=tmp_path / "cache")


@pytest.fixture
def float32_afterwards():
    """Resets the global precision policy to float32 after the test."""
    import keras

    yield
    keras.mixed_precision.set_global_policy("float32")


def train_tiny(home, name, *more):
    """Trains 4 steps on 60 avatars of 16 x 16, into output/<name> of a folder, which is returned.

    The discriminator is the one that is built and traced soonest, and there is no chart.
    """
    import train

    with pytest.MonkeyPatch.context() as patch, eager():
        patch.chdir(home)
        save_faster(patch)
        tiny = [
            *("--image-size", "16", "--width", "4", "--noise-size", "8", "--batch-size", "8", "--precision", "float32"),
            *("--depth", "0", "--palette", "8"),  # with which exports, the web page and all tools are tested, too
            *("--epochs", "4", "--sample-every", "2", "--limit", "60", "--cache-dir", str(home / "cache")),
            *("--generator-learning-rate", "0.05"),  # so that samples differ
            *("--discriminator", "dense", "--penalty", "none"),
        ]
        assert train.main([*tiny, "--run", name, *more]) == 0
    return home


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A folder with output/tiny, a finished run of `train_tiny`; tests must not change it."""
    return train_tiny(tmp_path_factory.mktemp("finished"), "tiny")


@pytest.fixture(scope="session")
def finished_with_labels(tmp_path_factory):
    """A folder with output/labelled, a run like that of `finished` whose avatars are labelled by skin and glasses."""
    labels = ("--labels", "auto", "--attributes", "skin,glasses")
    return train_tiny(tmp_path_factory.mktemp("labelled"), "labelled", *labels)


@pytest.fixture
def labelled(finished_with_labels, tmp_path, monkeypatch):
    """A copy of the finished run with labels, output/labelled in the current folder."""
    shutil.copytree(finished_with_labels / "output", tmp_path / "output")
    monkeypatch.chdir(tmp_path)
    return Path("output/labelled")


@pytest.fixture
def tiny(finished, tmp_path, monkeypatch):
    """A copy of the finished run, output/tiny in the current folder."""
    shutil.copytree(finished / "output", tmp_path / "output")
    monkeypatch.chdir(tmp_path)
    return Path("output/tiny")


@pytest.fixture
def quick_extractors(monkeypatch):
    """Replaces extractors and face detector by simple functions; returns the list of the loaded extractors' names.

    Features are the 4 x 4 x 3 thumbnails minus 110; a face is detected in any image that is not black.
    """
    from gan.metrics.feature_extractors import FeatureExtractor
    from gan.training import validation  # imports TensorFlow, which some tests do not need

    calls = []
    network = FeatureExtractor("means", "abc", 4, True, lambda images: images.reshape(len(images), -1) - 110)
    monkeypatch.setattr(validation, "installed_extractors", lambda: ["quick", "fine"])
    monkeypatch.setattr(validation, "load_extractor", lambda name: calls.append(name) or network)
    monkeypatch.setattr(validation, "load_face_detector", lambda: lambda images: images.max(axis=(1, 2, 3)) > 0)
    return calls


@pytest.fixture
def short_search(monkeypatch):
    """Makes projection fast: few candidates, and two optimization steps."""
    from gan.generation import projection

    for name, value in {"CANDIDATES": 100, "STARTS": 2, "STEPS": (0, 2)}.items():
        monkeypatch.setattr(projection, name, value)


@pytest.fixture
def fast_saves(monkeypatch):
    """Saves without charts and garbage collection, and with short calibrations."""
    save_faster(monkeypatch)


@pytest.fixture(scope="session")
def celeba():
    """The path of a zip of 30,021 CelebA faces."""
    if not CELEBA.exists():
        pytest.skip("needs a zip of CelebA, with its path in CELEBA_ZIP; the images may not be redistributed")
    return CELEBA


@pytest.fixture(scope="session")
def folder_of_everything(tmp_path_factory):
    """A folder of 100 good images and 13 odd files, and a dict of the 6 unusable files and the reasons."""
    folder = tmp_path_factory.mktemp("everything")
    for i in range(100):
        Image.new("RGB", (16, 16), (i, i, i)).save(folder / f"good {i:03}.png")
    save_odd_files(folder)
    return folder, {
        "truncated.jpg": "truncated",
        "empty.png": "empty file",
        "text.jpg": "not an image",
        "one.png": "1x1 is too small; 8 pixels is the minimum",
        "broken.png": "no such file, or a broken link",
        "x.png": "a folder",
    }


def save_odd_files(folder):
    """Adds unusable files, and usable images of 16 x 16 in unusual formats."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    noise.save(folder / "truncated.jpg")
    os.truncate(folder / "truncated.jpg", 2000)
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("not a picture")
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    (folder / "x.png").mkdir()
    (folder / "broken.png").symlink_to("nothing")
    Image.fromarray(np.full((16, 16), 100 * 257, np.uint16)).save(folder / "odd 1 deep.png")
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(folder / "odd 2 cmyk.jpg", quality=100)
    Image.new("RGBA", (16, 16), (255, 0, 0, 51)).save(folder / "odd 3 rgba.png")
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([0, 0, 0, 40, 50, 60])
    palette.save(folder / "odd 4 palette.gif")
    Image.new("RGB", (16, 16), (1, 2, 3)).save(folder / "odd 5.webp", lossless=True)
    sideways = Image.new("RGB", (16, 16))
    sideways.paste((255, 255, 255), (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways.save(folder / "odd 6 exif.jpg", exif=exif, quality=100)
    Image.new("RGB", (16, 16), (7, 8, 9)).save(folder / "odd 7 grand-mère 顔.png")
