"""The two ways a command ends badly: each carries one message for a person, and no traceback."""


class UsageError(Exception):
    """What was asked for cannot be done: says what was given, what is allowed, what to type. Exit code 2."""

    exit_code = 2


class RunError(Exception):
    """What was asked for was tried and failed: says what happened and what is left. Exit code 1."""

    exit_code = 1
