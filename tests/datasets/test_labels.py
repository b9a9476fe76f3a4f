"""Labels of a data set: folders, files in the data and beside it, several sources."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from gan.datasets import Request, open_source
from gan.datasets import labels as labels_module
from gan.datasets.labels import find_files, find_labels, join_labels, label_folders
from gan.datasets.source import Source
from gan.errors import UsageError
from gan.images import write_png
from gan.labels import Attribute, Labels

CELEBA = "3\nSmiling Male\n000001.jpg  1 -1\n000002.jpg -1 -1\n000003.jpg -1  1\n"


def source(names, **options):
    """A source of images of these names, which are never read."""
    return Source("faces", "faces, version 1", names, read=None, passed_over=[], **options)


def test_folders():
    """The first folder in which names differ is the class; images beside the class folders have none."""
    labels = label_folders(["a/b/cats/1.png", "a/b/cats/deep/2.png", "a/b/dogs/3.png", "a/b/4.png"])
    assert labels.attributes == (Attribute("class", ("cats", "dogs")),)
    assert labels.codes.tolist() == [[0], [0], [1], [-1]] and labels.codes.dtype == np.int32
    assert label_folders(["a/b/1.png", "a/b/2.png"]) is None and label_folders(["1.png"]) is None
    assert label_folders(["1.png", "a/2.png", "b/3.png"]).codes.tolist() == [[-1], [0], [1]]
    with pytest.raises(UsageError, match=r"a/1\.png"):
        find_labels([source(["a/1.png", "a/2.png"])], ["faces"], "folders")


@pytest.mark.parametrize(
    ("names", "values", "codes"),
    [
        (["train/happy/1.png", "test/happy/3.png", "train/sad/2.png"], ("happy", "sad"), [0, 0, 1]),
        (["afhq/train/cat/1.png", "afhq/Val/dog/1.png", "afhq/1.png"], ("cat", "dog"), [0, 1, -1]),
        (["train.zip/a/1.png", "test.tar.gz/b/1.png"], ("a", "b"), [0, 1]),
        (["cats.zip/1.png", "dogs.tar.gz/1.png"], ("cats", "dogs"), [0, 1]),
        (["a/train/1.png", "b/test/1.png"], ("a", "b"), [0, 1]),
        (["test/1.png", "other/2.png"], ("other", "test"), [1, 0]),
        (["00000/happy/1.png", "01000/sad/2.png"], ("happy", "sad"), [0, 1]),
        (["00000/00000_1.ppm", "00001/00001_1.ppm"], ("00000", "00001"), [0, 1]),
    ],
)
def test_folders_of_parts(names, values, codes):
    """Folders of splits and of a thousand images each are no classes; archives in a folder are as folders."""
    labels = label_folders(names)
    assert labels.attributes == (Attribute("class", values),) and labels.codes[:, 0].tolist() == codes


@pytest.mark.parametrize(
    "names",
    [
        ["train/1.png", "test/2.png", "3.png"],
        ["train.zip/1.png", "test.zip/2.png"],
        ["ffhq/00000/00001.png", "ffhq/01000/01001.png"],
        ["00000/img00000001.png", "00001/img00001001.png"],
    ],
)
def test_folders_of_parts_alone(names):
    """Splits, FFHQ's folders of a thousand images and StyleGAN's, without others, have no classes."""
    assert label_folders(names) is None


@pytest.mark.parametrize("wanted", ["folders", "auto"])
def test_a_class_for_each_source(tmp_path, wanted):
    """Where no source has class folders, the titles of several are classes, unless they are splits."""
    opened = []
    for title, names in (("cats", ["1.png", "2.png"]), ("dogs.zip", ["1.png"])):
        opened.append(replace(source(names), title=title))
    data = [str(tmp_path / "cats"), str(tmp_path / "dogs.zip")]
    labels, where = find_labels(opened, data, wanted)
    assert labels.attributes == (Attribute("class", ("cats", "dogs")),) and labels.codes[:, 0].tolist() == [0, 0, 1]
    assert where == "the names of the data sets"
    for first, second in (("train", "test"), ("faces", "faces")):
        with pytest.raises(UsageError, match=f"--labels {wanted}"):
            find_labels([replace(opened[0], title=first), replace(opened[1], title=second)], data, wanted)
    opened[0] = replace(opened[0], names=["a/1.png", "b/2.png"])
    with pytest.raises(UsageError, match=r"dogs\.zip"):
        find_labels(opened, data, wanted)


def test_several_sources(tmp_path):
    """One file serves all sources, one of which it may lack; an attribute may be in one source alone."""
    (tmp_path / "list.csv").write_text("file,Happy\n1.png,1\n2.png,0\n")
    sources = [source(["1.png", "2.png"]), source(["3.png"])]
    labels, _ = find_labels(sources, ["a", "b"], str(tmp_path / "list.csv"))
    assert labels.codes.tolist() == [[1], [0], [-1]]
    both = Labels((Attribute("Happy"), Attribute("Old")), np.array([[1, 0], [0, 1]], np.int32))
    sources = [
        source(["1.png", "2.png"], labels=lambda: both),
        source(["3.png"], labels=lambda: Labels((Attribute("happy"),), np.array([[1]], np.int32))),
    ]
    labels, where = find_labels(sources, ["a", "b"], "auto", ["Old", "Happy"])
    assert labels.codes.tolist() == [[0, 1], [1, 0], [-1, 1]] and where == "faces itself"
    with pytest.raises(UsageError, match="Hat"):
        find_labels(sources, ["a", "b"], "auto", ["Hat"])


def test_a_damaged_file_in_a_zip(tmp_path):
    """A label file in a zip that cannot be read is an error, and not passed over."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("dataset.json", '{"labels": [["1.png", 0], ["2.png", 1]]}')
    assert [found[1:] for found in find_files(str(path))] == [("a.zip/dataset.json", False)]
    path.write_bytes(path.read_bytes().replace(b"2.png", b"3.png"))
    with pytest.raises(UsageError, match="json: it cannot be read"):
        [read() for read, *_ in find_files(str(path))]


