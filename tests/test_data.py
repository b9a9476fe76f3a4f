"""From files to batches: every odd file by name, a cache that is whole or absent, an order that can be resumed."""

import functools
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from rich.progress import Progress

import data
from gan import images
from gan.datasets import cache
from gan.errors import RunError, UsageError
from gan.training.augmentation import mirror_half


@pytest.fixture
def load(tmp_path):
    """`data.load` with a cache of its own, in tmp_path / "cache"."""
    return functools.partial(data.load, cache_dir=tmp_path / "cache")


def save_faces(folder, count):
    """Saves `count` grey 16x16 PNGs, the i-th of value i."""
    folder.mkdir()
    for i in range(count):
        Image.new("RGB", (16, 16), (i, i, i)).save(folder / f"good {i:03}.png")
    return folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no free symbolic links")
def test_folder_of_everything(folder_of_everything, load):
    """Of 100 good images and 13 odd files, 107 load with the right colours; 6 are named with their reasons."""
    folder, reasons = folder_of_everything
    faces = load(str(folder), 16)
    assert dict(faces.skipped) == reasons
    assert faces.images.shape == (107, 16, 16, 3)
    good, odd = faces.images[:100], faces.images[100:].astype(int)
    np.testing.assert_array_equal(good, np.broadcast_to(np.arange(100)[:, None, None, None], good.shape))
    colours = [(100,) * 3, (255, 0, 0), (255, 204, 204), (40, 50, 60), (1, 2, 3)]
    for image, colour in zip(odd, colours, strict=False):
        assert abs(image - colour).max() <= 2  # JPEG's rounding; the others are exact
    assert odd[5, :, 8:].min() == 255
    assert odd[5, :, :8].max() == 0
    assert (odd[6] == (7, 8, 9)).all()
    assert faces.report["skipped"] == {"unreadable": 5, "passed_over": 1}
    assert faces.report["modes"] == {"RGB": 103, "I;16": 1, "CMYK": 1, "RGBA": 1, "P": 1}


def test_same_faces_by_every_road(tmp_path, load, eight):
    """A folder, a zip, a .npz and a .npy of the same eight faces become the same array."""
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
    """A CelebA photograph gives its centre 108x108, another the crop that was asked for."""
    noise = np.random.default_rng(1).integers(0, 256, (1, 218, 178, 3), np.uint8)
    np.save(tmp_path / "a.npy", noise)
    image = Image.fromarray(noise[0])
    for crop, box in ((0, (35, 55, 143, 163)), (100, (39, 59, 139, 159))):
        expected = np.asarray(image.crop(box).resize((28, 28), resample=2))
        np.testing.assert_array_equal(load(str(tmp_path / "a.npy"), 28, crop=crop).images[0], expected)


def test_limit_takes_the_first(tmp_path, load):
    """`limit` counts from the first in order of name; more than there are is all."""
    folder = save_faces(tmp_path / "faces", 5)
    assert load(str(folder), 16, limit=2).images[:, 0, 0, 0].tolist() == [0, 1]
    assert load(str(folder), 16, limit=9).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_second_load_decodes_nothing(tmp_path, load, monkeypatch):
    """The second time everything comes from the cache, the left out too; the images cannot be written to."""
    folder = save_faces(tmp_path / "faces", 30)
    (folder / "bad.png").write_bytes(b"x")
    first = load(str(folder), 16)
    monkeypatch.setattr(images, "read_image", None)
    second = load(str(folder), 16)
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    np.testing.assert_array_equal(first.images, second.images)
    assert second.skipped == first.skipped == [("bad.png", "not an image")]
    assert second.report == first.report


def test_changes_make_other_caches(tmp_path, load):
    """Size, crop, limit and the files themselves each have their own cache."""
    folder = save_faces(tmp_path / "faces", 5)
    keys = {load(str(folder), 16, **given).report["key"] for given in ({}, {"crop": 8}, {"limit": 3}, {})}
    keys.add(load(str(folder), 20).report["key"])
    (folder / "good 000.png").unlink()
    keys.add(load(str(folder), 16).report["key"])
    assert len(keys) == 5
    assert len(os.listdir(tmp_path / "cache")) == 10


