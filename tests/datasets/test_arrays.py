import os
import zipfile

import numpy as np
import pytest
from data_files import open_data, read_pixels, save_npy

from gan.datasets import arrays
from gan.errors import UsageError
from gan.images import UnreadableImage


@pytest.mark.parametrize(
    ("convert", "mode"),
    [
        (lambda x: x, "RGB of uint8, read as 0 to 255"),
        (lambda x: (x / 255).astype(np.float32), "RGB of float32, 0 to 1, read as [0, 1]"),
        (lambda x: x / 127.5 - 1, "RGB of float64, -1 to 1, read as [-1, 1]"),
        (lambda x: (x / 255).astype(np.float16), "RGB of float16, 0 to 1, read as [0, 1]"),
        (lambda x: x.astype(np.int32), "RGB of int32, 0 to 255, read as 8-bit"),
        (lambda x: x.astype(np.uint16) * 257, "RGB of uint16, 0 to 65,535, read as 16-bit"),
        (lambda x: np.round(x * (4095 / 255)).astype(">u2"), "RGB of >u2, 0 to 4,095, read as 12-bit"),
        (lambda x: (x.astype(np.int16) - 128).astype(np.int8), "RGB of int8, -128 to 127, read as signed 8-bit"),
        (
            lambda x: (x.astype(np.int32) * 257 - 32768).astype(np.int16),
            "RGB of int16, -32,768 to 32,767, read as signed 16-bit",
        ),
        (lambda x: x.astype(np.float32), "RGB of float32, 0 to 255, read as 0..255"),
        (lambda x: x / 255 - 0.5, "RGB of float64, -0.5 to 0.5, read as [-0.5, 0.5]"),
    ],
)
def test_ranges_of_values(tmp_path, eight, convert, mode):
    """Every type and range of values gives the original uint8, and is named in the mode."""
    source = open_data(save_npy(tmp_path / "a.npy", convert(eight)))
    np.testing.assert_array_equal(read_pixels(source), eight)
    assert source.read(0)[1] == (mode, (32, 32))


def test_one_value_does_not_decide(tmp_path, eight):
    """An overshoot, or one extreme value, changes neither the range nor the other values, in the whole set."""
    for name, array, scale in (
        ("floats.npy", (eight / 255).astype(np.float32), 1),
        ("integers.npy", np.round(eight * (4095 / 255)).astype(np.uint16), 4095),
    ):
        usual, extremes = array.copy(), {(3, 2, 1, 0): 1.02 * scale, (5, 1, 1, 1): 16 * scale}
        extremes |= {(7, 0, 0, 2): -1e-6, (7, 0, 0, 1): -0.2} if name == "floats.npy" else {}
        for place, value in extremes.items():
            array[place] = value
        pixels = read_pixels(open_data(save_npy(tmp_path / name, array)))
        assert all(pixels[place] == (255 if value > 1 else 0) for place, value in extremes.items())
        same = array == usual
        np.testing.assert_array_equal(pixels[same], eight[same])


def test_dark_images_in_a_bright_set(tmp_path, eight):
    """The range is that of the whole set: a dark image stays dark."""
    array = eight.astype(np.uint16) * 257
    array[1] //= 200
    pixels = read_pixels(open_data(save_npy(tmp_path / "a.npy", array)))
    assert pixels[1].max() == 1 and pixels[0].max() == 255


def test_nan(tmp_path, eight):
    """Images that hold NaN or infinity are unreadable, each by its number; the others are read."""
    array = (eight / 255).astype(np.float32)
    array[2, 0, 0, 0], array[5, 1, 1, 1] = np.nan, np.inf
    source = open_data(save_npy(tmp_path / "a.npy", array))
    source.prepare()
    for i in range(8):
        if i in (2, 5):
            with pytest.raises(UnreadableImage):
                source.read(i)
        else:
            np.testing.assert_array_equal(source.read(i)[0], eight[i])


def test_gray_images(tmp_path, eight):
    """Arrays (n, h, w) and (n, h, w, 1) are gray images."""
    gray = eight[..., 0]
    for array in (gray, gray[..., None]):
        source = open_data(save_npy(tmp_path / "a.npy", array))
        np.testing.assert_array_equal(read_pixels(source), np.stack([gray] * 3, axis=-1))
        assert source.read(0)[1].mode == "L of uint8, read as 0 to 255"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 8, 8), 2.0), "from 2 to 2"),
        (np.linspace(-2.1, 2.6, 128).reshape(2, 8, 8), "from -2.1 to 2.6"),
        (np.full((2, 8, 8), 1e9), "from 1e.09 to 1e.09"),
        (np.full((2, 8, 8), 2**40), "from 1.09951e.12"),
        (np.full((2, 8, 8), np.nan), "NaN"),
        (np.zeros((0, 8, 8)), r"\(0, 8, 8\)"),
        (np.zeros((2, 8, 8), complex), r"complex128 \(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), r"uint8 \(2, 8, 8, 4\)"),
        (np.array([{}, {}]), r"Python objects \(2,\)"),
    ],
)
def test_arrays_that_are_not_images(tmp_path, array, words):
    """Other ranges, types and shapes, and no images, are refused; the error says what was found."""
    with pytest.raises(UsageError, match=words):
        open_data(save_npy(tmp_path / "a.npy", array)).prepare()


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_not_a_numpy_file(tmp_path, name, content):
    """Files that only have the suffix .npy or .npz are refused."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match="not a NumPy file"):
        open_data(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "words"), [(b"<html>login", "web page"), (b"%PDF", "PDF"), (b"version https://git-lfs", "git lfs pull")]
)
def test_another_file_by_that_name(tmp_path, content, words):
    """The error says what the file is."""
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=words):
            open_data(tmp_path / name)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((2, 3, 8, 8), "moveaxis"),
        ((2, 1, 8, 8), "moveaxis"),
        ((2, 8, 8, 4), r"x\[\.\.\., :3\]"),
        ((9, 9, 3), r"x\[None\]"),
    ],
)
def test_channels_elsewhere(tmp_path, shape, words):
    """Arrays whose channels come first, or that have a fourth one, are refused with what to type."""
    with pytest.raises(UsageError, match=words):
        open_data(save_npy(tmp_path / "a.npy", np.zeros(shape, np.uint8)))


def test_a_wrong_suffix(tmp_path, eight):
    """The content decides whether a file is a .npy or a .npz."""
    np.savez(tmp_path / "a.npz", x=eight)
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", eight)
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    for name in ("a.npy", "b.npz"):
        np.testing.assert_array_equal(read_pixels(open_data(tmp_path / name)), eight)


def test_an_array_without_a_name(tmp_path, eight):
    """The only array of a .npz may have no name."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open(".npy", "w") as file:
        np.save(file, eight)
    np.testing.assert_array_equal(read_pixels(open_data(tmp_path / "a.npz")), eight)


