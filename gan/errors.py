"""The two errors that end a command with one line in place of a traceback.

raise UsageError("--limit -1: give 0 or more.")
"""


class UsageError(Exception):
    """The arguments are wrong; the message says what was given, what is allowed and what to type. Exit code 2."""

    exit_code = 2


class RunError(Exception):
    """The command failed; the message says what happened and what is left. Exit code 1."""

    exit_code = 1
