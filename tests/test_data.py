import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from data_files import encode_deep_png, save_folder, save_grays
from PIL import Image

import data
from gan import images
from gan.datasets import SOURCES
from gan.datasets.report import FEW, find_problems
from gan.datasets.source import Source
from gan.errors import RunError, UsageError
from gan.labels import Attribute, Labels
from gan.training.augmentation import mirror_half


@pytest.mark.skipif(os.name == "nt", reason="Windows has no free symbolic links")
def test_folder_of_everything(folder_of_everything, load):
    """Of 100 good images and 13 odd files, 107 have the right colors; 6 are skipped, each with its reason."""
    folder, reasons = folder_of_everything
    faces = load(str(folder), 16)
    assert dict(faces.skipped) == reasons
    assert faces.images.shape == (107, 16, 16, 3)
    good, odd = faces.images[:100], faces.images[100:].astype(int)
    np.testing.assert_array_equal(good, np.broadcast_to(np.arange(100)[:, None, None, None], good.shape))
    colors = [(100,) * 3, (255, 0, 0), (255, 204, 204), (40, 50, 60), (1, 2, 3)]
    for image, color in zip(odd, colors, strict=False):
        assert abs(image - color).max() <= 2  # JPEG rounds; the others are exact
    assert odd[5, :, 8:].min() == 255
    assert odd[5, :, :8].max() == 0
    assert (odd[6] == (7, 8, 9)).all()
    assert faces.report["skipped"] == {"unreadable": 5, "passed_over": 1}
    assert faces.report["modes"] == {
        "RGB": 103,
        "I;16 of 25,700 to 25,700, read as 16-bit": 1,
        "CMYK": 1,
        "RGBA": 1,
        "P": 1,
    }


def test_every_kind_of_source_has_the_same_images(tmp_path, load, eight):
    """A folder, a zip, a .npz and a .npy of the same eight images give the same array, at two sizes."""
    (tmp_path / "faces").mkdir()
    for i, face in enumerate(eight):
        images.write_png(tmp_path / "faces" / f"{i}.png", face)
    shutil.make_archive(str(tmp_path / "faces"), "zip", tmp_path / "faces")
    np.savez(tmp_path / "faces.npz", eight)
    np.save(tmp_path / "faces.npy", eight)
    halves = [np.asarray(Image.fromarray(face).resize((16, 16), resample=2)) for face in eight]
    for name in ("faces", "faces.zip", "faces.npz", "faces.npy"):
        np.testing.assert_array_equal(load(str(tmp_path / name), 32).images, eight)
        np.testing.assert_array_equal(load(str(tmp_path / name), 16).images, halves)


def test_crop_before_resize(tmp_path, load):
    """A CelebA photograph is cropped to its center 108x108, or to the crop that was given, and then resized."""
    noise = np.random.default_rng(1).integers(0, 256, (1, 218, 178, 3), np.uint8)
    np.save(tmp_path / "a.npy", noise)
    image = Image.fromarray(noise[0])
    for crop, box in ((0, (35, 55, 143, 163)), (100, (39, 59, 139, 159))):
        expected = np.asarray(image.crop(box).resize((28, 28), resample=2))
        np.testing.assert_array_equal(load(str(tmp_path / "a.npy"), 28, crop=crop).images[0], expected)


def test_limit_takes_the_first(tmp_path, load):
    """`limit` takes the first images by name; a limit above their number takes all."""
    folder = save_grays(tmp_path / "faces", 5)
    assert load(str(folder), 16, limit=2).images[:, 0, 0, 0].tolist() == [0, 1]
    assert load(str(folder), 16, limit=9).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_too_many_unreadable(tmp_path, load):
    """5 unreadable of 100 pass; 6 of 101 raise an error, also from the cache, unless bad images are allowed."""
    folder = save_grays(tmp_path / "faces", 95)
    for i in range(6):
        if i == 5:
            assert load(str(folder), 16).report["skipped"]["unreadable"] == 5
        (folder / f"bad {i}.png").touch()
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            load(str(folder), 16)
    message = str(caught.value)
    for words in ("6 of 101 images in faces", "6 such as bad 0.png (empty file)", "--allow-bad"):
        assert words in message
    assert len(load(str(folder), 16, allow_bad=True).images) == 95