def test_auto_looks_beside_the_data(tmp_path):
    """Labels are found in a folder, beside it, in a zip, beside an .npz by its name; else in class folders."""
    folder = tmp_path / "faces"
    for name in ("x/1.png", "x/2.png", "y/3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, np.zeros((16, 16, 3), np.uint8))
    opened = open_source(Request(str(folder), 16))
    labels, where = find_labels([opened], [str(folder)], "auto")
    assert labels.codes[:, 0].tolist() == [0, 0, 1] and where == "class folders"
    (tmp_path / "labels.csv").write_text("file,Smiling\n1.png,1\n2.png,0\n3.png,1\n")
    labels, where = find_labels([opened], [str(folder)], "auto", ["smiling"])
    assert labels.codes[:, 0].tolist() == [1, 0, 1] and "labels.csv" in where
    (folder / "dataset.json").write_text(json.dumps({"labels": [["x/1.png", 0], ["x/2.png", 1], ["y/3.png", 1]]}))
    assert find_labels([opened], [str(folder)], "auto")[0].codes[:, 0].tolist() == [0, 1, 1]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, f"top/{path.relative_to(folder)}")
    opened = open_source(Request(str(tmp_path / "a.zip"), 16))
    labels, where = find_labels([opened], [str(tmp_path / "a.zip")], "auto")
    assert labels.codes[:, 0].tolist() == [0, 1, 1] and "top/dataset.json" in where
    with pytest.raises(UsageError, match="Smlng"):
        find_labels([opened], [str(tmp_path / "a.zip")], str(tmp_path / "labels.csv"), ["Smlng"])
    (tmp_path / "labels.csv").unlink()
    assert list(find_files(str(tmp_path / "nothing"))) == []
    with pytest.raises(UsageError, match="auto"):
        find_labels([source(["1.png"])], [str(tmp_path / "nothing")], "auto")
    with pytest.raises(UsageError, match="no such file"):
        find_labels([opened], [str(tmp_path / "a.zip")], str(tmp_path / "labels.csv"))