def test_damaged_arrays(tmp_path, eight):
    """Files that are cut short or changed inside are refused before an image is read."""
    save_npy(tmp_path / "a.npy", eight)
    np.savez(tmp_path / "a.npz", x=eight)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[5000] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(UsageError, match="damaged"):
            open_data(tmp_path / name).prepare()


def test_identity_depends_on_the_path(tmp_path, eight):
    """Two files of the same size and time, as unzip leaves them, have different identities."""
    for i, name in enumerate(("men.npy", "women.npy")):
        np.save(tmp_path / name, eight + np.uint8(i))
        os.utime(tmp_path / name, ns=(1, 1))
    men, women = open_data(tmp_path / "men.npy"), open_data(tmp_path / "women.npy")
    assert men.identity != women.identity and men.identity == open_data(tmp_path / "men.npy").identity


def test_choice_of_the_array(tmp_path, eight):
    """The only possible array is chosen, else one of a usual name; otherwise the error lists all arrays."""
    path = tmp_path / "a.npz"
    np.savez(path, photos=eight, labels=np.arange(8), names=np.array([{}]))
    np.testing.assert_array_equal(read_pixels(open_data(path)), eight)
    np.savez(path, photos=eight, points=np.zeros((8, 5, 2), int))  # integers are images only where nothing else is
    np.testing.assert_array_equal(read_pixels(open_data(path)), eight)
    np.savez(path, images=eight.astype(np.uint16), masks=np.zeros((8, 32, 32)))  # a usual name comes first
    np.testing.assert_array_equal(read_pixels(open_data(path)), eight)
    np.savez(path, a=eight[::-1], x=eight)
    np.testing.assert_array_equal(read_pixels(open_data(path)), eight)
    np.savez(path, a=eight, b=eight)
    with pytest.raises(UsageError, match=r"a uint8 \(8, 32, 32, 3\); b uint8 \(8, 32, 32, 3\)"):
        open_data(path)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("shape", ["(2**40, 8, 8)", "(1099511627776, 8, 8, 3)", "(-8, 8, 8)", "((", "(8.5, 8, 8)"])
def test_headers_that_say_more_than_there_is(tmp_path, name, shape):
    """A shape that the file does not hold, and one that is none, are refused at once."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    content = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + bytes(1000)
    path = tmp_path / name
    if name == "a.npy":
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("images.npy", content)
    with pytest.raises(UsageError, match="not a NumPy file") as caught:
        open_data(path)
    assert len(str(caught.value)) < 500


def test_a_damaged_npz(tmp_path, eight):
    """Any byte of a compressed array may be wrong: it is refused, or the images are those that were stored."""
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=eight)
    whole = path.read_bytes()
    for position in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            np.testing.assert_array_equal(read_pixels(open_data(path)), eight)
        except UsageError as error:
            assert str(path) in str(error)


@pytest.mark.parametrize("shape", [(0, 8, 8), (6, 0, 8, 3), (6, 8, 0), (0, 0, 0)])
def test_images_without_pixels(tmp_path, shape):
    """An array in which any side is 0 is refused; its shape is named."""
    with pytest.raises(UsageError) as caught:
        open_data(save_npy(tmp_path / "a.npy", np.zeros(shape, np.float32)))
    assert str(shape) in str(caught.value)


def test_more_than_the_memory(tmp_path, eight, monkeypatch):
    """An array that would not fit is refused before it is read; that of a .npy is mapped."""
    np.savez_compressed(tmp_path / "a.npz", faces=eight)
    monkeypatch.setattr(arrays, "available_memory", lambda: eight.nbytes - 1)
    with pytest.raises(UsageError, match=r"unpack it, and give its faces\.npy"):
        open_data(tmp_path / "a.npz").prepare()
    np.testing.assert_array_equal(read_pixels(open_data(save_npy(tmp_path / "a.npy", eight))), eight)
    for enough in (eight.nbytes, None):
        monkeypatch.setattr(arrays, "available_memory", lambda enough=enough: enough)
        np.testing.assert_array_equal(read_pixels(open_data(tmp_path / "a.npz")), eight)
