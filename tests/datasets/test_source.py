from gan.datasets.source import summarize_skipped


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
