import pytest

from gan.errors import suggest, summarize


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


def test_suggest():
    """The word that is most similar; nothing where none is."""
    assert suggest("avatar", ("orl", "avatars")) == " Did you mean avatars?"
    assert suggest("photos", ("orl", "avatars")) == ""
