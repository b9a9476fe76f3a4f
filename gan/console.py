"""Standard input, output and error, so that no work ends because of what is printed, or because nobody reads it.

prepare_streams()
"""

import codecs
import contextlib
import io
import os
import sys

NAMES = ("stdin", "stdout", "stderr")  # by their file descriptors


def prepare_streams() -> None:
    """Opens standard streams that are closed, and lets the others take any text for as long as the process runs."""
    for number in range(len(NAMES)):
        try:
            os.fstat(number)
        except OSError:  # closed by a parent (2>&-): a data file would get this number, and what libraries print there
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            os.set_inheritable(number, True)
    for number, name in enumerate(NAMES):
        if getattr(sys, name) is None:
            null = open(os.devnull, "w" if number else "r", encoding="utf-8", errors="replace")  # noqa: SIM115
            setattr(sys, name, null)
    if getattr(sys.stdout, "errors", "") in ("strict", "surrogateescape") and hasattr(sys.stdout, "reconfigure"):
        codecs.register_error("readable", escape_characters)  # a notebook's stream needs none, and stderr has one
        sys.stdout.reconfigure(errors="readable")
    for name in NAMES[1:]:
        if type(stream := getattr(sys, name)) is io.TextIOWrapper:
            setattr(sys, name, LastingStream(stream))


def escape_characters(error: UnicodeEncodeError) -> tuple[bytes, int]:
    """The error handler of a console that cannot show a character: it becomes its escape sequence, such as \\u9854.

    A byte of a file's name that is no text, as Linux allows, is printed as it is.
    """
    characters = error.object[error.start : error.end]
    shown = [
        bytes([ord(one) - 0xDC00]) if "\udc80" <= one <= "\udcff" else one.encode("ascii", "backslashreplace")
        for one in characters
    ]
    return b"".join(shown), error.end


class LastingStream:
    """A text stream that drops what cannot be written any more, as after `| head -1` or on a closed terminal."""

    def __init__(self, stream: io.TextIOWrapper):
        self.stream = stream

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        with self.drop_on_failure():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self.drop_on_failure():
            self.stream.flush()

    @contextlib.contextmanager
    def drop_on_failure(self):
        """After a failure, what is printed from then on and what is left in buffers go to the null device."""
        try:
            yield
        except OSError:
            with open(os.devnull, "w") as null:
                os.dup2(null.fileno(), self.stream.fileno())
