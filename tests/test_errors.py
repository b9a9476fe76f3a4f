import pytest

from gan.errors import summarize


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (ValueError(), "ValueError"),
        (ValueError("x" * 300), "x" * 197 + "..."),
        ("x" * 200, "x" * 200),
        (7, "7"),
    ],
)
def test_summarize(what, text):
    """One line of at most 200 characters; the name of the type where there is no text."""
    assert summarize(what) == text
