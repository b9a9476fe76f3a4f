import numpy as np
import pytest
from data_files import open_data, read_pixels, save_pixel_table

from gan.errors import UsageError
from gan.images import UnreadableImage


@pytest.fixture
def faces():
    """Three gray images of noise, uint8 (3, 48, 48)."""
    return np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)


def test_reads_fer2013(tmp_path, faces):
    """Each row is a gray image, which is named by its number and identified by its pixels."""
    opened = open_data(save_pixel_table(tmp_path / "fer2013.csv", faces))
    assert opened.names == [f"fer2013.csv[{i}]" for i in range(3)]
    np.testing.assert_array_equal(read_pixels(opened), faces[..., None].repeat(3, axis=-1))
    _, info, content = opened.read(1)
    assert info == ("L", (48, 48)) and content == faces[1].tobytes()


@pytest.mark.parametrize(
    ("header", "change"),
    [
        ("emotion, Usage, pixels", lambda row: ",".join(np.array(row.split(","))[[0, 2, 1]])),  # icml_face_data.csv
        ("emotion,pixels", lambda row: row.rpartition(",")[0]),
        ("pixels", lambda row: row.split(",")[1]),
        ('\ufeff"emotion","pixels","Usage"', lambda row: ",".join(f'"{part}"' for part in row.split(","))),
        ("EMOTION,PIXELS,USAGE\r", lambda row: row + "\r\n\r\n"),
    ],
)
def test_other_forms(tmp_path, faces, header, change):
    """Columns in another order, missing ones, quotes, a byte order mark, and lines of Windows do not matter."""
    path = save_pixel_table(tmp_path / "a.csv", faces)
    _, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *map(change, rows)]))
    np.testing.assert_array_equal(read_pixels(open_data(path))[..., 0], faces)


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("3,1 2 3 4 5,Training", "5 pixels"),
        ("3,1 2 3 4,Training", "too small"),
        ("3," + "256 " * 100 + ",Training", "0 to 255"),
        ("3," + "-1 " * 100 + ",Training", "0 to 255"),
        ("3," + "x " * 100 + ",Training", "0 to 255"),
        ("3,,", "too small"),
        ("3", "too small"),
    ],
)
def test_rows_that_are_no_image(tmp_path, faces, row, word):
    """They are unreadable; the others are read."""
    path = save_pixel_table(tmp_path / "a.csv", faces)
    path.write_text(path.read_text() + row)
    opened = open_data(path)
    assert len(opened.names) == 4
    with pytest.raises(UnreadableImage, match=word):
        opened.read(3)
    np.testing.assert_array_equal(np.asarray(opened.read(2)[0])[..., 0], faces[2])


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"", "none"), (b"image_id,lefteye_x\n1,2", "lefteye_x"), (b"pixels,name\n1,2", "name"), (b"\0" * 900, "columns")],
)
def test_other_tables(tmp_path, content, word):
    """A table of other columns is refused with their names."""
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UsageError, match=word):
        open_data(tmp_path / "a.csv")


def test_a_row_without_end(tmp_path):
    """A row of more than a million bytes is refused before it takes memory."""
    (tmp_path / "a.csv").write_bytes(b"emotion,pixels\n" + b"1" * (1 << 20))
    with pytest.raises(UsageError, match="row 1"):
        open_data(tmp_path / "a.csv")