@pytest.mark.parametrize("size", [0, 8, 27, 30, 33, 132])
def test_image_sizes(tmp_path, load, size):
    """Sizes other than multiples of 4 from 16 to 128 are refused."""
    with pytest.raises(UsageError, match=f"--image-size {size}"):
        load(str(tmp_path), size)


def test_negative_numbers(tmp_path, load):
    """A negative limit is refused, not counted from the end."""
    with pytest.raises(UsageError, match="--limit -1"):
        load(str(tmp_path), 16, limit=-1)


def test_default_cache(tmp_path, monkeypatch):
    """By default the cache is in the user's cache folder."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    data.load(str(save_grays(tmp_path / "faces", 1)), 16)
    assert len(os.listdir(tmp_path / "dcgan-faces")) == 2


def test_describe_celeba(celeba, load):
    """The lines that describe the real zip."""
    found, used, size = load(str(celeba), 32, limit=100).describe()
    assert all(part in found for part in ("30,021 ", "processed-celeba-small.zip", " 0 unreadable", " 4 other"))
    assert "100 " in used and all(part in size for part in ("64x64 RGB", "square", "32x32"))


def test_describe_mixture(tmp_path, load):
    """Sizes and modes are counted, and unreadable images named; a copy that shares a cache has its own name."""
    folder = save_grays(tmp_path / "faces", 40)
    Image.new("L", (178, 218), 255).save(folder / "tall.png")
    (folder / "zero.png").touch()
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        faces = load(str(tmp_path / name), 16)
    found, unreadable, sizes, *problems = faces.describe()
    assert all(part in found for part in ("42 images", "two.zip", " 1 unreadable", " 0 other"))
    assert "zero.png (empty file)" in unreadable
    assert all(part in sizes for part in ("16x16 (40), 178x218 (1)", "RGB (40), L (1)", "108x108 of 178x218"))
    assert sizes.endswith("16x16") and problems == find_problems(faces.report)


def test_each_pass_is_a_permutation():
    """Each pass contains every image once, in an order of its own."""
    samples = data.order(3, 0, 30, 10).reshape(3, 10)
    assert samples.dtype == np.int64
    np.testing.assert_array_equal(np.sort(samples), [range(10)] * 3)
    assert len({tuple(row) for row in samples.tolist()}) == 3
    assert data.order(4, 0, 10, 10).tolist() != samples[0].tolist()


def test_order_is_that_of_numpy():
    """Pass p of seed s is the permutation by NumPy's generator of [s, p]."""
    passes = [np.random.default_rng([5, p]).permutation(7) for p in range(4)]
    np.testing.assert_array_equal(data.order(5, 0, 28, 7), np.concatenate(passes))


@pytest.mark.parametrize(("start", "count"), [(0, 1), (6, 3), (7, 7), (13, 30), (99, 1)])
def test_order_from_anywhere(start, count):
    """A part of the order equals that part of the whole order, also across several passes."""
    whole = data.order(1, 0, 100, 7)
    np.testing.assert_array_equal(data.order(1, start, count, 7), whole[start : start + count])


def take(dataset, count):
    """Takes the images of the first batches, (count, batch, h, w, c)."""
    return np.stack([images for images, _ in dataset.dataset.take(count).as_numpy_iterator()])


@pytest.mark.parametrize("batch_size", [3, 8, 50])
def test_batches_are_the_images_in_order(eight, batch_size):
    """Batches are the images that `order` names, in [-1, 1]; a batch may be larger than the dataset."""
    rows = data.order(2, 0, 4 * batch_size, 8).reshape(4, batch_size)
    expected = images.to_float(eight[rows].astype(np.float32))
    np.testing.assert_array_equal(take(data.batches(eight, batch_size, seed=2), 4), expected)


def test_batches_have_a_shape(eight):
    """Shapes and types are known before the first batch."""
    images, labels = data.batches(eight, 5).dataset.element_spec
    assert images.shape == (5, 32, 32, 3) and labels.shape == (5, 0)
    assert images.dtype == labels.dtype == "float32"


