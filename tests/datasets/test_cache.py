import errno
import functools
import hashlib
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from data_files import encode_png, open_data, save_folder, save_grays, save_tar, save_zip
from PIL import Image

import data
from gan import images
from gan.datasets import cache
from gan.errors import RunError, UsageError


def test_second_load_decodes_nothing(tmp_path, load, monkeypatch):
    """The second load reads images, report and skipped files from the cache; the images are read-only."""
    folder = save_grays(tmp_path / "faces", 30)
    (folder / "bad.png").write_bytes(b"x")
    first = load(str(folder), 16)
    monkeypatch.setattr(images, "open_image", None)
    second = load(str(folder), 16)
    assert isinstance(second.images, np.memmap)
    assert not second.images.flags.writeable
    np.testing.assert_array_equal(first.images, second.images)
    assert second.skipped == first.skipped == [("bad.png", "not an image")]
    assert second.report == first.report


def test_key_depends_on_settings_and_files(tmp_path, load):
    """A change of size, crop, limit or files makes another cache."""
    folder = save_grays(tmp_path / "faces", 5)
    keys = {load(str(folder), 16, **given).report["key"] for given in ({}, {"crop": 8}, {"limit": 3}, {})}
    keys.add(load(str(folder), 20).report["key"])
    (folder / "good 000.png").unlink()
    keys.add(load(str(folder), 16).report["key"])
    assert len(keys) == 5
    assert len(os.listdir(tmp_path / "cache")) == 10


def test_avatars_are_cached(load, monkeypatch, eight):
    """The second load draws nothing, and the images are still known to be avatars."""
    attributes = {"hair": [f"color {i}" for i in range(8)]}
    monkeypatch.setattr("gan.datasets.avatars.draw", lambda count, size, seed, progress: (eight[:count], attributes))
    load("avatars", 32, limit=8)
    monkeypatch.setattr("gan.datasets.avatars.draw", None)
    faces = load("avatars", 32, limit=8)
    assert faces.avatars
    np.testing.assert_array_equal(faces.images, eight)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_interrupted_build_leaves_nothing(tmp_path, load, monkeypatch, error):
    """A build that is interrupted leaves no file, and the next build is complete."""
    folder = save_grays(tmp_path / "faces", 200)

    def interrupt(file, *options):
        if "150" in os.path.basename(file):
            raise error
        return open_image(file, *options)

    open_image = images.open_image
    monkeypatch.setattr(images, "open_image", interrupt)
    with pytest.raises(error):
        load(str(folder), 16)
    assert os.listdir(tmp_path / "cache") == []
    monkeypatch.setattr(images, "open_image", open_image)
    assert len(load(str(folder), 16).images) == 200


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks")
def test_leftovers_of_a_killed_build(tmp_path, load):
    """A start removes at once what killed builds of any images left, and no download that is under way."""
    save_grays(tmp_path / "faces", 5)
    (tmp_path / "cache").mkdir()
    for _ in ("no cache yet", "a whole cache"):
        key, others = "0123456789abcdef01234567", {"celeba.zip.part", ".film.mp4.tmp.part"}
        for name in (f".{key}.npy.x1y2.part", f".{key}.json.x1y2.part", *others):
            (tmp_path / "cache" / name).touch()
        load(str(tmp_path / "faces"), 16)
        left = {path.name for path in (tmp_path / "cache").iterdir()}
        assert others < left and {Path(name).suffix for name in left - others} == {".json", ".npy"} and len(left) == 4


