"""Data sources: folders, zips and arrays of images, their cache, and stored features."""

import functools
import io
import json
import tempfile
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

import data
from benchmarks.fuzz_targets import containers
from benchmarks.fuzz_targets.image_files import make_image
from benchmarks.fuzz_targets.target import SIZE, read_files, write_files
from benchmarks.mutations import write_zip
from gan.datasets import cache
from gan.metrics import evaluation


def make_pictures(count: int, random: Random) -> list[tuple[str, bytes]]:
    """Names and contents of small images of several formats."""
    pictures = []
    for i in range(count):
        ((name, content),) = make_image(random).items()
        suffix = random.choice((name.rpartition(".")[2], name.rpartition(".")[2], "jpg", "dat"))
        pictures.append((f"{i % 2}/{i:03d}.{suffix}", content))
    return pictures


def make_folder(random: Random) -> dict[str, bytes]:
    """A folder of images."""
    return {f"faces/{name}": content for name, content in make_pictures(4, random)}


def make_zip(random: Random) -> dict[str, bytes]:
    """A zip of images, by any of the methods that Python's zip module has."""
    return {"faces.zip": write_zip(make_pictures(4, random), random.choice((0, 8, 12, 14)))}


def make_tar(random: Random) -> dict[str, bytes]:
    """A tar of images, compressed or not."""
    packed = random.random() < 0.5
    return {f"faces.tar{'.gz' if packed else ''}": containers.write_tar(dict(make_pictures(4, random)), packed)}


def make_table(random: Random) -> dict[str, bytes]:
    """A table of gray images."""
    pixels = np.random.default_rng(random.randrange(100)).integers(0, 256, (6, 16, 16))
    return {
        "faces.csv": containers.write_pixel_table(pixels, random.choice(("emotion,pixels,Usage", "emotion,pixels")))
    }


def make_tfrecord(random: Random) -> dict[str, bytes]:
    """A TFRecord file of images."""
    name = random.choice((b"image/encoded", b"image", b"image_raw"))
    return {"faces.tfrecord": containers.write_tfrecord([content for _, content in make_pictures(4, random)], name)}


def make_parquet(random: Random) -> dict[str, bytes]:
    """A Parquet file of images."""
    contents = [content for _, content in make_pictures(4, random)]
    return {"faces.parquet": containers.write_parquet(contents, random.choice((1, 3, 100)))}


def make_video(random: Random) -> dict[str, bytes]:
    """A video of a few seconds."""
    kind = random.choice(("mp4", "mkv", "avi"))
    frames = np.random.default_rng(random.randrange(100)).integers(0, 256, (12, 32, 32, 3), np.uint8)
    return {f"faces.{kind}": containers.write_video(frames, kind)}


def make_containers(random: Random) -> dict[str, bytes]:
    """A folder of an image, archives and tables."""
    kinds = random.sample((make_zip, make_tar, make_table, make_tfrecord), 3)
    files = {name: content for make in kinds for name, content in make(random).items()}
    return {f"faces/{name}": content for name, content in files.items()} | {"faces/plain.png": png_faces(1)[0]}


def make_npy(random: Random) -> dict[str, bytes]:
    """An array of images of a random shape, dtype and order."""
    return {"faces.npy": write_array(make_array(random), random)}


def make_npz(random: Random) -> dict[str, bytes]:
    """A .npz of images beside other arrays."""
    name = random.choice(("images", "x", "arr_0", "faces"))
    entries = [(f"{name}.npy", make_array(random)), ("labels.npy", np.arange(6))]
    entries += [("more.npy", make_array(random))] if random.random() < 0.2 else []
    entries += [("objects.npy", np.array([{}], object))] if random.random() < 0.2 else []
    return {
        "faces.npz": write_zip([(key, write_array(array, random)) for key, array in entries], random.choice((0, 8)))
    }


def make_array(random: Random) -> np.ndarray:
    """An array of six images."""
    array = np.random.default_rng(random.randrange(100)).integers(0, 256, (6, 20, 18, 3), np.uint8)
    array = random.choice((array, array[..., :1], array[..., 0]))
    kind = random.choice((np.uint8, np.uint8, np.float16, np.float32, np.float64))
    array = array if kind == np.uint8 else (array / 127.5 - random.choice((0, 1))).clip(-1, 1).astype(kind)
    return random.choice((np.ascontiguousarray, np.asfortranarray))(array)


