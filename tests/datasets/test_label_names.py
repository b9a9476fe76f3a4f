"""Names of labelled images: rows that fit, and rows that do not."""

import pytest

from gan.datasets.label_files import read_table
from gan.datasets.label_names import match
from gan.errors import UsageError

CELEBA = "3\nSmiling Male\n000001.jpg  1 -1\n000002.jpg -1 -1\n000003.jpg -1  1\n"


def read(text, title="labels.txt"):
    """A table of a text."""
    return read_table(text.encode(), title)


def test_names():
    """A name fits exactly, without leading folders of either side, or without its suffix; the longest end wins."""
    table = read("file,label\na/1.png,x\nb/1.png,y\nc/2.png,x\n3.jpg,y\n")
    names = ["deep/a/1.png", "b/1.png", "2.png", "q/3.png", "q/1.png", "4.png"]
    labels, ambiguous, _ = match(table, names)
    assert labels.codes[:, 0].tolist() == [0, 1, 0, 1, -1, -1] and not ambiguous
    labels, ambiguous, _ = match(read("file,label\n1.png,x\n1.png,x\n2.png,x\n2.png,y\n"), ["1.png", "2.png"])
    assert labels.codes[:, 0].tolist() == [0, -1] and ambiguous == ["2.png"]


def test_a_row_without_a_name():
    """A row of empty cells, as spreadsheets write them, or one with a label alone, fits no image."""
    for last in (",", ",cat"):
        labels, ambiguous, _ = match(read(f"id,class\n1,cat\n2,dog\n{last}\n"), ["1.png", "2.png", "3.png"])
        assert labels.codes[:, 0].tolist() == [0, 1, -1] and not ambiguous


def test_names_in_the_folders_of_a_table():
    """Leading folders of the table are dropped as far as needed, and suffixes last."""
    table = read(
        "file,label\n/home/me/lfw/m/1.png,m\n/home/me/lfw/f/1.png,f\n/home/me/lfw/f/2.v1,f\nx/a/5,m\nx/b/5,f\n"
    )
    labels, ambiguous, _ = match(table, ["m/1.png", "top/f/1.jpg", "1.png", "2.v1.jpg", "2.jpg", "b/5.JPG"])
    assert labels.codes[:, 0].tolist() == [1, 0, -1, 0, -1, 0] and ambiguous == ["1.png"]


def test_accents_in_names():
    """Names with accents fit those of macOS, which decomposes them; and so the other way round."""
    composed, decomposed = "Andr\u00e9/1.png", "Andre\u0301/1.png"
    for name, row in ((composed, decomposed), (decomposed, composed)):
        labels, *_ = match(read(f"file,label\n{row},x\nAndre/1.png,y\n"), [name])
        assert labels.codes.tolist() == [[0]]


def test_one_name_in_many_folders():
    """Time does not grow with the square of rows of one name."""
    import time

    start = time.process_time()
    rows = "\n".join(f"a{i}/face.png,{i % 2}" for i in range(20_000))
    _, ambiguous, _ = match(read(f"file,label\n{rows}\n"), [f"b{i}/face.png" for i in range(20_000)])
    assert len(ambiguous) == 20_000 and time.process_time() - start < 10


def test_rows_of_another_folder():
    """A row with a folder is not that of an image in another one, whether its own image is there or not."""
    labels, ambiguous, count = match(read("file,label\ntrain/1.jpg,m\ntrain/2.jpg,f\n"), ["train/1.jpg", "test/1.jpg"])
    assert labels.codes.tolist() == [[1], [-1]] and not ambiguous and count == 1
    table = read("file,label\ntrain/1.jpg,m\ntrain/2.jpg,f\n")
    labels, ambiguous, _ = match(table, ["data/train/1.jpg", "data/test/1.jpg", "data/test/2.jpg"])
    assert labels.codes.tolist() == [[1], [-1], [-1]] and not ambiguous
    people = read("file,sex,hat\nAnn/1.jpg,f,1\nEve/1.jpg,f,1\n")
    labels, ambiguous, _ = match(people, ["Ann/1.jpg", "Eve/1.jpg", "Bob/1.jpg"])
    assert labels.codes.tolist() == [[0, 1], [0, 1], [-1, -1]] and not ambiguous
    labels, ambiguous, count = match(people, ["Bob/1.jpg"])
    assert labels.codes.tolist() == [[-1, -1]] and ambiguous == ["Bob/1.jpg"] and count == 0


def test_a_row_of_several_images():
    """A row that images in several folders fit is that of none, and they are named; an equal name comes first."""
    table = read("file,label\n1.jpg,m\n2.jpg,f\n3,f\n")
    names = ["a/1.jpg", "b/1.jpg", "a/2.jpg", "c/1.png", "a/3.jpg", "a/3.png"]
    labels, ambiguous, count = match(table, names)
    assert labels.codes[:, 0].tolist() == [-1, -1, 0, -1, 0, 0] and count == 3
    assert ambiguous == ["a/1.jpg", "b/1.jpg", "c/1.png"]
    labels, ambiguous, _ = match(table, ["1.jpg", "b/1.jpg"], ["faces/1.jpg", "faces/b/1.jpg"])
    assert labels.codes[:, 0].tolist() == [1, -1] and not ambiguous
    labels, ambiguous, _ = match(table, ["1.jpg", "1.jpg"], ["train/1.jpg", "test/1.jpg"])
    assert labels.codes[:, 0].tolist() == [-1, -1] and ambiguous == ["train/1.jpg", "test/1.jpg"]


def test_paths_of_another_machine():
    """Rows with other first folders than the images fit where the rest is that of one row and of one image."""
    table = read("file;label\nC:\\data\\faces\\1.jpg;m\nC:\\data\\faces\\2.jpg;f\n")
    for prefixed in (["1.jpg", "2.jpg"], ["faces/1.jpg", "faces/2.jpg"], ["photos/1.jpg", "photos/2.jpg"]):
        labels, ambiguous, _ = match(table, ["1.jpg", "2.jpg"], prefixed)
        assert labels.codes[:, 0].tolist() == [1, 0] and not ambiguous
    table = read("file,label\nold/root/a/1.jpg,m\nold/root/b/1.jpg,f\n./old/root/b/2.jpg,f\n")
    labels, ambiguous, _ = match(table, ["new/a/1.jpg", "new/b/1.png", "new/c/2.jpg"])
    assert labels.codes[:, 0].tolist() == [1, 0, 0] and not ambiguous
    rows = "".join(f"/home/me/lfw/p{i}/1.png,{'fm'[i % 2]}\n" for i in range(6))
    names = [f"p{i}/1.png" for i in range(6)] + ["new.png"]
    labels, ambiguous, _ = match(read(f"file,label\n{rows}new.png,f\n"), names, [f"photos/{name}" for name in names])
    assert labels.codes[:, 0].tolist() == [0, 1, 0, 1, 0, 1, 0] and not ambiguous
    labels, ambiguous, _ = match(table, ["new/a/1.jpg", "newer/a/1.jpg", "new/c/1.jpg"])
    assert labels.codes[:, 0].tolist() == [-1, -1, -1] and len(ambiguous) == 3


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
    labels, *_ = match(read(f"200000\nA B\n{rows}\n"), [f"celeba/{i:06d}.jpg" for i in range(200_000)])
    assert labels.codes[:, 0].sum() == 100_000 and time.process_time() - start < 20
