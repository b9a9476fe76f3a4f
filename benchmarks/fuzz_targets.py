"""Targets of the fuzzer: for each kind of file, valid samples of it, and the product's own entry with its promises.

target = TARGETS["zip"]
content = target.make(random.Random(123))  # {"faces.zip": b"..."}
target.enter(folder)                       # after these were written to `folder`, damaged
"""

import contextlib
import dataclasses
import functools
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageCms, ImageFile, features

import data
from benchmarks.mutations import write_zip
from gan import experiment, files, images
from gan.comparison import results, runner
from gan.config import Config
from gan.datasets import cache
from gan.errors import RunError, UsageError
from gan.gallery.page import Page
from gan.metrics import evaluation
from gan.runs import checkpoints, legacy
from gan.runs.run_directory import DIAGNOSTIC_COLUMNS, SCORE_COLUMNS, Run

SIZE = 16
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Target:
    """A kind of file.

    Arguments:
        make: a function (random) -> the content of valid files by name, of which one or two are then damaged.
        enter: a function (folder) that reads them through the product's own entry, and asserts what it returns.
        allowed: the errors that the entry's docstring names.
        victims: the end of the names of the files that are damaged.
    """

    make: Callable[[Random], dict[str, bytes]]
    enter: Callable[[Path], None]
    allowed: tuple[type[Exception], ...] = (UsageError, RunError)
    victims: tuple[str, ...] = ("",)


# Images


