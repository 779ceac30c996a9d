"""What has to be closed before this process ends: its end is os._exit, which closes nothing.

An NPU's adapter writes profiles and dumps to their end when it is closed, once its session is gone.
No TensorFlow here.
"""

import gc
import logging
import threading

SECONDS = 60.0  # that closing may take: a device that hangs must not keep the process
_functions = []


def before_exit(function):
    """Lets `close_all` call function(), once; the last one first."""
    if function not in _functions:
        _functions.append(function)


def close_all():
    """Calls what `before_exit` was given; gives whether all came back in time."""
    if not _functions:
        return True
    thread = threading.Thread(target=_close, daemon=True)
    thread.start()
    thread.join(SECONDS)
    if thread.is_alive():
        logging.getLogger('mobilenet').error('closing took more than %g s, and was left', SECONDS)
    return not thread.is_alive()


def _close():
    gc.collect()  # a session that an error's traceback still held
    while _functions:
        try:
            _functions.pop()()
        except Exception:
            logging.getLogger('mobilenet').exception('while closing')
