"""Processes that take turns, so that other load on the machine meets all of them alike."""

import os
import statistics
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


class Side:
    """A process that runs steps when told to: peers/PROGRAM, see peers/serving.py.

    Attributes: name; seconds: of a step, one figure a turn; peak: its peak memory in MiB.
    """

    def __init__(self, name, interpreter, program, *arguments, env=None):
        self.name, self.seconds, self.peak = name, [], None
        self._errors = tempfile.TemporaryFile('w+')
        self._process = subprocess.Popen(
            [interpreter, os.path.join(HERE, 'peers', program), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            universal_newlines=True,
            env=dict(os.environ, PYTHONWARNINGS='ignore', **(env or {})),
        )

    def ask(self, line):
        """Its answer to a line, a number. Ends the benchmark where it has failed."""
        try:
            self._process.stdin.write(f'{line}\n')
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it says below why it has ended
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

    def turn(self, steps):
        self.seconds.append(self.ask(steps) / steps)

    def end(self):
        self._process.kill()
        self._process.wait()

    @property
    def median(self):
        return statistics.median(self.seconds)


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