def number_labels(count):
    """Labels of that many images, each of a class of its own."""
    codes = np.arange(count, dtype=np.int32).reshape(-1, 1)
    return Labels((Attribute("class", tuple(map(str, range(count)))),), codes)


def test_labels_follow_their_images(eight):
    """Each image comes with its own label, one-hot, with and without `rows`."""
    for rows in (None, np.array([1, 2, 6])):
        batches = data.batches(eight, 5, rows=rows, labels=number_labels(8), seed=3).dataset.take(4)
        for batch, chosen in batches.as_numpy_iterator():
            assert chosen.shape == (5, 8) and chosen.dtype == np.float32 and (chosen.sum(axis=1) == 1).all()
            np.testing.assert_array_equal(batch, images.to_float(eight[chosen.argmax(axis=1)].astype(np.float32)))


def test_labels_of_a_source(tmp_path, monkeypatch, load, eight):
    """Labels that a source returns follow its images where one is unreadable, though it has another's name."""

    def open_labelled(request):
        def read(i):
            if i == 2:
                raise images.UnreadableImage("damaged")
            return Image.fromarray(eight[i]), images.ImageInfo("RGB", (32, 32)), bytes([i])

        names = ["0.png", "same.png", "same.png", *(f"{i}.png" for i in range(3, 8))]
        return Source("labelled", "labelled, version 1", names, read, [], labels=lambda: number_labels(8))

    monkeypatch.setitem(SOURCES, "labelled", open_labelled)
    for limit, rows in ((0, [0, 1, 3, 4, 5, 6, 7]), (5, [0, 1, 3, 4]), (5, [0, 1, 3, 4])):  # the last from the cache
        faces = load("labelled", 32, limit=limit, allow_bad=True, labels="auto")
        assert faces.labels.codes[:, 0].tolist() == rows and "origins" not in faces.report
        np.testing.assert_array_equal(faces.images, eight[rows])
    np.save(tmp_path / "a.npy", eight)
    assert load(str(tmp_path / "a.npy"), 32).labels is None


