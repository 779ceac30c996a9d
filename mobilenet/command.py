"""What the commands share around their work: how they end, folders, config.json. No TensorFlow
here.
"""

import logging
import os
import sys
import time

from mobilenet import ending, json_files, terminal, text
from mobilenet.errors import CommandError, UsageError


def status_of(prog, main):
    """Calls `main()` for its exit status; an error is one line (a failure's whole in the log) and
    its status, 2 or 1.
    """
    terminal.protect()
    try:
        check_current_folder()
        return main()
    except UsageError as error:
        return fail(error, prog)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # what failed and where
        logger = logging.getLogger('mobilenet')
        if logger.handlers or not isinstance(error, OSError):
            logger.exception('failed')
        return fail(error, prog)


def check_current_folder():
    """Raises UsageError where it was deleted: TensorFlow's libraries would end the process."""
    try:
        os.getcwd()
    except OSError:
        raise UsageError('the current folder was deleted: change to one that is there')


def fail(error, prog):
    """Prints an error as its one line and tells it to the launcher; gives the exit status."""
    if isinstance(error, CommandError):
        status, kind, record = error.status, error.kind, error.record
        line = text.printable(str(error))
    else:
        status, kind, record = 1, 'error', None
        line = f'{type(error).__name__}: {text.one_line(str(error))}'
    sys.stderr.write(f'{prog}: {line}\n')
    place = {name: getattr(error, name, None) for name in ('batch', 'step')}  # see TrainingRun
    tell_launcher(status=status, kind=kind, record=record, message=line, **place)
    return status


def tell_launcher(**failure):
    """Writes what failed as JSON to MOBILENET_ERROR_FILE, whole or not at all, where a launcher
    asks for it.
    """
    path = os.environ.get('MOBILENET_ERROR_FILE')
    if not path:
        return
    rank = os.environ.get('RANK_ID', '0')
    rank = int(rank) if rank.isdigit() else None
    json_files.write_object(path, dict(failure, rank=rank, time=time.time()))


def leave(status):
    """Ends the process: TensorFlow's servers and prefetching threads do not end by themselves in
    every state.
    """
    ending.close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def refuse_tilde(path, flag):
    """Raises UsageError where a shell has left ~ in place: a folder of that name would be made."""
    if path.startswith('~/'):
        raise UsageError(f'{flag}={path}{text.TILDE}')


def make_folder(path, flag):
    refuse_tilde(path, flag)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UsageError(f'{flag}={path}: {error.strerror}')


NO_WEIGHTS = '--checkpoint_path is missing: give a checkpoint, a folder, a .pb or a SavedModel'


def write_config(folder, config):
    """config.json: every flag as used; replaced as a whole."""
    json_files.write_object(os.path.join(folder, 'config.json'), config.flags)


def read_config(folder):
    """The flags of the run in a folder, or {} where there is none."""
    return json_files.read_object(os.path.join(folder, 'config.json'))


def trained_flags(path, names):
    """{name: text} of those flags of the training beside weights: another command's defaults, as
    text, so that they are checked as on a command line (the file may have been edited).

    {} without a config.json. Raises UsageError where it cannot be read: figures with the defaults
    of another recipe would be wrong in silence.
    """
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    flags = read_config(folder)
    file = os.path.join(folder, 'config.json')
    if not flags and os.path.exists(file):
        raise UsageError(
            f'{file} is damaged or holds no flags: remove it, and give the flags of the training'
        )
    return {name: str(flags[name]) for name in names if flags.get(name) is not None}
