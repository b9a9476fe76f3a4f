"""Files of labels: lists, tables and arrays, and what is none."""

import json

import numpy as np
import pytest

from gan.datasets.label_files import label_array, read_table
from gan.datasets.labels import find_labels
from gan.datasets.source import Source
from gan.errors import UsageError
from gan.labels import Attribute, Labels

CELEBA = "3\nSmiling Male\n000001.jpg  1 -1\n000002.jpg -1 -1\n000003.jpg -1  1\n"


def source(names, **options):
    """A source of images of these names, which are never read."""
    return Source("faces", "faces, version 1", names, read=None, passed_over=[], **options)


def read(text, title="labels.txt"):
    """A table of a text."""
    return read_table(text.encode(), title)


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


@pytest.mark.parametrize("index", ["", "Unnamed: 0"])
def test_an_index_is_no_file_name(index):
    """The index that pandas writes is not taken for file names without suffixes, of which it has the numbers."""
    for name in ("id", "img", "Image Name", "image_path", "filepath"):
        table = read(f"{index},{name},gender\n0,1,f\n1,2,m\n")
        assert table.names == ["1", "2"] and [each.name for each in table.labels.attributes] == ["gender"]
    assert read("id,gender,img_name\n0,f,1\n1,m,2\n").names == ["1", "2"]
    with pytest.raises(UsageError, match="header"):
        read(f"{index},gender\n0,f\n1,m\n")


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


def test_a_table_without_a_header():
    """Its first row is no header where one of its cells repeats below."""
    with pytest.raises(UsageError, match="header"):
        read("IMG_1;anna\nIMG_2;bert\nIMG_3;anna\n")
