"""The prompt of `train_loop.py --step`: reads commands from a terminal or a script."""

import cmd
import codecs
import inspect
import io
import logging
import os
import signal
import sys
import threading

from mobilenet import text
from mobilenet.debug.looking import SCALARS, say
from mobilenet.errors import UsageError

TAKE_NAMES = ('print', 'watch', 'until', 'set', 'names')


class Interrupted(Exception):
    """A signal while the prompt waits for a command."""


class Prompt(cmd.Cmd):
    """commands: an object with a do_NAME for each command, whose docstring is its help, the usage
    first; run: the TrainingRun; stepper; known: names to complete; script: a Script, or None for
    the terminal.
    """

    prompt = '(step) '

    def __init__(self, commands, run, stepper, known, script=None):
        super().__init__(stdin=script.file if script else None)
        self.use_rawinput = script is None
        self._run, self._stepper, self._known, self._script = run, stepper, known, script
        self._reading = False
        self._commands = {
            name[3:]: getattr(commands, name) for name in dir(commands) if name.startswith('do_')
        }
        self._commands['help'] = self.do_help
        run.stop.hook = self._on_signal

    def ask(self):
        """Takes commands until one of them ends the prompt."""
        while True:
            try:
                self._reading = True
                self.cmdloop()
                break
            except Interrupted as interrupt:
                if interrupt.args[0] != signal.SIGINT:
                    say(f'terminated; saved {self._run.save()}')
                    self._run.quitting = self._run.stop.agreed = True
                    break
                say('')
            finally:
                self._reading = False

    def _on_signal(self, number):
        """Called where a signal is handled: whether it is dealt with."""
        if not self._reading:
            return self._stepper.interrupt(number)
        if threading.current_thread() is not threading.main_thread():
            # Only the main thread can be broken into, and it waits: this ends its wait.
            signal.pthread_kill(threading.main_thread().ident, number)
            return True
        self._reading = False  # a second one must not break into what the first one does
        raise Interrupted(number)

    def fail(self, error):
        """Says what is wrong. A script ends there: what follows was meant for another state."""
        line = text.one_line(str(error))
        say(f'error: {line}')
        if self._script:
            raise UsageError(f'{self._script.where()}: {line}')

    # ---- cmd.Cmd

    def precmd(self, line):
        self._reading = False
        if self._script and line != 'EOF':
            self._script.line_number += 1
            say(line.rstrip())
        return '' if line.lstrip().startswith('#') else line.strip()

    def postcmd(self, stop, line):
        if self._run.stop.wished:  # it came while the command ran
            raise Interrupted(signal.SIGTERM)
        self._reading = not stop
        return stop

    def onecmd(self, line):
        """Runs a command; true where the prompt ends. One that cannot be carried out says why in
        one line and leaves the run as it was.
        """
        import tensorflow as tf

        try:
            return self._one_command(line)
        except (UsageError, OSError, tf.errors.OpError) as error:
            self.fail(error)
        except Exception as error:  # the run is worth more than a command that has a fault
            logging.getLogger('mobilenet').exception(line)
            self.fail(f'{type(error).__name__}: {error}')
        return False

    def _one_command(self, line):
        if not line:
            return False  # Enter alone does nothing: in a script it would run steps unseen
        if line == 'EOF':
            say('' if self.use_rawinput else 'end of the commands')
            return self._commands['quit']('')
        name, rest, _ = self.parseline(line)
        if name not in self._commands:
            raise UsageError(f'no command {line.split()[0]}: help lists them')
        return self._commands[name](rest)

    def do_help(self, name):
        """help [COMMAND]: the commands, or one in full."""
        if name and name not in self._commands:
            raise UsageError(f'no command {name}: help lists them')
        if name:
            say(inspect.getdoc(self._commands[name]))
            return
        for _, command in sorted(self._commands.items()):
            usage = inspect.getdoc(command).split('\n\n')[0]
            say('  ' + ' '.join(usage.split()))

    def preloop(self):
        if self.use_rawinput:
            history('read')

    def postloop(self):
        if self.use_rawinput:
            history('write')

    def completenames(self, text, *ignored):
        return sorted(name for name in self._commands if name.startswith(text))

    def completedefault(self, text, line, *ignored):
        """Completion of names after a command that takes them."""
        if line.split()[0] not in TAKE_NAMES:
            return []
        return [name for name in self._known + list(SCALARS) if name.startswith(text)]


class Piped:
    """The lines of stdin as text.read_text gives them, each as it comes: who writes them may wait
    for answers.
    """

    def __init__(self):
        self._lines = None

    def readline(self):
        if self._lines is None:
            start = sys.stdin.buffer.peek(2)
            form = ('utf-8-sig', 'surrogateescape')
            if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                form = ('utf-16', 'replace')
            self._lines = io.TextIOWrapper(sys.stdin.buffer, *form)
        return self._lines.readline()


class Script:
    """Commands from a file, or from stdin (`-`). file: opened; line_number: of the last command."""

    def __init__(self, path):
        self._name, self.line_number = ('stdin' if path == '-' else path), 0
        self.file = Piped() if path == '-' else io.StringIO(text.read_text(path), newline=None)

    def where(self):
        return f'{self._name}, line {self.line_number}'


def open_script(path):
    """The Script of --step_script, or of what is piped in; None: a person at a terminal."""
    if path is None:
        return None if sys.stdin.isatty() else Script('-')
    return Script(path)


def history(what):
    """Lines typed are kept under the user's cache folder, where there is a readline."""
    try:
        import readline
    except ImportError:
        return
    readline.set_completer_delims(' \t\n()<>=!,')
    path = text.cache_dir('step_history')
    try:
        if what == 'read' and not readline.get_current_history_length():
            readline.read_history_file(path)
        elif what == 'write':
            os.makedirs(os.path.dirname(path), exist_ok=True)
            readline.set_history_length(1000)
            readline.write_history_file(path)
    except OSError:
        pass  # no history yet, or a home that cannot be written: not worth a word