def make_image(random: Random) -> dict[str, bytes]:
    """An image of a random format, mode and size, with metadata where the format has them."""
    name, modes, choices = random.choice(IMAGE_FORMATS)
    width, height = random.choice(((16, 16), (24, 17), (40, 33), (178, 218)))
    mode = random.choice(modes)
    pixels = np.random.default_rng(random.randrange(100)).integers(0, 256, (height, width, 4), np.uint8)
    image = Image.fromarray(pixels).convert("RGB")
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(pixels[..., 0].astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]) * 200)
    elif mode in ("RGBA", "LA", "PA"):
        image = Image.fromarray(pixels).convert(mode)
    else:
        image = image.convert(mode)
    options = {key: random.choice(values) for key, values in choices.items()}
    if random.random() < 0.5 and name in ("JPEG", "PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[0x0112] = random.choice((1, 3, 6, 8))
        exif[0x010E] = "a face"
        options |= {"exif": exif, "icc_profile": ICC}
    if options.pop("frames", 1) > 1:
        options |= {"save_all": True, "append_images": [image, image]}
    if mode == "P" and random.random() < 0.5:
        options["transparency"] = 3
    file = io.BytesIO()
    image.save(file, name, **options)
    return {f"face.{'png' if name == 'PNG' else name.lower()}": file.getvalue()}


ImageFile.MAXBLOCK = 1 << 20  # bytes: Pillow cannot write some small JPEGs with its default
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TIFF_COMPRESSION = (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma")
IMAGE_FORMATS = (
    ("JPEG", ("L", "RGB", "CMYK"), {"progressive": (False, True), "quality": (50, 95), "subsampling": (0, 2)}),
    ("JPEG", ("RGB",), {"restart_marker_blocks": (0, 3)}),
    ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), {"optimize": (False, True), "frames": (1, 3)}),
    ("WEBP", ("RGB", "RGBA"), {"lossless": (False, True), "frames": (1, 3), "method": (0,)}),
    ("GIF", ("L", "P", "RGB"), {"frames": (1, 3), "interlace": (0, 1)}),
    ("BMP", ("1", "L", "P", "RGB", "RGBA"), {}),
    ("TIFF", ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"), {"frames": (1, 3)}),
    ("TIFF", ("L", "RGB"), {"compression": TIFF_COMPRESSION}),
    ("PPM", ("1", "L", "RGB", "I;16", "F"), {}),
    *([("AVIF", ("RGB", "RGBA"), {"speed": (10,)})] if features.check("avif") else []),
)  # fmt: skip


def read_image(folder: Path) -> None:
    """Reads an image as every command does: as RGB, upright, with its size."""
    image, info, content = images.read_image(next(folder.glob("face.*")))
    assert image.mode == "RGB" and min(image.size) >= images.MIN_SIDE and info.size == image.size, (image, info)
    assert isinstance(content, bytes) and isinstance(info.mode, str)
    square = images.crop_square(image)
    pixels = np.asarray(images.resize_image(square, SIZE))
    assert pixels.shape == (SIZE, SIZE, 3) and pixels.dtype == np.uint8


def make_grids(random: Random) -> dict[str, bytes]:
    """The grids of a run."""
    pictures = {}
    for i in range(3):
        file = io.BytesIO()
        samples = np.full((4, SIZE, SIZE, 3), 40 * i, np.uint8)
        Image.fromarray(images.make_grid(samples, scale=images.display_scale(SIZE))).save(file, "PNG")
        pictures[f"{i:06d}.png"] = file.getvalue()
    return pictures


def collect_grids(folder: Path) -> None:
    """Collects the samples of all grids; damaged ones are left out."""
    Run(folder).save_samples(SIZE, 4)
    with np.load(folder / "samples.npz") as found:
        assert found["images"].shape == (len(found["iterations"]), 4, SIZE, SIZE, 3), found["images"].shape
        assert found["images"].dtype == np.uint8 and set(found["iterations"]) <= {0, 1, 2}


# Data sets


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
    assert all(isinstance(line, str) for line in data.describe(faces)) and len(faces.digest) == 16
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
    pixels, report, skipped, attributes, digests = cache.read(next(folder.glob("cache/*.npy")))
    assert len(pixels) == len(digests) and isinstance(report, dict) and isinstance(attributes, dict)
    assert all(isinstance(name, str) and isinstance(reason, str) for name, reason in skipped)


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


# Runs


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
        for path, columns in ((run.metrics, SCORE_COLUMNS), (run.diagnostics, DIAGNOSTIC_COLUMNS)):
            files.write_csv(path, [columns])
        scalars = {"d_loss": 1.5, "g_loss": 0.7, "real_score": 0.6, "fake_score": 0.4}
        for i in range(1, 7):
            start = {"iteration": i, "images": 64 * i, "seconds": 0.5 * i}
            run.append_log([start | scalars | ({} if i % 2 else {"penalty": 0.1}) | {"images_per_second": 128.0}])
            row = dict.fromkeys(SCORE_COLUMNS, 0.5) | start | {"network": "onet", "samples": 64, "copying": 0}
            run.append_score(row | {"kid": 100.0 / i, "face_rate": None if i < 3 else 0.9})
        run.append_rows(run.diagnostics, [(3, "mode collapse", "started", "Try it"), (5, "mode collapse", "ended", "")])
        run.append_rows(run.diagnostics, [(6, "losses stuck", "started", "Try, that")])
        files.write_json(run.folder / "best.json", run.read_scores()[-1] | {"protocol": {"samples": 64}})
        (run.folder / "best.keras").touch()
        run.save_grid(6, np.zeros((4, SIZE, SIZE, 3), np.uint8))
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


def read_config(folder: Path) -> None:
    """Reads the settings of a run and what is derived from them."""
    run = Run(folder / "run")
    config = run.load_config()
    for field in dataclasses.fields(Config):
        wanted = {str: str, bool: bool, int: int, float: (int, float), tuple: tuple, list: tuple}
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
    run.truncate_tables(5)
    log, scores, failures = run.read_log(), run.read_scores(), run.active_failures()
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
    run.append_log([{"iteration": 6, "images": 384, "seconds": 3.0, "d_loss": 1.0, "new": 2.0, "images_per_second": 1}])
    assert run.read_log()["iteration"][-1] == 6


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


# Generators


@functools.cache
def generators() -> tuple[bytes, ...]:
    """Small generators as runs save them, and hostile files."""
    import keras

    from models import GENERATORS
    from models.portable import to_stock_keras

    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "generator.keras")
        for name in ("self-modulated", "conv", "dense"):
            keras.utils.set_random_seed(0)
            to_stock_keras(GENERATORS[name]((8,), (SIZE, SIZE, 3), 2)).save(path)
            found.append(path.read_bytes())
        with contextlib.chdir(folder):  # as it is called here, too
            hostile = keras.layers.Lambda(lambda x: (open("executed", "w").close(), x)[1])
            layers = [keras.Input((8,)), hostile, keras.layers.Dense(SIZE * SIZE * 3)]
            keras.Sequential([*layers, keras.layers.Reshape((SIZE, SIZE, 3))]).save(path)
        found.append(path.read_bytes())
    return tuple(found)


