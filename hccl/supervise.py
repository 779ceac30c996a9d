"""Starts the ranks, again after a failure where that is wanted, and keeps a record of failures."""

import os
import signal
import time

from hccl import failure
from hccl.attempt import say

PAUSE = 1.0  # seconds between a failure and the next start


def supervise(link, start, stop, max_restarts, start_limit, log_dir, here):
    """Runs attempts until one ends well, or one fails for good; gives the exit status.

    Args:
      link: link.Link or link.Alone.
      start: gives the failures of a new attempt's ranks here, when all have ended.
      stop: signals.Stop; start_limit: seconds for the launchers to meet; here: this server's id.
    """
    num_ranks = len(link.all_ranks)
    while True:
        cause = link.meet(stop, start_limit)
        if cause is None:
            if stop.asked:
                say('stopped before its ranks were started')
                return 1
            cause = link.agree(start(), stop)
        if cause is None:
            return 0
        if link.is_first and cause.kind != 'lock':  # the folder is another run's
            write_record(log_dir, cause)
        again = link.attempt < max_restarts and failure.may_pass(cause) and not stop.asked
        line = failure.line_of(explain(cause, stop), num_ranks, here)
        if not again:
            say(line)
            return 2 if cause.status == 2 else 1
        link.next_attempt(cause)
        say(
            f'{line}; all ranks start again from the last checkpoint '
            f'(restart {link.attempt} of {max_restarts})'
        )
        time.sleep(PAUSE)


def explain(cause, stop):
    """A Failure that comes from a stop, in the words of one."""
    if len(stop.asked) > 1 and cause.status == -signal.SIGKILL:
        text = f'killed at the second {signal.Signals(stop.asked[1]).name}'
    elif stop.asked and cause.status in (-signal.SIGINT, -signal.SIGTERM, 128 + signal.SIGINT):
        text = 'stopped before its training loop had begun'
    else:
        return cause
    return cause._replace(message=text)


def write_record(log_dir, cause):
    """Adds a line to failures.jsonl."""
    try:
        with open(os.path.join(log_dir, 'failures.jsonl'), 'a', encoding='utf-8') as f:
            f.write(failure.record(cause))
    except OSError as error:
        say(f'failures.jsonl: {error.strerror}')
