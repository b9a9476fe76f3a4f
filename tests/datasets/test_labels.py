"""Labels of a data set: folders, tables, arrays, names that fit, and files that do not."""

import json
import zipfile

import numpy as np
import pytest

from gan.datasets import Request, open_source
from gan.datasets.labels import find_files, find_labels, join_labels, label_array, label_folders, match, read_table
from gan.datasets.source import Source
from gan.errors import UsageError
from gan.images import write_png
from gan.labels import Attribute, Labels

CELEBA = "3\nSmiling Male\n000001.jpg  1 -1\n000002.jpg -1 -1\n000003.jpg -1  1\n"


def source(names, **options):
    """A source of images of these names, which are never read."""
    return Source("faces", "faces, version 1", names, read=None, passed_over=[], **options)


def read(text, title="labels.txt"):
    """A table of a text."""
    return read_table(text.encode(), title)


def test_folders():
    """The first folder in which names differ is the class; images beside the class folders have none."""
    labels = label_folders(["a/b/cats/1.png", "a/b/cats/deep/2.png", "a/b/dogs/3.png", "a/b/4.png"])
    assert labels.attributes == (Attribute("class", ("cats", "dogs")),)
    assert labels.codes.tolist() == [[0], [0], [1], [-1]] and labels.codes.dtype == np.int32
    assert label_folders(["a/b/1.png", "a/b/2.png"]) is None and label_folders(["1.png"]) is None
    assert label_folders(["1.png", "a/2.png", "b/3.png"]).codes.tolist() == [[-1], [0], [1]]
    with pytest.raises(UsageError, match=r"a/1\.png"):
        find_labels([source(["a/1.png", "a/2.png"])], ["faces"], "folders")


def test_celeba_list():
    """CelebA's list: 1 is yes, -1 is no; the count in the first line need not be that of the rows."""
    table = read(CELEBA)
    assert table.labels.attributes == (Attribute("Smiling"), Attribute("Male"))
    assert table.names == ["000001.jpg", "000002.jpg", "000003.jpg"]
    assert table.labels.codes.tolist() == [[1, 0], [0, 0], [0, 1]]
    assert read(CELEBA.replace("3\n", "202599\n", 1)).labels.codes.tolist() == table.labels.codes.tolist()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv(delimiter):
    """Columns of yes and no, of values, and with empty cells; a column of captions is no label, and named."""
    rows = [
        "file,label,Happy,age,caption",
        *(f"{i}.png,{'ab'[i % 2]},{i % 2},{'' if i == 2 else 10 * (i % 2)},{i}" for i in range(6)),
    ]
    table = read("\ufeff" + "\n".join(rows).replace(",", delimiter))
    assert table.labels.attributes == (
        Attribute("class", ("a", "b")),
        Attribute("Happy"),
        Attribute("age", ("0", "10")),
    )
    assert table.labels.codes[:3].tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, -1]]
    assert [name for name, _ in table.unusable] == ["caption"]
    words = [f"{i}.png,{word}" for i, word in enumerate(("yes", "No", "TRUE", "false", "1", "-1"))]
    assert read("\n".join(["image_id,Smiling", *words])).labels.codes[:, 0].tolist() == [1, 0, 1, 0, 1, 0]


def test_class_columns():
    """A column label or class has values, even 0 and 1, and both names; two of these stay apart."""
    assert read("file,Label\n1.png,0\n2.png,1\n").labels.attributes == (Attribute("class", ("0", "1")),)
    labelled = Labels((Attribute("class", ("a", "b")),), np.array([[0], [1]], np.int32))
    found, _ = find_labels([source(["1.png", "2.png"], labels=lambda: labelled)], ["a"], "auto", ["Label"])
    assert found.codes.tolist() == [[0], [1]]
    text = "file,label,class\n" + "".join(f"{i}.png,{i % 2},{'ab'[i % 2]}\n" for i in range(4))
    assert read(text).labels.attributes == (Attribute("label"), Attribute("class", ("a", "b")))


def test_columns_without_a_name():
    """The index that pandas writes, named or not, is no label, nor is what follows a comma at the end of each line."""
    for text in (",file,label,\n0,1.png,a,\n1,2.png,b,\n", ",label\n1.png,a\n2.png,b\n"):
        table = read(text)
        assert table.names == ["1.png", "2.png"] and table.labels.attributes == (Attribute("class", ("a", "b")),)
        assert table.labels.codes.tolist() == [[0], [1]] and not table.unusable
    with pytest.raises(UsageError, match="header"):
        read("file,,\n1.png,a,\n")