def test_two_builds_at_once(tmp_path, load):
    """Two builds of one cache at the same time both succeed, and leave one cache."""
    folder, results = save_grays(tmp_path / "faces", 200), []
    threads = [threading.Thread(target=lambda: results.append(load(str(folder), 16))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results[0].images, results[1].images)
    assert len(os.listdir(tmp_path / "cache")) == 2


@pytest.mark.parametrize("damage", [b"", b"x", "cut", "longer", "no report", "other report"])
def test_damaged_cache_is_rebuilt(tmp_path, load, capsys, damage):
    """A cache that is empty, invalid, too short, too long or has no report is rebuilt, with a warning."""
    folder = save_grays(tmp_path / "faces", 9)
    load(str(folder), 16)
    (path,) = (tmp_path / "cache").glob("*.npy")
    whole, report = path.read_bytes(), path.with_suffix(".json")
    files = {"cut": (path, whole[:-1]), "longer": (path, whole + b"x"), "other report": (report, b"3")}
    if damage == "no report":
        report.unlink()
    else:
        damaged, content = files.get(damage, (path, damage))
        damaged.write_bytes(content)
    assert len(load(str(folder), 16).images) == 9
    assert path.read_bytes() == whole
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("files", "words"),
    [([], "it is empty"), (["a.txt"], r"a.txt \(.txt is not"), (["a.png"], r"a.png \(empty file\)")],
)
def test_no_readable_image(tmp_path, load, files, words):
    """A folder without a readable image, whatever else is in it, raises one line, and leaves no cache."""
    (tmp_path / "faces").mkdir()
    for name in files:
        (tmp_path / "faces" / name).touch()
    with pytest.raises(RunError, match=f"faces: {words}") as caught:
        load(str(tmp_path / "faces"), 16, allow_bad=True)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOMEM, MemoryError), (errno.EACCES, UsageError), (errno.EIO, UsageError)]
)
def test_a_cache_that_cannot_be_read(tmp_path, load, monkeypatch, code, error):
    """It is not called damaged, and it stays."""
    folder = str(save_grays(tmp_path / "faces", 5))
    load(folder, 16)

    def fail(*_, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(cache.files, "map_array", fail)
    with pytest.raises(error, match=os.strerror(code)):
        load(folder, 16)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 1


def test_unwritable_cache(tmp_path):
    """If the cache cannot be written, the error names the flag for another folder."""
    folder = save_grays(tmp_path / "faces", 1)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--cache-dir"):
        data.load(str(folder), 16, cache_dir=tmp_path / "file" / "cache")


def test_header_has_a_fixed_length(tmp_path):
    """The header is 128 bytes long for one image and for a billion."""
    for count in (1, 10**9):
        with open(tmp_path / "a.npy", "w+b") as file:
            cache._write_header(file, (count, 128, 128, 3))
            assert file.tell() == 128


def test_cache_of_another_format_is_rebuilt(tmp_path, load):
    """A cache without digests, or without one for each image, is rebuilt."""
    folder = save_grays(tmp_path / "faces", 9)
    digests = load(str(folder), 16).digests
    (path,) = (tmp_path / "cache").glob("*.json")
    whole = path.read_text()
    report, skipped, hexadecimal, _, checksum = json.loads(whole)
    for parts in (
        [report, skipped],
        [report, skipped, hexadecimal[:16]],
        [report, skipped, hexadecimal],
        [report, skipped, hexadecimal, [[1]]],
        [report, skipped, {}, hexadecimal],
        [report, [], 3],
        [report | {"size": 4}, skipped, hexadecimal],
    ):
        path.write_text(json.dumps([*parts, cache.compute_key(*parts)]))
        np.testing.assert_array_equal(load(str(folder), 16).digests, digests)
        assert path.read_text() == whole
    changed = [report | {"source": "another"}, skipped, hexadecimal, checksum]
    for content in (changed, [], {}, 3, None):
        path.write_text(json.dumps(content))
        np.testing.assert_array_equal(load(str(folder), 16).digests, digests)
        assert path.read_text() == whole
    first = hashlib.blake2b((folder / "good 000.png").read_bytes(), digest_size=8).hexdigest()
    assert len(digests) == 9 and f"{digests[0]:016x}" == first


def test_progress(tmp_path, load, capsys):
    """Decoding displays its progress under the title of the source."""
    load(str(save_grays(tmp_path / "faces", 8)), 16)
    assert capsys.readouterr().out.splitlines() == [f"Decoding faces: {n}%" for n in (25, 50, 75, 100)]


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "Stale file handle"), MemoryError()])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a", "gan.images._read_file"),
        ("a.zip", "zipfile.ZipFile.open"),
        ("a.tar", "gan.datasets.source.open"),
        ("a.tgz", "gan.datasets.indexed_gzip.open"),
    ],
)
def test_failures_that_may_pass(tmp_path, monkeypatch, eight, name, place, error):
    """They end the decoding, name the file, and leave nothing; when they have passed, all images are read."""
    files = {f"{i}.png": encode_png(face) for i, face in enumerate(eight)}
    if name == "a":
        save_folder(tmp_path / name, eight)
    else:
        {"a.zip": save_zip, "a.tar": save_tar, "a.tgz": functools.partial(save_tar, packed=True)}[name](
            tmp_path / name, files
        )
    source, path = open_data(tmp_path / name), tmp_path / "cache" / "0.npy"

    def fail(*_, **options):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(place, fail, raising=False)
        with pytest.raises(RunError, match=r"0\.png in a.* cannot be read now .*the same command"):
            cache.build(path, source, 16, numbers=range(8))
    assert os.listdir(path.parent) == []
    cache.build(path, source, 16, numbers=range(8))
    assert len(cache.read(path).pixels) == 8


def test_range_of_several_frames(tmp_path, load):
    """The first page of a TIFF of more than 8 bits is scaled like other images, and counted."""
    (tmp_path / "faces").mkdir()
    for i, pages in enumerate(([], [Image.new("I;16", (16, 16))])):
        page = Image.fromarray(np.full((16, 16), 4095 // (i + 1), np.uint16))
        page.save(tmp_path / "faces" / f"{i}.tif", save_all=True, append_images=pages)
    faces = load(str(tmp_path / "faces"), 16)
    assert faces.images[:, 0, 0, 0].tolist() == [255, 127]
    mode = "I;16 of 2,047 to 4,095, read as 12-bit"
    assert faces.report["modes"] == {mode: 1, f"{mode}, first of several frames": 1}
