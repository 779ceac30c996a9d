"""The commands of `train_loop.py --step`: a debugger for training steps.

`Stepper.stop` is called before each loop and after the last one. It either lets the loop go on or takes commands until one of
them runs steps. Everything is printed on stdout as plain text without times, so that a script gives the same text twice.
"""

import cmd
import collections
import inspect
import os
import signal

from mobilenet.debug import commands, expressions
from mobilenet.debug.commands import CONTINUE, Plan
from mobilenet.debug.names import split
from mobilenet.errors import UsageError

# What the run does for the stepper. longest_loop: steps that one session run may take; draw_batch(batch, path): writes a contact
# sheet, gives lines of text; save(): gives the checkpoint's path; entry(values, batch): a loop's values as a line of metrics.jsonl.
Tools = collections.namedtuple(
    'Tools', ['total_steps', 'longest_loop', 'train_dir', 'draw_batch', 'save', 'entry']
)
SCALARS = (
    'loss',
    'total_loss',
    'accuracy',
    'learning_rate',
    'loss_scale',
    'skipped_steps',
    'global_step',
    'batch',
)


class Interrupted(Exception):
    """A signal while the stepper waits for a command."""


class Stepper(commands.Commands, cmd.Cmd):
    """inspection: runs the steps; tools: Tools; script: a text file of commands, or None for the terminal."""

    prompt = '(step) '

    def __init__(self, inspection, tools, script=None):
        cmd.Cmd.__init__(self, stdin=script)
        self.use_rawinput = script is None
        self.inspection, self.tools = inspection, tools
        self.watches = []
        self.batch, self.halted, self.entry = 0, False, None
        self._plan, self._quit, self._reading, self._interrupted = (
            Plan(0, True, None),
            False,
            False,
            False,
        )
        self._stop_signal = None

    # ---- between the loops

    def stop(self, batch, halted, entry, stop_signal):
        """Gives (batch, halted, whether to quit) with which the run goes on.

        entry: the line of metrics.jsonl of the loop before, or None; stop_signal: train_loop's StopSignal.
        """
        self._stop_signal, stop_signal.hook = stop_signal, self._on_signal
        done = batch - self.batch
        self.batch, self.halted = batch, halted
        if entry is not None:
            self.set_entry(entry, batch, halted)
        if self._goes_on(done):
            return batch, halted, False
        if self._plan == CONTINUE and not self._interrupted:
            return batch, halted, False  # the end of a run that nobody stops
        self._show_stop()
        self._ask()
        return self.batch, self.halted, self._quit

    def _goes_on(self, done):
        """Whether the plan has steps left; what it has done is said."""
        plan = self._plan
        if plan.left is not None:
            self._plan = plan = plan._replace(left=plan.left - done)
        if (
            self._interrupted
            or self.halted
            or self.batch >= self.tools.total_steps
            or plan.left is not None
            and plan.left <= 0
        ):
            return False
        if plan.until is not None and self.entry is not None and done and self._holds(plan.until):
            return False
        if plan.single and plan.until is None:
            self.say(self.line())
        return True

    def _holds(self, expression):
        try:
            return bool(expression.value(self.lookup))
        except UsageError as error:
            self.say(f'error: {error}')
            return True

    def _show_stop(self):
        if self._interrupted:
            self.say('interrupted')
        self._interrupted = False
        self.say(
            self.line()
            if self.entry is not None
            else f'before step {self.batch} of {self.tools.total_steps}'
        )
        if self.halted:
            self.say(
                f'the loss or a gradient of batch {self.batch} is not finite: the step has changed nothing'
            )
        if self.inspection.departed:
            self.say(
                'note: run again to be looked at, the step gave another loss: the device does not repeat itself'
            )
        if self.batch >= self.tools.total_steps:
            self.say(f"the run's {self.tools.total_steps} steps are done: quit or continue ends it")
        self.show_watches()

    def _ask(self):
        self._plan = Plan(0, True, None)
        while True:
            try:
                self._reading = True
                self.cmdloop()
                break
            except Interrupted as interrupt:
                if interrupt.args[0] == signal.SIGTERM:
                    self.say(f'terminated; saved {self.tools.save()}')
                    self._quit = self._stop_signal.agreed = True
                    break
                self.say('')
            finally:
                self._reading = False

    def _on_signal(self, number):
        """Called in the handler of a signal: whether it is dealt with."""
        if self._reading:
            self._reading = False  # a second one must not break into what the first one does
            raise Interrupted(number)
        if number == signal.SIGINT and not self._interrupted:
            self._interrupted = True
            return True
        return False

    def loop_length(self, n):
        """How many of n steps the next loop takes."""
        if self._plan.single:
            return 1
        return (
            n if self._plan.left is None else max(1, min(self._plan.left, self.tools.longest_loop))
        )

    def items(self):
        """What the next run is to fetch: for `watch` and `until`."""
        wanted = list(self.watches) + ([self._plan.until] if self._plan.until else [])
        names = [n for e in wanted for n in e.names if n not in SCALARS]
        return split(self.inspection.names.select_all(names)).tensors

    def go(self, plan):
        """Ends the prompt: `plan` runs."""
        if self.batch >= self.tools.total_steps and plan != CONTINUE:
            raise UsageError(
                f'the run has no steps left: it was told to end after {self.tools.total_steps}'
            )
        if self.halted and plan != CONTINUE:
            self.inspection.rewind(self.batch)
            self.halted = False
        self._plan, self._interrupted = plan, False
        self.inspection.keep = plan != CONTINUE
        return True

    def set_entry(self, entry, batch, halted):
        """Where the run stands. batch: taken so far; that of a NaN is not counted, as it changed nothing."""
        self.batch, self.halted = batch, halted
        self.entry = dict(entry, global_step=entry['step'], batch=batch if halted else batch - 1)

    def repeat(self):
        """Runs the last steps again; the run then stands where they end."""
        values = self.inspection.repeat()
        batch = int(values['global_step'] + values['skipped_steps'])
        self.set_entry(self.tools.entry(values, batch), batch, values['halted'] > 0)

    def quit(self):
        self._quit = True
        return True

    # ---- what is said

    def say(self, text):
        self.stdout.write(text + '\n')
        self.stdout.flush()

    def line(self):
        """The last loop in one line."""
        return (
            'batch {batch}  global_step {global_step}  loss {loss:.9g}  total_loss {total_loss:.9g}  accuracy {accuracy:.4f}  '
            'learning_rate {learning_rate:.6g}  loss_scale {loss_scale:g}  skipped_steps {skipped_steps}'
        ).format(**self.entry)

    def show_watches(self):
        for number, expression in enumerate(self.watches, 1):
            try:
                value = expressions.text_of(expression.value(self.lookup))
            except UsageError as error:
                value = f'({error})'
            self.say(f'watch {number}: {expression.text} = {value}')

    def is_scalar(self, name):
        return name in SCALARS

    def scalar(self, name):
        """A figure of the last loop. Raises UsageError before the first."""
        if self.entry is None:
            raise UsageError(f'no step has run yet: there is no {name}')
        return self.entry[name]

    def lookup(self, name):
        """Arrays of a name in an expression."""
        if self.is_scalar(name):
            return [self.scalar(name)]
        items = self.inspection.names.select(name)
        if split(items).tensors:
            self.need_a_step()
        return list(self.inspection.fetch(items).values())

    def need_a_step(self):
        if not self.inspection.can_repeat:
            raise UsageError('no step to look at yet: next runs one')

    # ---- cmd.Cmd

    def precmd(self, line):
        self._reading = False
        if not self.use_rawinput and line != 'EOF':
            self.say(line.rstrip())
        return '' if line.lstrip().startswith('#') else line.strip()

    def postcmd(self, stop, line):
        if self._stop_signal.wished:  # it came while the command ran
            raise Interrupted(signal.SIGTERM)
        self._reading = not stop
        return stop

    def onecmd(self, line):
        """A command that cannot be carried out says why in one line and leaves the run as it was."""
        import tensorflow as tf

        try:
            return cmd.Cmd.onecmd(self, line)
        except (UsageError, OSError, tf.errors.OpError) as error:
            self.say('error: {}'.format((str(error).splitlines() or [''])[0]))
            return False

    def emptyline(self):
        """Enter alone does nothing: in a script it would run steps unseen."""

    def default(self, line):
        raise UsageError(f'no command {line.split()[0]}: help lists them')

    def do_help(self, text):
        """help [COMMAND]: the commands, or one in full."""
        if not text:
            for name in sorted(
                n for n in self.get_names() if n.startswith('do_') and n != 'do_EOF'
            ):
                self.say('  ' + inspect.getdoc(getattr(self, name)).splitlines()[0])
            return
        command = getattr(self, 'do_' + text, None)
        if command is None:
            raise UsageError(f'no command {text}: help lists them')
        self.say(inspect.getdoc(command))

    def do_EOF(self, _):
        """The end of the commands: as quit."""
        self.say('' if self.use_rawinput else 'end of the commands')
        return self.do_quit('')

    def preloop(self):
        if self.use_rawinput:
            history(self, 'read')

    def postloop(self):
        if self.use_rawinput:
            history(self, 'write')

    def completenames(self, text, *ignored):
        return [name for name in cmd.Cmd.completenames(self, text, *ignored) if name != 'EOF']

    def complete_name(self, text, line, begin, end):
        """Completion of names after a command that takes them."""
        del line, begin, end
        return [
            name for name in self.inspection.names.known() + list(SCALARS) if name.startswith(text)
        ]

    complete_print = complete_watch = complete_until = complete_set = complete_names = complete_name


def history(stepper, what):
    """Lines typed are kept under the user's cache folder, where there is a readline."""
    try:
        import readline
    except ImportError:
        return
    readline.set_completer_delims(' \t\n()<>=!,')
    path = os.path.join(
        os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache'),
        'mobilenet-tf',
        'step_history',
    )
    try:
        if what == 'read' and not readline.get_current_history_length():
            readline.read_history_file(path)
        elif what == 'write':
            os.makedirs(os.path.dirname(path), exist_ok=True)
            readline.set_history_length(1000)
            readline.write_history_file(path)
    except OSError:
        pass  # no history yet, or a home that cannot be written: not worth a word
