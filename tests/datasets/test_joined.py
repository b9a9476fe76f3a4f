import numpy as np
import pytest
from data_files import open_data, read_pixels, save_folder, save_npy
from PIL import Image

from gan import images
from gan.datasets.joined import join
from gan.datasets.source import Source


def test_images_of_all_sources(tmp_path, eight):
    """Images of a folder and an array follow each other; names and files that are passed over say where they are."""
    save_folder(tmp_path / "a", eight[:3])
    (tmp_path / "a" / "notes.txt").touch()
    sources = [open_data(tmp_path / "a"), open_data(save_npy(tmp_path / "b.npy", eight[3:]))]
    joined = join(sources)
    np.testing.assert_array_equal(read_pixels(joined), eight)
    assert joined.names[2:4] == ["a/2.png", "b.npy[0]"]
    assert [name for name, _ in joined.passed_over] == ["a/notes.txt"]
    assert joined.parts == (("a", 3), ("b.npy", 5))
    assert joined.identity != join(sources[::-1]).identity != sources[0].identity


def test_names_with_brackets(tmp_path, eight):
    """A file whose name begins with a bracket is in its folder; a number in brackets is of an array."""
    for folder, name in (("a", "[1].png"), ("a", "[2]"), ("b", "b[1].png")):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.fromarray(eight[0]).save(tmp_path / folder / name, "png")
    sources = [open_data(tmp_path / "a"), open_data(tmp_path / "b"), open_data(save_npy(tmp_path / "c.npy", eight[:1]))]
    assert join(sources).names == ["a/[1].png", "a/[2]", "b/b[1].png", "c.npy[0]"]


def test_sources_of_one_title(tmp_path, eight):
    """They are numbered, so that files and counts can be told apart."""
    for i, name in enumerate(("x", "y")):
        save_folder(tmp_path / name / "faces", eight[: i + 1])
    joined = join([open_data(tmp_path / name / "faces") for name in ("x", "y")])
    assert joined.parts == (("faces [1]", 1), ("faces [2]", 2)) and joined.names[1] == "faces [2]/0.png"


def test_ranges_of_values(tmp_path, load):
    """Each source has its own range: 12-bit images stay bright beside 16-bit ones, whichever come first."""
    for name, white in (("twelve", 4095), ("sixteen", 65535)):
        (tmp_path / name).mkdir()
        ramp = np.linspace(0, white, 256).reshape(16, 16).astype(np.uint16)
        Image.fromarray(ramp).save(tmp_path / name / "ramp.png")
    for names in (("twelve", "sixteen"), ("sixteen", "twelve")):
        faces = load([str(tmp_path / name) for name in names], 16)
        assert faces.images[..., 0].max(axis=(1, 2)).tolist() == [255, 255]
        assert len(faces.report["modes"]) == 2


@pytest.mark.parametrize("second", [True, False])
def test_avatars(second):
    """All are avatars if those of each source are; each source is prepared."""
    prepared = []

    def make(name, avatars):
        return Source(name, name, ["i"], lambda i: None, [], lambda: prepared.append(name), avatars=avatars)

    joined = join([make("a", True), make("b", second)])
    joined.prepare()
    assert joined.avatars == second and prepared == ["a", "b"]


def test_errors_name_the_image():
    """Each image is read by its own source: the last of the first, the first of the second, none of an empty one."""

    def make(title, count):
        def read(i):
            raise images.UnreadableImage(f"{title} {i}")

        return Source(title, title, ["n"] * count, read, [])

    joined = join([make("a", 2), make("b", 0), make("c", 3)])
    for i, words in enumerate(["a 0", "a 1", "c 0", "c 1", "c 2"]):
        with pytest.raises(images.UnreadableImage, match=words):
            joined.read(i)