def write_array(array: np.ndarray, random: Random) -> bytes:
    """The bytes of a .npy."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, random.choice(((1, 0), (2, 0))))
    return file.getvalue()


def load_data(folder: Path) -> None:
    """Loads a data set twice, decoded and from the cache, and splits it, as train.py does."""
    source = next(path for path in folder.glob("faces*"))
    first, again = (load_faces(source, folder / "cache") for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    assert first.title == again.title and first.skipped == again.skipped


def load_truncated(folder: Path) -> None:
    """Loads a data set with images that are cut off."""
    load_faces(folder / "faces", folder / "cache", allow_truncated=True)


def load_faces(source: Path, cache_dir: Path, **options) -> data.Faces:
    """Loads a data set, and asserts all that `data.load` and `data.Faces` promise."""
    faces = data.load(str(source), SIZE, cache_dir=cache_dir, allow_bad=True, **options)
    count, report = len(faces.images), faces.report
    assert faces.images.shape == (count, SIZE, SIZE, 3) and faces.images.dtype == np.uint8, faces.images.shape
    assert report["used"] == count > 0 and report["found"] == count + report["skipped"]["unreadable"], report
    assert len(faces.skipped) == sum(report["skipped"].values()) and len(faces.digests) == count
    assert all(isinstance(line, str) for line in faces.describe()) and len(faces.digest) == 16
    training, held_out = faces.split(0.5)
    assert sorted([*training, *held_out]) == list(range(count))
    json.dumps(report, allow_nan=False).encode()
    return faces


@functools.cache
def cached_faces() -> dict[str, bytes]:
    """A zip of images, and the files of its cache."""
    pictures = {"faces.zip": write_zip([(f"{i}.png", content) for i, content in enumerate(png_faces(40))])}
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), pictures)
        data.load(str(Path(folder, "faces.zip")), SIZE, cache_dir=Path(folder, "cache"))
        return pictures | read_files(Path(folder), "cache/*")


def png_faces(count: int) -> list[bytes]:
    """Different images as PNG files."""
    found = []
    for i in range(count):
        file = io.BytesIO()
        Image.new("RGB", (20, 20), (i, 2 * i, 3 * i)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def load_cached(folder: Path) -> None:
    """Loads a data set whose cache is damaged, which builds it again, or notices nothing wrong."""
    faces = load_faces(folder / "faces.zip", folder / "cache")
    assert len(faces.images) == 40


def read_cache(folder: Path) -> None:
    """Reads the files of the cache alone."""
    pixels, report, skipped, digests, copies = cache.read(next(folder.glob("cache/*.npy")))
    assert (copies < len(pixels)).all() and len(pixels) == len(digests) and isinstance(report, dict)
    assert all(isinstance(name, str) and isinstance(reason, str) for name, reason in skipped)


def make_labels(random: Random) -> dict[str, bytes]:
    """A folder of images, and a file of their labels: a list as CelebA's, a CSV, or StyleGAN's dataset.json."""
    rows = [(f"{i}.png", i % 2 if i < 2 else random.randrange(2), random.randrange(3)) for i in range(8)]
    text = random.choice((
        "\n".join(["8", "Smiling Male", *(f"{name} {2 * a - 1} {1 if b else -1}" for name, a, b in rows)]),
        "\n".join(["file,Smiling,hair", *(f"{name},{a},{'abc'[b]}" for name, a, b in rows)]),
        json.dumps({"labels": [[name, a] for name, a, _ in rows]}),
    ))  # fmt: skip
    images = {f"faces/{name}": content for (name, *_), content in zip(rows, png_faces(8), strict=True)}
    return images | {"labels.txt": text.encode()}


def load_labelled(folder: Path) -> None:
    """Loads a data set with labels."""
    faces = load_faces(folder / "faces", folder / "cache", labels=str(folder / "labels.txt"), unlabelled="keep")
    codes = faces.labels.codes
    assert codes.dtype == np.int32 and codes.shape == (8, len(faces.labels.attributes)), codes.shape
    for attribute, column in zip(faces.labels.attributes, codes.T, strict=True):
        assert set(column.tolist()) <= {-1, *attribute.codes}
    assert faces.labels.encode(codes[faces.labels.known]).shape[1] == faces.labels.width


class Means:
    """A feature extractor: the mean color of each image."""

    name, digest, protocol = "means", "d", {"size": SIZE}

    def embed(self, pixels: np.ndarray, rows=slice(None)) -> np.ndarray:
        """Features, float32 (n, 3)."""
        return pixels[rows].mean((1, 2)).astype(np.float32)


FACES = evaluation.ImageSubset(np.arange(6 * SIZE * SIZE * 3).reshape(6, SIZE, SIZE, 3).astype(np.uint8), np.arange(6))


@functools.cache
def stored_features() -> dict[str, bytes]:
    """The stored features of images."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation.load_features(Means(), FACES, Path(folder))
        return read_files(Path(folder), "*")


def load_features(folder: Path) -> None:
    """Loads stored features, or computes them again."""
    found = evaluation.load_features(Means(), FACES, folder)
    assert found.shape == (6, 3) and found.dtype == np.float32, (found.shape, found.dtype)