def test_auto_passes_over_files_of_other_data(tmp_path):
    """A file beside the data that fits no image may be other data's, and is named; one in the data is an error."""
    folder = tmp_path / "faces"
    folder.mkdir()
    (tmp_path / "list_attr_celeba.txt").write_text(CELEBA)
    images = [source(["x/1.png", "y/2.png"])]
    labels, where = find_labels(images, [str(folder)], "auto")
    assert labels.attributes[0].values == ("x", "y") and "list_attr_celeba.txt beside the data" in where
    with pytest.raises(UsageError, match=r"list_attr_celeba\.txt"):
        find_labels([source(["1.png"])], [str(folder)], "auto")
    (tmp_path / "faces.csv").write_text("file,Happy\n1.png,1\n2.png,0\n")
    assert find_labels(images, [str(folder)], "auto")[0].attributes == (Attribute("Happy"),)
    (folder / "labels.csv").write_text("file,Happy\na.png,1\nb.png,0\n")
    with pytest.raises(UsageError, match=r"labels\.csv in faces"):
        find_labels(images, [str(folder)], "auto")


def test_auto_passes_over_files_of_few_images(tmp_path):
    """A file beside the data that has rows for less than half of the images may be other data's, and is named."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "list_attr_celeba.txt").write_text(CELEBA)
    names = [f"other/happy/{i:06d}.jpg" for i in range(4)] + [f"other/sad/{i:06d}.jpg" for i in range(4, 8)]
    labels, where = find_labels([source(names)], [str(tmp_path / "faces")], "auto")
    assert labels.attributes == (Attribute("class", ("happy", "sad")),)
    assert "list_attr_celeba.txt beside the data has rows for only 3 of its 8 images" in where
    labels, where = find_labels([source(names[:6])], [str(tmp_path / "faces")], "auto")
    assert len(labels.attributes) == 2 and where == "list_attr_celeba.txt beside the data"
    assert len(find_labels([source(names)], ["faces"], str(tmp_path / "list_attr_celeba.txt"))[0].attributes) == 2


def test_auto_passes_over_unusable_files_beside_the_data(tmp_path):
    """What is no file of labels beside the data is named, with the reason; within the data it is an error."""
    folder = tmp_path / "faces"
    folder.mkdir()
    (tmp_path / "labels.csv").write_bytes(b"")
    (tmp_path / "attributes.csv").write_bytes(b"\xff\xfe")
    images = [source(["x/1.png", "y/2.png"])]
    labels, where = find_labels(images, [str(folder)], "auto")
    assert labels.attributes == (Attribute("class", ("x", "y")),)
    assert "labels.csv beside the data cannot be used: it is empty; attributes.csv" in where
    with pytest.raises(UsageError, match=r"labels\.csv beside the data cannot be used: it is empty\."):
        find_labels([source(["1.png"])], [str(folder)], "auto")
    (folder / "labels.csv").write_bytes(b"")
    with pytest.raises(UsageError, match=r"labels\.csv in faces: it is empty"):
        find_labels(images, [str(folder)], "auto")


def test_auto_passes_over_null_labels(tmp_path):
    """StyleGAN's dataset.json of images without labels is no file of labels, wherever it lies."""
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/dataset.json").write_text('{"labels": null}')
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("dataset.json", '{"labels": null}')
    for data, where in ((tmp_path / "faces", "json in faces has null"), (tmp_path / "a.zip", "a.zip/dataset.json has")):
        labels, found = find_labels([source(["x/1.png", "y/2.png"])], [str(data)], "auto")
        assert labels.attributes[0].values == ("x", "y") and where in found
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.writestr("labels.csv", "file,Happy\n1.png,1\n2.png,0\n")
    labels, found = find_labels([source(["x/1.png", "y/2.png"])], [str(tmp_path / "a.zip")], "auto")
    assert labels.attributes == (Attribute("Happy"),) and found.startswith("a.zip/labels.csv (a.zip/dataset.json has")
    with pytest.raises(UsageError, match="null"):
        find_labels([source(["1.png"])], ["faces"], str(tmp_path / "faces/dataset.json"))