def test_attributes_come_back(load, monkeypatch, eight):
    """The drawn faces keep their attributes in the cache; the second time nothing is drawn."""
    drawn = {"hair": [f"colour {i}" for i in range(8)]}
    monkeypatch.setattr("gan.datasets.avatars.draw", lambda count, size, seed, progress: (eight[:count], drawn))
    load("avatars", 32, limit=8)
    monkeypatch.setattr("gan.datasets.avatars.draw", None)
    faces = load("avatars", 32, limit=8)
    assert faces.attributes == drawn
    np.testing.assert_array_equal(faces.images, eight)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_build_leaves_nothing(tmp_path, load, monkeypatch, error):
    """A build that stops half way leaves no file, and the next one is as if it had never been."""
    folder = save_faces(tmp_path / "faces", 200)

    def interrupted(file):
        if "150" in os.path.basename(file):
            raise error
        return real_read(file)

    real_read = images.read_image
    monkeypatch.setattr(images, "read_image", interrupted)
    with pytest.raises(error):
        load(str(folder), 16)
    assert os.listdir(tmp_path / "cache") == []
    monkeypatch.setattr(images, "read_image", real_read)
    assert len(load(str(folder), 16).images) == 200


def test_two_builds_at_once(tmp_path, load):
    """Two builds of one cache at the same time both end well, in one file."""
    folder, results = save_faces(tmp_path / "faces", 200), []
    threads = [threading.Thread(target=lambda: results.append(load(str(folder), 16))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results[0].images, results[1].images)
    assert len(os.listdir(tmp_path / "cache")) == 2


@pytest.mark.parametrize("damage", [b"", b"x", "cut", "longer", "no report", "other report"])
def test_damaged_cache_is_built_again(tmp_path, load, capsys, damage):
    """A cache file that is empty, strange, too short, too long or without its report is replaced, aloud."""
    folder = save_faces(tmp_path / "faces", 9)
    load(str(folder), 16)
    (path,) = (tmp_path / "cache").glob("*.npy")
    whole, report = path.read_bytes(), path.with_suffix(".json")
    files = {"cut": (path, whole[:-1]), "longer": (path, whole + b"x"), "other report": (report, b"3")}
    if damage == "no report":
        report.unlink()
    else:
        broken, content = files.get(damage, (path, damage))
        broken.write_bytes(content)
    assert len(load(str(folder), 16).images) == 9
    assert path.read_bytes() == whole
    assert "damaged" in capsys.readouterr().err


def test_too_many_unreadable(tmp_path, load):
    """5 bad of 100 pass, 6 bad of 101 do not: then and from the cache, unless bad images are allowed."""
    folder = save_faces(tmp_path / "faces", 95)
    for i in range(6):
        if i == 5:
            assert load(str(folder), 16).report["skipped"]["unreadable"] == 5
        (folder / f"bad {i}.png").touch()
    for _ in range(2):
        with pytest.raises(RunError) as caught:
            load(str(folder), 16)
    message = str(caught.value)
    assert message.startswith("6 of 101 images in faces cannot be read: bad 0.png (empty file), bad 1.png")
    assert "and 1 more" in message
    assert "--allow-bad" in message
    assert len(load(str(folder), 16, allow_bad=True).images) == 95


@pytest.mark.parametrize(
    ("files", "words"),
    [([], "nothing is named"), (["a.txt"], "nothing is named"), (["a.png"], r"a.png \(empty file\)")],
)
def test_no_readable_image(tmp_path, load, files, words):
    """An empty folder, one of other files and one of bad images each end in one line, and no cache."""
    (tmp_path / "faces").mkdir()
    for name in files:
        (tmp_path / "faces" / name).touch()
    with pytest.raises(RunError, match=f"No readable image in faces: {words}") as caught:
        load(str(tmp_path / "faces"), 16, allow_bad=True)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize("size", [0, 8, 27, 30, 33, 132])
def test_image_sizes(tmp_path, load, size):
    """Only 28 and the multiples of 4 from 16 to 128 are sizes."""
    with pytest.raises(UsageError, match=f"--image-size {size}"):
        load(str(tmp_path), size)


def test_negative_numbers(tmp_path, load):
    """Less than none is refused, not counted from the end."""
    with pytest.raises(UsageError, match="--limit -1"):
        load(str(tmp_path), 16, limit=-1)


def test_unwritable_cache(tmp_path):
    """A cache that cannot be made ends with the flag that moves it."""
    folder = save_faces(tmp_path / "faces", 1)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--cache-dir"):
        data.load(str(folder), 16, cache_dir=tmp_path / "file" / "cache")


def test_default_cache(tmp_path, monkeypatch):
    """Without a word the cache is in the user's own cache folder."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    data.load(str(save_faces(tmp_path / "faces", 1)), 16)
    assert len(os.listdir(tmp_path / "dcgan-faces")) == 2


def test_describe_celeba(celeba, load):
    """The lines of the real zip."""
    assert data.describe(load(str(celeba), 32, limit=100)) == [
        "30,021 images found in processed-celeba-small.zip, 0 unreadable, 4 other files passed over",
        "100 of them used, the first in order of name",
        "64x64 RGB, center square, resized to 32x32",
    ]


def test_describe_mixture(tmp_path, load):
    """Several sizes and modes are counted, the unreadable named; a copied cache speaks of the new name."""
    folder = save_faces(tmp_path / "faces", 40)
    Image.new("L", (178, 218)).save(folder / "tall.png")
    (folder / "zero.png").touch()
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
        lines = data.describe(load(str(tmp_path / name), 16))
    assert lines == [
        "42 images found in two.zip, 1 unreadable, 0 other files passed over",
        "unreadable: zero.png (empty file)",
        "16x16 (40), 178x218 (1) RGB (40), L (1), center square (108x108 of 178x218), resized to 16x16",
    ]


def test_progress_in_plain_lines(tmp_path, load, capsys):
    """Where there is no terminal a line tells of each quarter."""
    load(str(save_faces(tmp_path / "faces", 8)), 16)
    assert capsys.readouterr().out.splitlines() == [f"Decoding faces: {n}%" for n in (25, 50, 75, 100)]


def test_progress_on_a_terminal(tmp_path, load, capsys, monkeypatch):
    """On a terminal a bar tells of it, and nothing else is printed."""
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True)
    monkeypatch.setattr("gan.progress.Progress", functools.partial(Progress, console=terminal))
    load(str(save_faces(tmp_path / "faces", 8)), 16)
    assert "Decoding faces" in screen.getvalue()
    assert capsys.readouterr().out == ""


def test_each_pass_is_a_permutation():
    """Every image comes once in each pass, in another order in each."""
    samples = data.order(3, 0, 30, 10).reshape(3, 10)
    assert samples.dtype == np.int64
    np.testing.assert_array_equal(np.sort(samples), [range(10)] * 3)
    assert len({tuple(one) for one in samples.tolist()}) == 3
    assert data.order(4, 0, 10, 10).tolist() != samples[0].tolist()


def test_order_is_numpys():
    """Pass p of seed s is what NumPy's generator of [s, p] permutes, whoever asks and when."""
    passes = [np.random.default_rng([5, p]).permutation(7) for p in range(4)]
    np.testing.assert_array_equal(data.order(5, 0, 28, 7), np.concatenate(passes))


@pytest.mark.parametrize(("start", "count"), [(0, 1), (6, 3), (7, 7), (13, 30), (99, 1)])
def test_order_from_anywhere(start, count):
    """A part of the order is that part of the whole, also over several borders."""
    whole = data.order(1, 0, 100, 7)
    np.testing.assert_array_equal(data.order(1, start, count, 7), whole[start : start + count])


def taken(dataset, count):
    """The first batches as one array (count, batch, h, w, c)."""
    return np.stack([images for images, _ in dataset.dataset.take(count).as_numpy_iterator()])


@pytest.mark.parametrize("batch_size", [3, 8, 50])
def test_batches_are_the_images_in_order(eight, batch_size):
    """Batches are the rows that `order` names, in [-1, 1]; they may be larger than all there is."""
    rows = data.order(2, 0, 4 * batch_size, 8).reshape(4, batch_size)
    expected = images.to_float(eight[rows].astype(np.float32))
    np.testing.assert_array_equal(taken(data.batches(eight, batch_size, seed=2), 4), expected)


def test_batches_have_a_shape(eight):
    """The shape is known before the first batch."""
    images, labels = data.batches(eight, 5).dataset.element_spec
    assert images.shape == (5, 32, 32, 3) and labels.shape == (5, 0)
    assert images.dtype == labels.dtype == "float32"


def test_labels_follow_their_images(eight):
    """Each image comes with its own row of labels, in batches of some rows as of all."""
    labels = np.eye(8, dtype=np.float32)
    for rows in (None, np.array([1, 2, 6])):
        for batch, chosen in (
            data.batches(eight, 5, rows=rows, labels=labels, seed=3).dataset.take(4).as_numpy_iterator()
        ):
            np.testing.assert_array_equal(batch, images.to_float(eight[chosen.argmax(axis=1)].astype(np.float32)))


def test_batches_from_the_cache(tmp_path, load, eight):
    """A file on disk, and a part of it, give the same batches as an array in memory."""
    np.save(tmp_path / "a.npy", np.tile(eight, (10, 1, 1, 1)))
    real = load(str(tmp_path / "a.npy"), 32).images
    assert isinstance(real, np.memmap)
    for part in (real, real[3:60]):
        expected = taken(data.batches(np.array(part), 40), 3)
        np.testing.assert_array_equal(taken(data.batches(part, 40), 3), expected)


def test_batches_go_on_from_anywhere(eight):
    """Starting at batch 5 is what comes after five batches, mirrored the same."""
    whole = taken(data.batches(eight, 6, seed=1, augment=mirror_half), 8)
    np.testing.assert_array_equal(taken(data.batches(eight, 6, seed=1, start=5, augment=mirror_half), 3), whole[5:])


def test_flip_mirrors_half(eight):
    """Each image is itself or its mirror image, about half of each, not the same ones in each batch."""
    plain = taken(data.batches(eight, 50, seed=1), 4)
    flipped = taken(data.batches(eight, 50, seed=1, augment=mirror_half), 4)
    same = (flipped == plain).all(axis=(2, 3, 4))
    mirrored = (flipped == plain[:, :, :, ::-1]).all(axis=(2, 3, 4))
    assert (same ^ mirrored).all()
    assert 70 < mirrored.sum() < 130  # of 200; 4 standard deviations are 28
    assert (mirrored[0] != mirrored[1]).any()


def test_cache_header_fits_any_count(tmp_path):
    """The header's length is that of the place held for it, for one image and for a billion."""
    for count in (1, 10**9):
        with open(tmp_path / "a.npy", "w+b") as file:
            cache._write_header(file, (count, 128, 128, 3))
            assert file.tell() == 128


def save_noise(folder, count):
    """Saves `count` PNGs of noise, each a file of its own content."""
    folder.mkdir()
    for i, face in enumerate(np.random.default_rng(9).integers(0, 256, (count, 8, 8, 3), np.uint8)):
        images.write_png(folder / f"{i:03}.png", face)
    return folder


def held_contents(folder, faces):
    """The contents of the files that are held out: a tenth."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {files[i].read_bytes() for i in faces.split(0.1)[1]}


def test_split_is_by_content(tmp_path, load):
    """The same files under other names, in another order, in a zip or beside others: the same ones are held out."""
    folder = save_noise(tmp_path / "faces", 300)
    held = held_contents(folder, load(str(folder), 16))
    assert 10 < len(held) < 50  # 30 are expected; 4 standard deviations are 21
    shutil.make_archive(str(tmp_path / "faces"), "zip", folder)
    assert held_contents(folder, load(str(tmp_path / "faces.zip"), 16)) == held
    other = tmp_path / "other"
    (other / "deep").mkdir(parents=True)
    for i, path in enumerate(sorted(folder.iterdir())):
        shutil.copy(path, other / ("deep" if i % 2 else ".") / f"{999 - i} renamed.png")
    assert held_contents(other, load(str(other), 16)) == held
    for face in range(50):
        Image.new("RGB", (8, 8), (face, 0, 0)).save(other / f"more {face}.png")
    known = {path.read_bytes() for path in folder.iterdir()}
    assert held_contents(other, load(str(other), 16)) & known == held


def test_copies_are_on_one_side(tmp_path, load):
    """A face that is there twice is trained on twice or held out twice, never one of each."""
    folder = save_noise(tmp_path / "faces", 200)
    for path in list(folder.iterdir()):
        shutil.copy(path, folder / f"copy of {path.name}")
    rows, held = load(str(folder), 16).split(0.1)
    names = sorted(path.name for path in folder.iterdir())
    sides = [{names[i].removeprefix("copy of ") for i in side} for side in (rows, held)]
    assert not sides[0] & sides[1] and len(held) == 2 * len(sides[1]) > 0


@pytest.mark.parametrize("holdout", [0.1, 0.25])
def test_split_of_ten_thousand(holdout):
    """The share is held to a hundredth; the sides are in order and share no face; a larger share holds the smaller."""
    digests = np.frombuffer(b"".join(hashlib.blake2b(b"%d" % i, digest_size=8).digest() for i in range(10_000)), ">u8")
    faces = data.Faces(np.zeros((10_000, 1, 1, 3), np.uint8), {}, [], digests=digests)
    rows, held = faces.split(holdout)
    assert abs(len(held) / 10_000 - holdout) < 0.01
    np.testing.assert_array_equal(np.sort(np.concatenate([rows, held])), np.arange(10_000))
    assert (np.diff(rows) > 0).all() and (np.diff(held) > 0).all()
    assert set(held) < set(faces.split(0.4)[1])


def test_split_of_avatars(load, monkeypatch):
    """A drawn face is on the same side at every size, as many as are drawn: a tenth of 10,000, and of the first 300."""
    from gan.datasets import avatars

    def draw(count, size, seed, progress):  # the attributes alone; the drawings take seconds
        faces = [avatars.sample_attributes(seed, i) for i in range(count)]
        return np.zeros((count, size, size, 3), np.uint8), {name: [face[name] for face in faces] for name in faces[0]}

    monkeypatch.setattr("gan.datasets.avatars.draw", draw)
    all_held = load("avatars", 16).split(0.1)[1]
    assert 900 <= len(all_held) <= 1100
    small, large = (load("avatars", size, limit=300).split(0.1)[1] for size in (16, 20))
    np.testing.assert_array_equal(small, large)
    np.testing.assert_array_equal(small, all_held[all_held < 300])


def test_too_few_are_not_split(tmp_path, load):
    """None is held out of 199 faces, where fewer than 20 are expected; some are of 200; none with a share of 0."""
    folder = save_noise(tmp_path / "faces", 200)
    faces = load(str(folder), 16)
    assert len(faces.split(0.1)[1]) and not len(faces.split(0.0)[1])
    np.testing.assert_array_equal(faces.split(0.0)[0], np.arange(200))
    rows, held = load(str(folder), 16, limit=199).split(0.1)
    assert len(rows) == 199 and not len(held)


@pytest.mark.parametrize("digest", [0, 2**64 - 1])
def test_copies_of_one_face_are_not_split(digest):
    """A hundred copies of one face all train, whichever side they would be on: no side is left without a face."""
    faces = data.Faces(np.zeros((100, 1, 1, 3), np.uint8), {}, [], digests=np.full(100, digest, ">u8"))
    rows, held = faces.split(0.5)
    assert len(rows) == 100 and not len(held)


def test_cache_of_the_old_format_is_built_again(tmp_path, load):
    """A cache that tells no digests, or not one for each face, is replaced by one that does."""
    folder = save_faces(tmp_path / "faces", 9)
    digests = load(str(folder), 16).digests
    (path,) = (tmp_path / "cache").glob("*.json")
    whole = path.read_text()
    report, skipped, attributes, text = json.loads(whole)
    for content in ([report, skipped, attributes], [report, skipped, attributes, text[:16]], [report, [], {}, 3]):
        path.write_text(json.dumps(content))
        np.testing.assert_array_equal(load(str(folder), 16).digests, digests)
        assert path.read_text() == whole
    first = hashlib.blake2b((folder / "good 000.png").read_bytes(), digest_size=8).hexdigest()
    assert len(digests) == 9 and f"{digests[0]:016x}" == first


def test_moved_faces_are_the_same_faces(tmp_path, load):
    """A copy elsewhere, made later, has the same digest; one that lacks a face, or has another by its name, has not."""
    folder = save_faces(tmp_path / "faces", 9)
    first = load(str(folder), 16).digest
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "faces", copy_function=shutil.copyfile)
    os.utime(moved / "good 000.png", (0, 0))
    assert load(str(moved), 16).digest == first
    shutil.copy(moved / "good 001.png", moved / "good 000.png")
    other = load(str(moved), 16).digest
    (moved / "good 008.png").unlink()
    assert len({first, other, load(str(moved), 16).digest}) == 3


def test_batches_of_some_rows(eight):
    """Only the rows that are named come, each once a pass."""
    rows = np.array([1, 2, 6])
    found = taken(data.batches(eight, 3, rows=rows, seed=2), 4)
    wanted = images.to_float(eight[rows].astype(np.float32))
    for batch in found:
        assert sorted(face.tobytes() for face in batch) == sorted(face.tobytes() for face in wanted)


def test_python_ends_with_batches_still_being_made():
    """An iterator that lives to the end of a program does not keep it from ending."""
    code = "import numpy as np, data\nb = iter(data.batches(np.zeros((99, 16, 16, 3), np.uint8), 64))\nnext(b)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)
