"""What both commands share around their work: how they end, the device, folders, config.json. No TensorFlow here."""

import json
import logging
import os
import sys

from mobilenet import devices, flags
from mobilenet.devices import npu_options
from mobilenet.errors import UsageError


def status_of(prog, main):
    """Calls `main()` for its exit status; wrong use is one line and 2, any other failure one line (the whole in the log) and 1."""
    try:
        return main()
    except UsageError as error:
        return fail(error, prog, 2)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # what failed and where
        logging.getLogger('mobilenet').exception('failed')
        return fail(
            '{}: {}'.format(type(error).__name__, (str(error).splitlines() or [''])[0]), prog, 1
        )


def fail(error, prog, status):
    """Prints an error as its one line, for the launcher too (MOBILENET_ERROR_FILE); gives `status`."""
    line = str(error).replace('\n', ' ')
    sys.stderr.write(f'{prog}: {line}\n')
    if os.environ.get('MOBILENET_ERROR_FILE'):
        with open(os.environ['MOBILENET_ERROR_FILE'], 'w') as f:
            f.write(line + '\n')
    return status


def leave(status):
    """Ends the process: TensorFlow's servers and prefetching threads do not end by themselves in every state."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def resolve_device(args):
    """Replaces `auto` in --device and in what depends on it, and checks the flags that are for one device."""
    args.device = devices.choose(args.device)
    flags.resolve_precision(args)
    if args.device == 'npu':
        npu_options.from_flags(args)
    elif npu_options.given_flags(args):
        raise UsageError(f'{npu_options.given_flags(args)[0]} is for --device=npu: leave it out')


def make_folder(path, flag):
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise UsageError(f'{flag}={path}: {error.strerror}')


def write_config(folder, args):
    """config.json: every flag as used; replaced as a whole."""
    path = os.path.join(folder, 'config.json')
    with open(path + '.tmp', 'w') as f:
        json.dump(vars(args), f, indent=2, sort_keys=True)
        f.write('\n')
    os.replace(path + '.tmp', path)


def read_config(folder):
    """The flags of the run in a folder, or {} where there is none."""
    try:
        with open(os.path.join(folder, 'config.json')) as f:
            return json.load(f)
    except (OSError, ValueError):
        return {}
