"""The one exception that means "wrong use or bad input". Imports nothing, so that anyone may import it."""


class UsageError(Exception):
    """Wrong use or bad input: its message is one line that says what is wrong and what to change.

    The commands print it on stderr, without a traceback, and exit with status 2.
    """
