"""Processes that take turns, so that other load on the machine meets all of them alike."""

import os
import signal
import statistics
import subprocess
import tempfile

import environments  # noqa: F401  The checkout is on sys.path by it.

from mobilenet import flag_types

HERE = os.path.dirname(os.path.abspath(__file__))


def add_size_flags(parser, batch_size):
    """`--batch_size` and `--image_size` of what the sides compute."""
    parser.add_argument('--batch_size', type=flag_types.count(), default=batch_size)
    parser.add_argument('--image_size', type=flag_types.count(), default=224)


def add_turns_flag(parser, default=5):
    """`--turns` of a benchmark."""
    parser.add_argument(
        '--turns',
        type=flag_types.count(),
        default=default,
        help=f'turns of each side, default {default}',
    )


def add_steps_flag(parser, default, unit='steps'):
    """`--steps` of a benchmark, in what a step is."""
    parser.add_argument(
        '--steps',
        type=flag_types.count(),
        default=default,
        help=f'{unit} in a turn, default {default}',
    )


class Turns:
    """What the sides of a benchmark share.

    Attributes: name; seconds: of a step, one figure a turn; peak: its peak memory in MiB.
    """

    def __init__(self, name):
        self.name, self.seconds, self.peak = name, [], None

    def turn(self, steps):
        self.seconds.append(self.ask(steps) / steps)

    @property
    def median(self):
        return statistics.median(self.seconds)


class Side(Turns):
    """A process that runs steps when told to: peers/PROGRAM, see peers/serving.py.

    cores: those it may use, None: all. pausing: it and its processes are stopped between turns,
    since they keep the cores busy while they wait.
    """

    def __init__(self, name, interpreter, program, *arguments, env=None, cores=None, pausing=False):
        super().__init__(name)
        self._pausing = pausing
        self._errors = tempfile.TemporaryFile('w+')
        self._process = subprocess.Popen(
            [interpreter, os.path.join(HERE, 'peers', program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            universal_newlines=True,
            env=dict(os.environ, PYTHONWARNINGS='ignore', **(env or {})),
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
            start_new_session=True,  # `_signal` reaches all its processes
        )

    def ask(self, line):
        """Its answer to a line, a number. Ends the benchmark where it has failed."""
        self.send(line)
        answer = self.receive()
        self.pause()
        return answer

    def pause(self):
        if self._pausing:
            self._signal(signal.SIGSTOP)

    def send(self, line):
        if self._pausing:
            self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(f'{line}\n')
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `receive` says why it has ended

    def receive(self):
        while True:
            answer = self._process.stdout.readline()
            if not answer:
                self._errors.seek(0)
                raise SystemExit(
                    f'{self.name} ended with status {self._process.wait()}:\n'
                    + self._errors.read()[-2000:]
                )
            if answer.startswith('answer '):
                return float(answer.split()[1])

    def _signal(self, number):
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def end(self):
        self._signal(signal.SIGKILL)
        self._process.wait()


class Part(Turns):
    """Steps of another kind in the process of a Side, where memory lies alike: from process to
    process the same step differs by 2 %.
    """

    def __init__(self, name, side):
        super().__init__(name)
        self._side = side

    def ask(self, line):
        return self._side.ask(line if line == 'peak' else f'{self.name} {line}')

    def end(self):
        """The Side ends the process."""


class Ranks(Turns):
    """The Sides of one run over several ranks. A turn takes as long as the slowest of them."""

    def __init__(self, name, ranks):
        super().__init__(name)
        self._ranks = ranks

    def ask(self, line):
        for rank in self._ranks:
            rank.send(line)
        answer = max([rank.receive() for rank in self._ranks])
        for rank in self._ranks:  # not before all have ended: they end with each other's help
            rank.pause()
        return answer

    def end(self):
        for rank in self._ranks:
            rank.end()


def take_turns(sides, turns, steps):
    """A turn of each to warm up, then `turns` rounds of `steps` steps of each; fills in the sides.

    steps: a number, or {name of a side: number}.
    """
    count = steps.get if isinstance(steps, dict) else lambda name: steps
    try:
        for side in sides:
            side.ask(count(side.name))
        for number in range(turns):
            for side in sides if number % 2 else sides[::-1]:
                side.turn(count(side.name))
        for side in sides:
            side.peak = side.ask('peak')
    finally:
        for side in sides:
            side.end()


def ratio(name, value):
    print(f'ratio {name} {value:.3f}', flush=True)