@pytest.mark.parametrize("header", ["sex,name,picture", "sex,name,image_path", "sex,id,file"])
def test_column_of_file_names(header):
    """File names are in the column whose cells end like them, wherever it is; of several, in the usual one."""
    table = read(header + "".join(f"\n{'mf'[i % 2]},Ann,{i}.png" for i in range(4)))
    assert table.names == ["0.png", "1.png", "2.png", "3.png"] and table.labels.attributes[0].name == "sex"
    assert read("sex,name,file\nm,Ann,1\nf,Ann,2\n").names == ["1", "2"]
    assert read("thumbnail,file,sex\nt.png,1.png,m\nt.png,2.png,f\n").names == ["1.png", "2.png"]


def test_cells_of_other_programs():
    """pandas writes 1.0, 0.0 and nan for whole numbers of which some are missing; others, spaces before quotes."""
    table = read('file, Smiling, hair\n"1.png", 1.0, "long, red"\n2.png, 0.0, bob\n3.png, NaN, bob\n')
    assert table.labels.attributes == (Attribute("Smiling"), Attribute("hair", ("bob", "long, red")))
    assert table.labels.codes.tolist() == [[1, 1], [0, 0], [-1, 0]]
    assert read("file,Smiling\n1.png,y\n2.png,N\n").labels.codes.tolist() == [[1], [0]]


def test_wrong_lines_are_numbered():
    """An error names the line of the file, blank ones and line ends in quotes included."""
    for text in (
        'file,a\n"1\n.png",x\n\n3.png,x,y\n',
        "2\nA B\n\n\n1.jpg 1\n",
        "2\nA\n1.jpg 1\n\n2.jpg 5\n",
        'file,a\n1.png,x\n\n\n2.png,"x"y\n',
    ):
        with pytest.raises(UsageError, match="line 5"):
            read(text)


def test_dataset_json():
    """StyleGAN's dataset.json has classes as numbers, or a list of 0 and 1 for each image."""
    assert read(json.dumps({"labels": [["0/a.png", 3], ["0/b.png", 5]]})).labels.attributes[0].values == ("3", "5")
    table = read(json.dumps({"labels": [["a.png", [0, 1, 0]], ["b.png", [1, 0, 0]]]}))
    assert table.labels.codes.tolist() == [[1], [0]] and table.labels.width == 3
    table = read(json.dumps([["a.png", [1, 1]], ["b.png", [0, 1]]]))
    assert table.labels.attributes == (Attribute("0"), Attribute("1")) and table.labels.codes.tolist() == [
        [1, 1],
        [0, 1],
    ]


def test_dataset_json_with_null():
    """An image whose label is null has none; one with nothing else says so."""
    table = read(json.dumps({"labels": [["a.png", None], ["b.png", 3], ["c.png", 5]]}))
    assert table.names == ["b.png", "c.png"] and table.labels.codes.tolist() == [[0], [1]]
    for content, message in (
        ({"labels": [["a.png", None]]}, "no labels"),
        ({"a.png": 1}, "not a list"),
        ({"labels": [["a.png"]]}, "pairs"),
        ([{"file": "a.png", "label": 1}], "pairs"),
    ):
        with pytest.raises(UsageError, match=message):
            read(json.dumps(content))


@pytest.mark.parametrize(
    ("array", "attributes", "codes"),
    [
        (np.array([3, 1, 3]), (Attribute("class", ("1", "3")),), [[1], [0], [1]]),
        (np.array([[2.0], [0.0], [2.0]]), (Attribute("class", ("0", "2")),), [[1], [0], [1]]),
        (np.array(["b", "a", "b"]), (Attribute("class", ("a", "b")),), [[1], [0], [1]]),
        (np.array(["b", "", "a", "b", "a", ""]), (Attribute("class", ("a", "b")),), [[1], [-1], [0], [1], [0], [-1]]),
        (np.float16([2, 0, 2]), (Attribute("class", ("0", "2")),), [[1], [0], [1]]),
        (np.array([[0, 1], [1, 0]]), (Attribute("class", ("0", "1")),), [[1], [0]]),
        (np.array([[1, 1], [-1, 1]]), (Attribute("0"), Attribute("1")), [[1, 1], [0, 1]]),
    ],
)
def test_arrays(array, attributes, codes):
    """Arrays of classes, as numbers or names, one-hot or of yes and no."""
    labels = label_array(array)
    assert labels.attributes == attributes and labels.codes.tolist() == codes and labels.codes.dtype == np.int32


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 2, 2)), np.array([0.5, 1]), np.array([np.nan, 1]), np.arange(9), np.array([[2, 0]]), np.zeros(0)],
)
def test_arrays_that_are_no_labels(array):
    """Arrays that are no labels raise ValueError."""
    with pytest.raises(ValueError):
        label_array(array)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xd8\xff\xe0 a photograph", b"a\0b", b"{}", b'{"labels": null}', b'{"labels": [["a.png"]]}',
        b'{"labels": [["a.png", [1, 2]], ["b.png", [1]]]}', b'{"labels": [["a.png", "x"]]}', b"file,label\n",
        b"file\na.png\n", b"file,label\na.png,1,2\n", b"file,label,label\na.png,1,2\n", b'file,label\na.png,"b\n',
        b"2\nSmiling Male\n1.jpg 1\n", b"2\nSmiling\n1.jpg 7\n", b"2\nSmiling\n", b"[" * 100_000,
        b"file,caption\n1.png,a\n2.png,b\n3.png,c\n4.png,d\n5.png,e\n", b"1.png,a\n2.png,b\n3.png,a\n",
        b"file,a,A\n1.png,1,0\n", b"1\n\nfoo\n", b'{"labels": [["a.png", 1e300], ["b.png", 1]]}',
        b"1\nA a\n1.jpg 1 1\n",
    ],
)  # fmt: skip
def test_wrong_files(content):
    """What is no file of labels raises UsageError, which names it."""
    with pytest.raises(UsageError, match=r"x\.csv"):
        read_table(content, "x.csv")


