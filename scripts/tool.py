"""What the data scripts share: flags, the way they end, and the last lines they print."""

import contextlib
import errno
import os
import signal
import sys

from data import convert
from mobilenet import command, cores, flag_types, terminal, text
from mobilenet.errors import CommandError, UsageError
from mobilenet.repeats import Repeats

CONVERSION_STOPPED = 'the same command goes on with the files that are not whole yet'
NOTES_SHOWN = 20
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(main, name=None, stopped='start it again'):
    """Calls `main`. Ends with its status (None: 0), with 2 and one line on wrong use, with 1 and
    one line else. stopped: what to do after a signal.
    """
    terminal.protect(outliving=False)
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # a shell's background job
        signal.signal(signal.SIGINT, _stop)
    name = name or os.path.basename(sys.argv[0])
    try:
        command.check_current_folder()
        status = main()
        sys.stdout.flush()
    except CommandError as error:
        print(f'{name}: {text.printable(str(error))}', file=sys.stderr)
        status = error.status
    except KeyboardInterrupt:
        print(f'{name}: stopped; {stopped}', file=sys.stderr)
        status = 1
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except (OSError, RuntimeError, MemoryError) as error:
        reason = text.one_line(str(error)) or type(error).__name__
        if getattr(error, 'errno', None) in FULL and error.filename is None:
            reason = f'{error.strerror}: standard output, or a file that this command writes'
        print(f'{name}: {reason}', file=sys.stderr)
        status = 1
    sys.exit(status)


class Terminated(KeyboardInterrupt):
    """SIGTERM; as Ctrl-C, so that workers are ended and temporary files removed."""


_repeats = Repeats()


def _stop(signum, frame):
    if not _repeats.has(signum):
        raise Terminated if signum == signal.SIGTERM else KeyboardInterrupt


@contextlib.contextmanager
def child(process):
    """Around the wait for a Popen: what stops this command stops that one, and is waited for, as it
    may have to save. Ctrl-C reaches it by itself, a second one ends it.
    """
    try:
        yield process
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt) or isinstance(error, Terminated):
            process.terminate()
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
        raise


def parse_with_trained(parser, argv, names):
    """The arguments of a command that takes --checkpoint_path; of the flags of these names the
    defaults are those of the training beside it. Raises UsageError.
    """
    path = parser.parse_args(argv).checkpoint_path
    if not path:
        raise UsageError(command.NO_WEIGHTS)
    trained = command.trained_flags(path, names)
    return parser.parse_args([f'--{name}={value}' for name, value in trained.items()] + argv)


def check_output(path, flag, suffix=''):
    """Raises UsageError where no file of that suffix can be written: before the work for it."""
    if os.path.isdir(path):
        raise UsageError(f'{flag}={path} is a folder: give the name of a file')
    folder = os.path.dirname(path) or '.'
    if not os.path.isdir(folder):
        raise UsageError(f'{flag}={path}: no such folder')
    if not os.access(path if os.path.exists(path) else folder, os.W_OK):
        raise UsageError(f'{flag}={path}: Permission denied')
    if not path.endswith(suffix):
        raise UsageError(f'{flag}={path}: the name has to end with {suffix}')


def add_process_flag(parser):
    parser.add_argument(
        '--num_processes',
        type=flag_types.count(),
        default=cores.count(),
        help='default: the cores of this process',
    )


def add_convert_flags(parser):
    parser.add_argument(
        '--on_bad_image',
        choices=('skip', 'stop'),
        default='skip',
        help='a file that is not an image is named and left out (default), or stops the command',
    )
    parser.add_argument(
        '--seed',
        type=flag_types.number(0, 2**32 - 1, kind=int),
        default=0,
        help='of the order of the records; default 0',
    )
    parser.add_argument(
        '--apply_exif',
        action='store_true',
        help='turn and mirror images as their EXIF data says; they become PNGs. Off by default, as '
        'in TF-slim',
    )
    add_process_flag(parser)
    parser.add_argument('--overwrite', action='store_true', help='replace what OUT already holds')


def write_data_set(args, listed, num_shards, class_names, first_label=0):
    """Writes {split: [Source]} and labels.txt to args.out, and prints a line a split."""
    for split, sources in listed.items():
        convert.check_num_shards(split, sources, num_shards[split])
    for split, sources in listed.items():
        summary = convert.write_split(
            args.out,
            split,
            sources,
            num_shards[split],
            args.seed,
            args.on_bad_image,
            args.num_processes,
            args.apply_exif,
        )
        print(convert.summary_line(summary), flush=True)
    convert.write_labels(args.out, class_names, first_label)


def print_notes(notes):
    """What a person should know of a data set, on stderr."""
    for note in notes[:NOTES_SHOWN]:
        print(note, file=sys.stderr)
    if len(notes) > NOTES_SHOWN:
        print(f'… and {len(notes) - NOTES_SHOWN} more such lines', file=sys.stderr)
