"""The one error a user sees, and the one warning of Python's."""


class UserError(Exception):
    """A mistake in what was given: one sentence that says what came, what is allowed, what to do.

    Raised at the two borders only (reading a file, building a config). The command line prints
    the sentence without a traceback and exits with code 2.
    """


class Unplanned(UserError):
    """A model of a family whose memory and operations are not counted."""


class Slower(UserWarning):
    """Something was given up and the work goes on without, more slowly.

    For rooms that cannot speak for themselves; the command line prints it as one line.
    """