def test_names():
    """A name fits exactly, without leading folders of either side, or without its suffix; the longest end wins."""
    table = read("file,label\na/1.png,x\nb/1.png,y\nc/2.png,x\n3.jpg,y\n")
    names = ["deep/a/1.png", "b/1.png", "2.png", "q/3.png", "q/1.png", "4.png"]
    labels, ambiguous = match(table, names)
    assert labels.codes[:, 0].tolist() == [0, 1, 0, 1, -1, -1] and ambiguous == ["q/1.png"]
    labels, ambiguous = match(read("file,label\n1.png,x\n1.png,x\n2.png,x\n2.png,y\n"), ["1.png", "2.png"])
    assert labels.codes[:, 0].tolist() == [0, -1] and ambiguous == ["2.png"]


def test_a_table_without_a_header():
    """Its first row is no header where one of its cells repeats below."""
    with pytest.raises(UsageError, match="header"):
        read("IMG_1;anna\nIMG_2;bert\nIMG_3;anna\n")


def test_a_row_without_a_name():
    """A row of empty cells, as spreadsheets write them, or one with a label alone, fits no image."""
    for last in (",", ",cat"):
        labels, ambiguous = match(read(f"id,class\n1,cat\n2,dog\n{last}\n"), ["1.png", "2.png", "3.png"])
        assert labels.codes[:, 0].tolist() == [0, 1, -1] and not ambiguous


def test_names_in_the_folders_of_a_table():
    """Leading folders of the table are dropped as far as needed, and suffixes last."""
    table = read(
        "file,label\n/home/me/lfw/m/1.png,m\n/home/me/lfw/f/1.png,f\n/home/me/lfw/f/2.v1,f\nx/a/5,m\nx/b/5,f\n"
    )
    labels, ambiguous = match(table, ["m/1.png", "top/f/1.jpg", "1.png", "2.v1.jpg", "2.jpg", "b/5.JPG"])
    assert labels.codes[:, 0].tolist() == [1, 0, -1, 0, -1, 0] and ambiguous == ["1.png"]


def test_accents_in_names():
    """Names with accents fit those of macOS, which decomposes them; and so the other way round."""
    composed, decomposed = "Andr\u00e9/1.png", "Andre\u0301/1.png"
    for name, row in ((composed, decomposed), (decomposed, composed)):
        labels, _ = match(read(f"file,label\n{row},x\nAndre/1.png,y\n"), [name])
        assert labels.codes.tolist() == [[0]]


def test_one_name_in_many_folders():
    """Time does not grow with the square of rows of one name."""
    import time

    start = time.process_time()
    rows = "\n".join(f"a{i}/face.png,{i % 2}" for i in range(20_000))
    _, ambiguous = match(read(f"file,label\n{rows}\n"), [f"b{i}/face.png" for i in range(20_000)])
    assert len(ambiguous) == 20_000 and time.process_time() - start < 10


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
        list(find_files(str(path)))


def test_names_that_do_not_fit():
    """A file that fits no image says what the images and its rows are named."""
    with pytest.raises(UsageError) as raised:
        match(read(CELEBA), [f"face {i}.png" for i in range(9)])
    for name in ("face 0.png", "face 2.png", "000001.jpg", "000003.jpg"):
        assert name in str(raised.value)
    assert "face 3.png" not in str(raised.value)


def test_a_large_table():
    """200,000 rows fit 200,000 images in seconds."""
    import time

    rows = "\n".join(f"{i:06d}.jpg {1 - 2 * (i % 2)} -1" for i in range(200_000))
    start = time.process_time()
    labels, _ = match(read(f"200000\nA B\n{rows}\n"), [f"celeba/{i:06d}.jpg" for i in range(200_000)])
    assert labels.codes[:, 0].sum() == 100_000 and time.process_time() - start < 20


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
