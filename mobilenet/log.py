"""A rank's log file, and lines for the person at the terminal."""

import logging
import os
import sys

from tqdm import tqdm

from mobilenet.errors import UsageError
from mobilenet.log_file import LogFile


def open_log(train_dir, rank):
    """The logger of a rank, which appends to its log. Raises UsageError."""
    return log_to(path_of(train_dir, rank))


def path_of(train_dir, rank):
    """train.log, or train_rank_R.log."""
    return os.path.join(train_dir, f'train_rank_{rank}.log' if rank else 'train.log')


def log_to(path):
    """A logger that appends to a file. Raises UsageError where that cannot be written to."""
    logger = logging.getLogger('mobilenet')
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        handler = LogFile(path)
    except OSError as error:
        raise UsageError(f'{path} cannot be written to: {error.strerror}')
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    return logger


def say(logger, text, to_terminal=True):
    """A line in the log, and on stderr, past a bar that may be there."""
    logger.info(text)
    if to_terminal:
        with tqdm.external_write_mode():
            print(text, file=sys.stderr, flush=True)
