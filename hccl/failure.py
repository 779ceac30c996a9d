"""What failed in a run over ranks, and which of several failures was the cause."""

import collections
import json
import signal

from mobilenet import json_files

# rank: None where a whole server failed, or where none is late in a timeout. status: exit status or
# minus a signal, None: it did not end by itself. kind: see mobilenet/errors.py. time: seconds since
# the epoch. own: it was not the launcher that ended it. output: the file with the rank's output, or
# None.
FIELDS = 'rank server status kind message time batch step own output'
Failure = collections.namedtuple('Failure', FIELDS)

FOLLOWS = ('peer', 'signal')  # kinds of ranks that only ended as another had
UNCLEAR = ('error',)  # may be the cause, or an error of a collective whose peer has gone
# What would come again: the same bits give the same NaN, a wrong flag stays wrong.
PERMANENT = ('usage', 'record', 'nan', 'lock', 'disagreement')


def cause(failures):
    """The one that the others followed: a rank that says what was wrong with it, or was killed
    from outside, else one with an error, else any; of several the earliest."""
    return min(failures, key=lambda f: (_level(f), f.time, -1 if f.rank is None else f.rank))


def _level(failure):
    if failure.kind in FOLLOWS:
        return 2
    if failure.kind == 'timeout' and failure.rank is None:
        return 1
    if failure.kind not in UNCLEAR:
        return 0
    if not failure.own:
        return 2
    return 0 if failure.status is None or failure.status < 0 else 1


def may_pass(failure):
    """Whether starting again can help."""
    return failure.status != 2 and failure.kind not in PERMANENT


def read_error(path):
    """The JSON object that a failing rank left (see mobilenet/command.py), {} where it has not."""
    try:
        with open(path, encoding='utf-8') as f:
            error = json_files.parse_object(f.read(1 << 16))
    except (OSError, ValueError):  # no UTF-8
        return {}
    kinds = {'kind': str, 'message': str, 'time': (int, float)}
    kinds.update(dict.fromkeys(('status', 'batch', 'step'), int))
    return {name: error[name] for name, kind in kinds.items() if isinstance(error.get(name), kind)}


def from_list(values):
    """The Failure that another launcher has sent as a list. Raises ValueError."""
    number, text, nothing = (int, float), str, type(None)
    kinds = [(int, nothing), text, (int, nothing), text, text, number]
    kinds += [(int, nothing), (int, nothing), bool, (text, nothing)]
    if not isinstance(values, list) or len(values) != len(kinds):
        raise ValueError(f'no failure: {values!r}')
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds)):
        raise ValueError(f'no failure: {values!r}')
    return Failure(*values)


def describe_end(failure):
    """How it ended, in words: '' for a server."""
    if failure.status is None:
        return ' with a timeout' if failure.kind == 'timeout' else ''
    if failure.status >= 0:
        return f' with exit status {failure.status}'
    try:
        return f' with signal {signal.Signals(-failure.status).name}'
    except ValueError:
        return f' with signal {-failure.status}'


def line_of(failure, num_ranks, here):
    """The line that tells of it on server `here`: the rank, its end, its error, where to read."""
    elsewhere = '' if failure.server == here else f' on {failure.server}'
    if failure.rank is not None:
        who = f'rank {failure.rank}{elsewhere}'
    else:
        who = 'the run' if failure.kind == 'timeout' else f'server {failure.server}'
    line = f'{who} failed{describe_end(failure)}'
    if failure.message:
        line += ': ' + failure.message[:1000]
    if num_ranks > 1:
        line += '; the ranks were ended' if failure.rank is None else '; the other ranks were ended'
    if failure.output is not None:
        line += f'; its output is in {failure.output}{elsewhere}'
    return line


def record(failure):
    """The line of failures.jsonl."""
    status = 1 if failure.status is None else failure.status
    entry = {'time': failure.time, 'rank': failure.rank, 'status': status}
    return json.dumps(dict(entry, error=failure.message, step=failure.step)) + '\n'