def make_generator(random: Random) -> dict[str, bytes]:
    """A run's folder with a generator, of whose configuration a part may be hostile."""
    content = random.choice(generators())
    if random.random() < 0.3:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        document = json.loads(entries["config.json"])
        parts = [document]
        for part in parts:
            parts += [x for x in (part.values() if isinstance(part, dict) else part) if isinstance(x, dict | list)]
        named = [part for part in parts if isinstance(part, dict) and "class_name" in part]
        random.choice(named).update(json.loads(json.dumps(random.choice(HOSTILE))))
        content = write_zip([*(entries | {"config.json": json.dumps(document).encode()}).items()])
    return {"run/config.json": run_files()["run/config.json"], "run/generator.keras": content}


def call(module: str, function: str, /, *arguments, **options) -> dict:
    """What makes a careless reader of Keras's configurations call a function."""
    config = {"args": arguments, "kwargs": options, **options}
    return {"module": module, "class_name": function, "registered_name": function, "config": config}


HOSTILE = (
    call("os", "system", "touch executed", command="touch executed"),
    call("builtins", "eval", "open('executed', 'w')", source="open('executed', 'w')"),
    call("builtins", "exec", "open('executed', 'w')"),
    {"module": "builtins", "class_name": "function", "config": "system", "registered_name": "function"},
    {"module": "os", "class_name": "function", "config": "system", "registered_name": "os.system"},
    {"class_name": "__lambda__", "config": {"value": ["4wAAAA==", None, None]}},
    call("keras.layers", "Lambda", function={"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}, name="x"),
    call("keras.layers", "TFSMLayer", filepath="../escaped", call_endpoint="serve", name="x"),
    call("keras.layers", "TorchModuleWrapper", module="gASVAA==", name="x"),
    call("keras.layers", "StringLookup", vocabulary="/etc/passwd", name="x"),
    call("keras.utils", "get_file", fname="escaped", origin="file:///etc/passwd", cache_dir="..", cache_subdir="."),
    call("keras.config", "enable_unsafe_deserialization"),
    call("keras.src.saving.saving_lib", "load_model", filepath="../escaped"),
    call("keras.callbacks", "CSVLogger", filename="../escaped"),
    call("keras.layers", "Dense", units=10**10, name="x"),
    call("keras.layers", "Dense", units=10**7, name="x"),
    call("keras.layers", "UpSampling2D", size=[10**5, 10**5], name="x"),
    call("keras.layers", "ZeroPadding2D", padding=10**6, name="x"),
    call("keras.layers", "Embedding", input_dim=10**9, output_dim=64, name="x"),
    call("keras.layers", "GaussianNoise", stddev=1e300, name="x"),
)


def load_generator(folder: Path) -> None:
    """Loads a generator and generates an image."""
    generator = experiment.load_generator(Run(folder / "run"))
    assert generator.size > 0 and len(generator.noise_shape) in (1, 3), generator.noise_shape
    pixels = generator.generate_seeds(range(2))
    assert pixels.shape == (2, generator.size, generator.size, 3) and pixels.dtype == np.uint8, pixels.shape


def write_files(folder: Path, content: dict[str, bytes]) -> None:
    """Writes files by their names in a folder."""
    for name, data_ in content.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data_)


def read_files(folder: Path, pattern: str) -> dict[str, bytes]:
    """The files of a folder by their names in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob(pattern)) if p.is_file()}


TABLES = ("log.csv", "metrics.csv", "diagnostics.csv", "health.csv")
TARGETS = {
    "image": Target(make_image, read_image, (images.UnreadableImage,)),
    "grid": Target(make_grids, collect_grids, ()),
    "folder": Target(make_folder, load_data),
    "truncated": Target(make_folder, load_truncated),
    "zip": Target(make_zip, load_data),
    "npy": Target(make_npy, load_data),
    "npz": Target(make_npz, load_data),
    "cache": Target(lambda random: dict(cached_faces()), load_cached, victims=(".npy", ".json")),
    "cache-read": Target(lambda random: dict(cached_faces()), read_cache, (ValueError,), (".npy", ".json")),
    "features": Target(lambda random: dict(stored_features()), load_features, ()),
    "config": Target(make_run, read_config, victims=("config.json",)),
    "claim": Target(make_run, claim_run, victims=("config.json",)),
    "tables": Target(make_run, read_tables, victims=TABLES),
    "reports": Target(make_run, read_reports, victims=("data.json", "best.json", "scores.json")),
    "row": Target(make_run, read_row, victims=("scores.json", "sessions.json", "sittings.json", *TABLES)),
    "page": Target(make_run, write_page, (), (".json", ".csv", ".npz")),
    "results": Target(make_comparison, read_results),
    "checkpoint": Target(make_run, restore_checkpoint, victims=(".npz",)),
    "keras": Target(make_generator, load_generator, victims=(".keras",)),
}
