"""The two errors that end a command with one line in place of a traceback; see `gan.cli.run_command`.

raise UsageError("--limit -1: give 0 or more.")
raise UsageError(f"{path}: damaged ({summarize(error)}).") from error
"""

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """What was asked for cannot be done; the message says what was given, and what to type instead. Exit code 2."""

    exit_code = 2


class RunError(Exception):
    """It was tried, and failed; the message says what happened and what is left. Exit code 1."""

    exit_code = 1


def suggest(word: str, words: Iterable[str]) -> str:
    """Returns a question for an error's message, which of `words` was meant by `word`; "" where none is similar."""
    close = difflib.get_close_matches(word, words, n=1)
    return f" Did you mean {close[0]}?" if close else ""


def summarize(what: object, length: int = 200) -> str:
    """Returns an error's message, or another value, in one line of at most `length` characters."""
    text = " ".join(str(what).split()) or type(what).__name__
    return text if len(text) <= length else f"{text[: length - 3]}..."
