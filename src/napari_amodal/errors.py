"""The errors that a person is meant to read."""


class InputError(ValueError):
    """What was given cannot be used; the message says what, where and what to do."""


class CallError(InputError):
    """The call itself is wrong: an unknown name, a path that is not there, a frame out of range."""


class Cancelled(Exception):  # noqa: N818 (not an error)
    """The person who started a run has stopped it."""
