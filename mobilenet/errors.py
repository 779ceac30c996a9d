"""How a command says that it cannot go on. Imports nothing, so that anyone may import it."""


class CommandError(Exception):
    """Ends a command with `status` and its message as one line.

    kind: what failed, for the launcher and failures.jsonl: usage, record, nan, peer (another rank
    failed, this
    one only follows), timeout, lock, disagreement, signal, error. record: the place of a bad
    record, or None.
    """

    status, kind = 1, 'error'

    def __init__(self, message, kind=None, record=None):
        super().__init__(message)
        self.kind, self.record = kind or self.kind, record


class UsageError(CommandError):
    """Wrong use or bad input: one line says what is wrong and what to change; exit status 2."""

    status, kind = 2, 'usage'


def bad_record(place, reason, on_bad_record='stop'):
    """The UsageError that names a record which cannot be read or decoded."""
    advice = '--on_bad_record=skip goes on without it; ' if on_bad_record == 'stop' else ''
    return UsageError(
        f'{place}: {reason} ({advice}scripts/check_dataset.py finds all)',
        kind='record',
        record=place,
    )


class Failure(CommandError):
    """What went wrong in a run that was rightly begun: what failed and where; exit status 1."""