@pytest.fixture
def labelled(tmp_path, eight):
    """A folder of eight images, 3.png of which is damaged, and labels.csv for 0.png to 5.png beside it, as --data."""
    (tmp_path / "faces").mkdir()
    for i, face in enumerate(eight):
        images.write_png(tmp_path / f"faces/{i}.png", face)
    (tmp_path / "faces/3.png").write_bytes(b"\x89PNG damaged")
    rows = [f"{i}.png,{i % 2},{'ab'[i // 3]},caption {i}" for i in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,Happy,hair,caption", *rows]))
    return str(tmp_path / "faces")


def test_images_without_labels(load, labelled):
    """They are counted, named and left out, or kept; the report has the shares of the others."""
    faces = load(labelled, 32, allow_bad=True, labels="auto")
    assert faces.labels.attributes == (Attribute("Happy"), Attribute("hair", ("a", "b")))
    assert faces.labels.codes.tolist() == [[0, 0], [1, 0], [0, 0], [0, 1], [1, 1], [-1, -1], [-1, -1]]
    assert [part.tolist() for part in faces.split(0.5)] == [[0, 1, 2, 3, 4], []]
    assert [name for name, _ in faces.skipped] == ["3.png", "6.png", "7.png"]
    assert faces.skipped[1:] == [("6.png", "no label"), ("7.png", "no label")]
    report = faces.report["labels"]
    assert report["unlabelled"] == 2 and report["shares"]["Happy"] == pytest.approx({"no": 0.6, "yes": 0.4})
    assert report["shares"]["hair"] == pytest.approx({"a": 0.6, "b": 0.4})
    text = "\n".join(faces.describe())
    for word in ("labels.csv beside the data", "caption", "Happy 40.0%", "2 images without a label", "6.png, 7.png"):
        assert word in text
    assert "passed over: " not in text and "left out" in text
    kept = load(labelled, 32, allow_bad=True, labels="auto", unlabelled="keep")
    assert [len(part) for part in kept.split(0.5)] == [7, 0] and [name for name, _ in kept.skipped] == ["3.png"]
    assert kept.report["key"] == faces.report["key"] == load(labelled, 32, allow_bad=True).report["key"]


def test_attributes(load, labelled):
    """--attributes chooses and orders, alone it means auto; labels of no use raise UsageError."""
    faces = load(labelled, 32, allow_bad=True, attributes="hair, happy")
    assert [attribute.name for attribute in faces.labels.attributes] == ["hair", "Happy"]
    assert faces.labels.codes[1].tolist() == [0, 1]
    for attributes in ("caption", "hapy", "hair,hair"):
        with pytest.raises(UsageError, match=f"--attributes {attributes}"):
            load(labelled, 32, allow_bad=True, attributes=attributes)
    with pytest.raises(UsageError, match="same label"):
        load(labelled, 32, limit=1, attributes="Happy")
    with pytest.raises(UsageError, match="class folders"):
        load(labelled, 32, allow_bad=True, labels="folders")


def test_few_labelled_images_are_not_held_out():
    """The images with a label decide whether any is held out."""
    digests = np.arange(1000, dtype=np.uint64) << np.uint64(54)
    codes = np.full((1000, 1), -1, np.int32)
    codes[::10] = 1
    labels = Labels((Attribute("Happy"),), codes)
    faces = data.Faces(np.zeros((1000, 1, 1, 3), np.uint8), {}, [], digests=digests, labels=labels)
    assert [len(side) for side in faces.split(0.1)] == [100, 0]
    rows, held = faces.split(0.5)
    assert len(held) > 20 and (np.sort(np.concatenate([rows, held])) == np.arange(0, 1000, 10)).all()


def test_batches_from_the_cache(tmp_path, load, eight):
    """Images on disk, and a part of them, give the same batches as an array in memory."""
    np.save(tmp_path / "a.npy", np.tile(eight, (10, 1, 1, 1)))
    real = load(str(tmp_path / "a.npy"), 32).images
    assert isinstance(real, np.memmap)
    for part in (real, real[3:60]):
        expected = take(data.batches(np.array(part), 40), 3)
        np.testing.assert_array_equal(take(data.batches(part, 40), 3), expected)


def test_batches_resume_from_anywhere(eight):
    """Batches from number 5 on equal those after five batches, with the same augmentation."""
    whole = take(data.batches(eight, 6, seed=1, augment=mirror_half), 8)
    np.testing.assert_array_equal(take(data.batches(eight, 6, seed=1, start=5, augment=mirror_half), 3), whole[5:])


def test_flip_mirrors_half(eight):
    """About half of the images are mirrored, other ones in each batch."""
    plain = take(data.batches(eight, 50, seed=1), 4)
    flipped = take(data.batches(eight, 50, seed=1, augment=mirror_half), 4)
    same = (flipped == plain).all(axis=(2, 3, 4))
    mirrored = (flipped == plain[:, :, :, ::-1]).all(axis=(2, 3, 4))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130  # of 200; 4 standard deviations are 28
    assert (mirrored[0] != mirrored[1]).any()


def save_noise(folder, count):
    """Saves `count` PNGs of noise, no two with the same content."""
    folder.mkdir()
    for i, face in enumerate(np.random.default_rng(9).integers(0, 256, (count, 8, 8, 3), np.uint8)):
        images.write_png(folder / f"{i:03}.png", face)
    return folder


def read_held_out(folder, faces):
    """Reads the files that are held out, a tenth."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {files[i].read_bytes() for i in faces.split(0.1)[1]}


def test_split_is_by_content(tmp_path, load):
    """The same files are held out under other names, in another order, in a zip, or with other files beside them."""
    folder = save_noise(tmp_path / "faces", 300)
    held = read_held_out(folder, load(str(folder), 16))
    assert 10 < len(held) < 50  # 30 are expected; 4 standard deviations are 21
    shutil.make_archive(str(tmp_path / "faces"), "zip", folder)
    assert read_held_out(folder, load(str(tmp_path / "faces.zip"), 16)) == held
    other = tmp_path / "other"
    (other / "deep").mkdir(parents=True)
    for i, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, other / ("deep" if i % 2 else ".") / f"{999 - i} renamed.png")
    assert read_held_out(other, load(str(other), 16)) == held
    for face in range(50):
        Image.new("RGB", (8, 8), (face, 0, 0)).save(other / f"more {face}.png")
    known = {path.read_bytes() for path in folder.iterdir()}
    assert read_held_out(other, load(str(other), 16)) & known == held


def test_parts_of_a_film_are_on_one_side(load):
    """Of 600 frames in sixty parts, each part is held out as a whole, or not at all."""

    def read(i):
        image = Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8, 3), np.uint8))
        return image, images.ImageInfo("RGB", image.size), image.tobytes()

    names, parts = [f"film[{i} s]" for i in range(600)], [f"part {i // 10}" for i in range(600)]
    faces = load("film", 16, opened={"film": Source("film", "film", names, read, [], groups=parts)})
    rows, held = faces.split(0.1)
    assert not {i // 10 for i in rows} & {i // 10 for i in held} and len(held) and not len(held) % 10


def test_pixels_decide_what_a_copy_is(tmp_path, load):
    """Files of other bytes with the same pixels are copies: counted, named, and on one side; also from the cache."""
    folder = save_noise(tmp_path / "faces", 200)
    for path in list(folder.iterdir()):
        Image.open(path).save(folder / f"copy of {path.name}", compress_level=1)
    names = sorted(path.name for path in folder.iterdir())
    for _ in range(2):
        faces = load(str(folder), 16)
        rows, held = faces.split(0.1)
        sides = [{names[i].removeprefix("copy of ") for i in side} for side in (rows, held)]
        assert not sides[0] & sides[1] and len(held) == 2 * len(sides[1]) > 0
        assert (faces.report["copies"], faces.report["first_copy"]) == (200, "copy of 000.png of 000.png")
        assert len(np.unique(faces.digests)) == 400


@pytest.mark.parametrize("holdout", [0.1, 0.25])
def test_split_of_ten_thousand(holdout):
    """The share is right to a hundredth; the sides are sorted and disjoint; a larger share contains the smaller one."""
    digests = np.frombuffer(b"".join(hashlib.blake2b(b"%d" % i, digest_size=8).digest() for i in range(10_000)), ">u8")
    faces = data.Faces(np.zeros((10_000, 1, 1, 3), np.uint8), {}, [], digests=digests)
    rows, held = faces.split(holdout)
    assert abs(len(held) / 10_000 - holdout) < 0.01
    np.testing.assert_array_equal(np.sort(np.concatenate([rows, held])), np.arange(10_000))
    assert (np.diff(rows) > 0).all() and (np.diff(held) > 0).all()
    assert set(held) < set(faces.split(0.4)[1])


def test_split_of_avatars(load, monkeypatch):
    """An avatar is on the same side at every size and for every number of avatars."""
    from gan.datasets import avatars

    def draw(count, size, seed, progress):  # without the drawings, which take seconds
        sampled = [avatars.sample_attributes(seed, i) for i in range(count)]
        pixels = np.full((count, size, size, 3), np.arange(count)[:, None, None, None] % 251, np.uint8)
        pixels[:, 0, 0, 0] = np.arange(count) // 251  # so that none has the pixels of another
        return pixels, {name: [a[name] for a in sampled] for name in sampled[0]}

    monkeypatch.setattr("gan.datasets.avatars.draw", draw)
    all_held = load("avatars", 16, limit=3000).split(0.1)[1]
    assert 230 <= len(all_held) <= 370
    small, large = (load("avatars", size, limit=300).split(0.1)[1] for size in (16, 20))
    np.testing.assert_array_equal(small, large)
    np.testing.assert_array_equal(small, all_held[all_held < 300])


def test_too_few_are_not_split(tmp_path, load):
    """Of 200 images some are held out; of 199, where fewer than 20 are expected, none; with a share of 0 none."""
    folder = save_noise(tmp_path / "faces", 200)
    faces = load(str(folder), 16)
    assert len(faces.split(0.1)[1]) and not len(faces.split(0.0)[1])
    np.testing.assert_array_equal(faces.split(0.0)[0], np.arange(200))
    rows, held = load(str(folder), 16, limit=199).split(0.1)
    assert len(rows) == 199 and not len(held)


@pytest.mark.parametrize("digest", [0, 2**64 - 1])
def test_copies_of_one_image_are_not_split(digest):
    """A hundred copies of one image are all trained on, whichever side their digest is on."""
    faces = data.Faces(np.zeros((100, 1, 1, 3), np.uint8), {}, [], digests=np.full(100, digest, ">u8"))
    rows, held = faces.split(0.5)
    assert len(rows) == 100 and not len(held)


def test_digest_is_that_of_the_content(tmp_path, load):
    """A later copy elsewhere has the same digest; a copy with an image replaced or missing has another."""
    folder = save_grays(tmp_path / "faces", 9)
    first = load(str(folder), 16).digest
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "faces", copy_function=shutil.copyfile)
    os.utime(moved / "good 000.png", (0, 0))
    assert load(str(moved), 16).digest == first
    shutil.copy(moved / "good 001.png", moved / "good 000.png")
    other = load(str(moved), 16).digest
    (moved / "good 008.png").unlink()
    assert len({first, other, load(str(moved), 16).digest}) == 3


def test_batches_of_some_rows(eight):
    """Batches contain the given rows only, each once a pass."""
    rows = np.array([1, 2, 6])
    found = take(data.batches(eight, 3, rows=rows, seed=2), 4)
    expected = images.to_float(eight[rows].astype(np.float32))
    for batch in found:
        assert sorted(face.tobytes() for face in batch) == sorted(face.tobytes() for face in expected)


# Takes a batch, and does something else while others are prepared, each of which takes long, and fails.
SLOW = """
import os, signal, sys, threading, time
import numpy as np
import data
first = np.random.default_rng([0, 0, 1]).random()
def slow(images, numbers):
    if numbers[0] != first:
        time.sleep({seconds})
        raise ValueError("mine")
    return images
batches = iter(data.batches(np.zeros((99, 16, 16, 3), np.uint8), 8, augment=slow))
next(batches)
{then}
"""


@pytest.mark.parametrize(
    ("seconds", "then", "code"),
    [
        (600, "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start(); list(batches)", -signal.SIGINT),
        pytest.param(600, "raise RuntimeError('mine')", 1, marks=pytest.mark.slow),
        pytest.param(
            600,
            "threading.Thread(target=lambda: [one for one in batches], daemon=True).start(); time.sleep(1)",
            0,
            marks=pytest.mark.slow,
        ),
        pytest.param(0, "list(batches)", 1, marks=pytest.mark.slow),
    ],
)
def test_python_exits_while_batches_are_prepared(seconds, then, code):
    """A program ends by an error, by Ctrl-C while it waits, and by an error in a batch.

    It does not wait for batches of ten minutes.
    """
    script = SLOW.format(seconds=seconds, then=then)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr


def test_threads_end_with_their_batches(eight):
    """Closed batches leave no threads; they can be begun anew, and begin at the same batch."""
    before, batches = threading.active_count(), data.batches(eight, 5, start=3)
    firsts = []
    for _ in range(2):
        stream = iter(batches)
        firsts.append(next(stream)[0].numpy())
        threads = batches.loader.threads
        assert len(threads) == data.WORKERS
        stream.close()
        for thread in threads:
            thread.join(60)
    np.testing.assert_array_equal(*firsts)
    assert threading.active_count() == before


def test_an_error_comes_with_its_batch(eight):
    """An error in an augmentation comes when its batch is due; batches before it are right."""

    def augment(images, numbers):
        if numbers[0] == first_of_third:
            raise ValueError("mine")
        return images

    first_of_third = np.random.default_rng([0, 2, 1]).random()
    batches = iter(data.batches(eight, 8, augment=augment))
    for _ in range(2):
        assert next(batches)[0].shape == (8, 32, 32, 3)
    with pytest.raises(Exception, match="mine"):
        next(batches)


def save_tiffs(folder, values):
    """Saves each (h, w) array as a TIFF of its type."""
    folder.mkdir()
    for i, each in enumerate(values):
        Image.fromarray(each).save(folder / f"{i:03}.tif")
    return folder


def test_range_of_all_files_together(tmp_path, load):
    """16-bit files that use 12 bits become as bright as they are, a dark one stays dark, and other files count not."""
    values = (np.arange(256, dtype=np.uint16).reshape(16, 16) * 16)[None].repeat(30, 0)
    values[1] //= 100
    values[2, 0, 0] = 65535
    folder = save_tiffs(tmp_path / "faces", values)
    Image.fromarray(np.full((16, 16), 65535, np.uint16)).convert("I").save(folder / "other.tif")  # of another mode
    Image.new("L", (16, 16), 77).save(folder / "usual.png")
    faces = load(str(folder), 16)
    expected = np.round(values / 4095 * 255).clip(0, 255)
    np.testing.assert_array_equal(faces.images[:30], np.repeat(expected[..., None], 3, -1))
    assert faces.images[30].min() == 255 and (faces.images[31] == 77).all()
    assert faces.report["modes"]["I;16 of 0 to 65,535, read as 12-bit"] == 30
    assert faces.digests[0] == int(hashlib.blake2b((folder / "000.tif").read_bytes(), digest_size=8).hexdigest(), 16)


def test_files_without_a_known_range(tmp_path, load):
    """Files whose values are in no usual range are unreadable, with these values; the others are used."""
    draw = np.random.default_rng(0)
    folder = save_tiffs(tmp_path / "faces", draw.normal(size=(3, 16, 16)).astype(np.float32))
    with pytest.raises(RunError, match="in no range"):
        load(str(folder), 16, allow_bad=True)
    Image.new("L", (16, 16), 77).save(folder / "usual.png")
    faces = load(str(folder), 16, allow_bad=True)
    assert faces.report["skipped"]["unreadable"] == 3 and len(faces.images) == 1


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.zeros((120, 16, 16)), "black"),
        (np.full((120, 16, 16), 255), "white"),
        (np.arange(120)[:, None, None].repeat(16, 1).repeat(16, 2) + 20, "one color"),
        (np.arange(256).reshape(1, 16, 16).repeat(120, 0), "are different"),
        (np.arange(99)[:, None, None] + np.arange(256).reshape(16, 16) // 2, "only 99"),
        (np.arange(100)[:, None, None] + np.arange(256).reshape(16, 16) // 2, None),
        (
            np.where(np.arange(120) < 8, 0, 1)[:, None, None] * (np.arange(256).reshape(16, 16) // 2)
            + np.arange(120)[:, None, None] // 8,
            "8 of 120 images are nearly black, and are used like the rest",
        ),
    ],
)
def test_problems(tmp_path, load, values, problem):
    """Images that are nearly all black, white, of one color, the same, or few, are warned of."""
    np.save(tmp_path / "a.npy", values.astype(np.uint8))
    faces = load(str(tmp_path / "a.npy"), 16)
    found = find_problems(faces.report)
    assert all(line in faces.describe() for line in found)
    assert any(problem in line for line in found) if problem else found == []
    assert faces.report["different"] == len(np.unique(values, axis=0))


def test_an_archive_beside_its_folder(tmp_path, load, eight):
    """Images that are there twice are counted, and one is named, also when they come from the cache."""
    folder = save_folder(tmp_path / "faces", eight)
    shutil.make_archive(str(folder / "all"), "zip", folder, "x")
    for _ in range(2):
        faces = load(str(folder), 16)
        assert (
            faces.report["copies"] == 4 and faces.report["first_copy"] == "x/deep er/4.png of all.zip/x/deep er/4.png"
        )
        assert any("4 of 12" in line and "all.zip/x/deep er/4.png" in line for line in find_problems(faces.report))


@pytest.mark.parametrize(("bits", "dark"), [(12, True), (14, True), (16, False)])
def test_colors_of_fewer_bits_than_their_file(tmp_path, load, bits, dark):
    """Pillow reads the upper 8 bits of 16-bit colors, so images that use fewer bits are dark, which is warned of."""
    (tmp_path / "faces").mkdir()
    for i in range(FEW):
        values = np.random.default_rng(i).integers(0, 2**bits, (16, 16, 3)).astype(">u2")
        (tmp_path / "faces" / f"{i}.png").write_bytes(encode_deep_png(values))
    faces = load(str(tmp_path / "faces"), 16)
    np.testing.assert_array_equal(faces.images[-1], values >> 8)
    assert list(faces.report["modes"]) == ["RGB of 16 bits, of which the upper 8 are read"]
    assert [("black" in problem) for problem in find_problems(faces.report)] == [True] * dark


def test_sources_are_joined(tmp_path, load, eight):
    """Several sources are one data set, with the number of images of each; the order of --data matters."""
    folder = save_grays(tmp_path / "grays", 5)
    np.save(tmp_path / "noise.npy", eight)
    both = load((str(folder), str(tmp_path / "noise.npy")), 16)
    assert len(both.images) == 13 and both.report["parts"] == {"grays": 5, "noise.npy": 8}
    np.testing.assert_array_equal(both.images[:5], load([str(folder)], 16).images)
    assert any("5 of them in grays, 8 of them in noise.npy" in line for line in both.describe())
    assert both.digest != load((str(tmp_path / "noise.npy"), str(folder)), 16).digest
    few = load(("avatars", str(folder)), 16, limit=3)
    assert len(few.images) == 3 and not few.avatars


def test_sample_is_random_and_repeatable(tmp_path, load):
    """`sample` takes images at random, by seed, in order, and among the first `limit`."""
    folder = str(save_grays(tmp_path / "faces", 40))
    chosen = load(folder, 16, sample=10).images[:, 0, 0, 0].tolist()
    assert chosen == sorted(set(chosen)) and len(chosen) == 10 and chosen != list(range(10))
    assert load(folder, 16, sample=10).images[:, 0, 0, 0].tolist() == chosen
    assert load(folder, 16, sample=10, seed=1).images[:, 0, 0, 0].tolist() != chosen
    assert set(load(folder, 16, sample=10, limit=20).images[:, 0, 0, 0].tolist()) < set(range(20))
    with pytest.warns(UserWarning, match="--sample 99.* 40 "):
        assert len(load(folder, 16, sample=99).images) == 40
    with pytest.raises(UsageError, match="--sample -1"):
        load(folder, 16, sample=-1)
    # Each of 40 images is in a sample of 10 with probability 1/4: 0.25 +- 4 * sqrt(0.25 * 0.75 / 2000).
    shares = np.bincount(np.concatenate([data.choose(40, 0, 10, seed) for seed in range(2000)])) / 2000
    assert shares.shape == (40,) and np.abs(shares - 0.25).max() < 0.039


def test_limits_of_files(tmp_path, load):
    """Truncated files, and files of many pixels, are used if that is asked for, and are another data set."""
    folder = save_grays(tmp_path / "faces", 3)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(folder / "large.png")
    content = (folder / "large.png").read_bytes()
    (folder / "cut.png").write_bytes(content[:-200])
    assert len(load(str(folder), 16, allow_bad=True).images) == 4
    assert len(load(str(folder), 16, allow_bad=True, allow_truncated=True).images) == 5
    faces = load(str(folder), 16, allow_bad=True, max_pixels=4095)
    assert len(faces.images) == 3 and any("--max-pixels" in line for line in faces.describe())
    with pytest.raises(RunError, match=r"cut.png .*truncated.*--allow-truncated.*--allow-bad"):
        load(str(folder), 16)
    assert len(load(str(folder), 16, allow_bad=True).images) == 4


def test_white_is_zero_beside_black_is_zero(tmp_path, load):
    """Files of both kinds have ranges of their own."""
    ramp = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    folder = save_tiffs(tmp_path / "faces", [ramp, ramp])
    Image.fromarray(65535 - ramp).save(folder / "inverted.tif", tiffinfo={262: 0})
    faces = load(str(folder), 16)
    assert len(faces.images) == 3 and (faces.images == faces.images[0]).all() and faces.images[0].std() > 70