def test_metadata_of_hugging_face(tmp_path):
    """metadata.csv has labels, unless it is that of another program, which is passed over and named."""
    folder = tmp_path / "faces"
    folder.mkdir()
    images = [source(["x/1.png", "y/2.png"])]
    (folder / "metadata.csv").write_text("file_name,label\nx/1.png,smile\ny/2.png,frown\n")
    labels, where = find_labels(images, [str(folder)], "auto")
    assert labels.attributes[0].values == ("frown", "smile") and where == "metadata.csv in faces"
    (folder / "metadata.csv").write_text("videoname,label\na.mp4,REAL\nb.mp4,FAKE\n")
    labels, where = find_labels(images, [str(folder)], "auto")
    assert labels.attributes[0].values == ("x", "y") and "metadata.csv in faces has no row" in where


def test_a_large_file(tmp_path, monkeypatch):
    """A file of more than 64 MB is not read, from a zip neither; the error says how much it has and may have."""
    assert labels_module.LARGEST == 64 << 20
    monkeypatch.setattr(labels_module, "LARGEST", 1 << 20)
    text = "file,Happy\n1.png,1\n" + "\n" * (3 << 19)
    (tmp_path / "labels.csv").write_text(text)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.csv", text)
    for wanted in ("auto", str(tmp_path / "labels.csv")):
        with pytest.raises(UsageError, match=r"labels\.csv: it has 1\.5 MB, and 1 MB are the most"):
            find_labels([source(["1.png"])], [str(tmp_path / "a.zip")], wanted)


def test_labels_in_an_npz(tmp_path):
    """Arrays `labels` or `y` beside the images are theirs; those of another length are refused."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    path = tmp_path / "faces.npz"
    np.savez(path, images=pixels, y=np.array([7, 9, 7, 9]))
    opened = open_source(Request(str(path), 16))
    assert find_labels([opened], [str(path)], "auto")[0].attributes[0].values == ("7", "9")
    for wrong in (np.zeros(3), np.array([None] * 4), np.array([0.5] * 4)):
        np.savez(path, images=pixels, labels=wrong)
        with pytest.raises(UsageError, match="labels"):
            find_labels([open_source(Request(str(path), 16))], [str(path)], "auto")


def test_avatars_bring_labels():
    """Avatars are labelled by what they are drawn with, the values in their order."""
    from gan.datasets.avatars import ATTRIBUTES, sample_attributes

    labels, _ = find_labels(
        [open_source(Request("avatars", 32, limit=20, seed=3))], ["avatars"], "auto", ["hair", "glasses"]
    )
    assert labels.attributes[0] == Attribute("hair", tuple(ATTRIBUTES["hair"])) and labels.codes.shape == (20, 2)
    assert [labels.attributes[1].values[code] for code in labels.codes[:, 1]] == [
        sample_attributes(3, i)["glasses"] for i in range(20)
    ]


def test_join():
    """Attributes are joined by name, values of a class united; what a source lacks is unknown."""
    first = Labels((Attribute("class", ("a", "c")), Attribute("Happy")), np.array([[0, 1], [1, -1]], np.int32))
    second = Labels((Attribute("class", ("b", "c")),), np.array([[0], [1]], np.int32))
    joined = join_labels([first, second])
    assert joined.attributes == (Attribute("class", ("a", "b", "c")), Attribute("Happy"))
    assert joined.codes.tolist() == [[0, 1], [2, -1], [1, -1], [2, -1]]
    with pytest.raises(UsageError, match="class"):
        join_labels([first, Labels((Attribute("class"),), np.array([[0]], np.int32))])
