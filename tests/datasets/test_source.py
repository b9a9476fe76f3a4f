import errno

import pytest
from data_files import open_data, save_folder

from gan.datasets.source import may_pass, summarize_skipped


def test_reasons_are_counted_by_kind():
    """Reasons that differ in numbers, or in a quoted name, are one kind; up to three files of one reason are named."""
    skipped = [(f"{i}.png", f"{i}x4 is too small; 8 pixels is the minimum") for i in range(1, 6)]
    skipped += [(f"{i}.jpg", f"damaged in the zip: Bad CRC-32 for file '{i}.jpg'") for i in "ab"]
    skipped += [("c.gif", "truncated"), ("d.gif", "truncated")]
    first, second, third = summarize_skipped(skipped).split("), ")
    assert first.startswith("5 such as 1.png") and "1x4" in first
    assert second.startswith("2 such as a.jpg") and third.startswith("c.gif, d.gif (")


def test_order_and_length():
    """Missing packages come first, then the most frequent reasons; the rest is counted."""
    skipped = [(f"{i}", f".{letter} is not read") for letter in "abcdef" for i in range(2)]
    line = summarize_skipped([*skipped, ("g.mp4", "pip install av")])
    assert line.startswith("g.mp4 (pip install av)") and line.endswith("and 4 more")
    assert summarize_skipped([]) == ""


def test_names_that_would_break_the_line():
    """Line breaks and escape sequences in names do not reach the terminal."""
    assert "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m" in summarize_skipped([("a\nb\x1b[31m", "x")])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ESTALE, ""), True), (OSError(errno.EIO, ""), True), (OSError(errno.EMFILE, ""), True),
        (TimeoutError(errno.ETIMEDOUT, ""), True), (MemoryError(), True),
        (FileNotFoundError(errno.ENOENT, ""), False), (PermissionError(errno.EACCES, ""), False),
        (OSError(errno.ELOOP, ""), False), (OSError("image file is truncated"), False), (ValueError(), False),
        (None, False),
    ],
)  # fmt: skip
def test_may_pass(error, expected):
    """Errors of the system and of memory may pass, but not those of a path, or of a decoder."""
    assert may_pass(error) is expected


def test_copies_in_a_library_of_photos(tmp_path, eight):
    """They are passed over, also where the library itself is given; elsewhere, folders of these names are not."""
    library = tmp_path / "My.photoslibrary"
    for folder in ("originals/A", "resources/derivatives/A", "resources/renders", "Thumbnails"):
        save_folder(library / folder, eight[:1])
    save_folder(tmp_path / "renders", eight[:1])
    assert open_data(tmp_path).names == ["My.photoslibrary/originals/A/0.png", "renders/0.png"]
    source = open_data(library)
    assert source.names == ["originals/A/0.png"] and len(source.passed_over) == 3
    assert all("Photos" in reason for _, reason in source.passed_over)
