"""One drill: a folder, what is broken in it, whether the same command reaches the same weights."""

import json
import os
import random
import re
import shutil
import signal
import threading

from drills.training import KEPT, STEPS, Training

NEWEST = object()
LEFTOVERS = re.compile(r'.*tempstate|\.saving|.*\.tmp$|.*\.partial-|run\.lock$')


def checksums(folder, step):
    """{file: sha256} of what TensorFlow wrote of a checkpoint; {} where it is not there."""
    try:
        with open(os.path.join(folder, f'model.ckpt-{step}.sha256')) as f:
            pairs = [line.split() for line in f]
    except OSError:
        return {}
    return {name: value for value, name in pairs if '.data-' in name or name.endswith('.index')}


class Halves:
    """A training as kill -9 leaves it at one of three moments. Made when first asked for."""

    STEPS = (10, 20, 30)

    def __init__(self, scratch):
        self._scratch, self._lock, self._failed = scratch, threading.Lock(), None

    def copy(self, number, folder):
        """Copies the files of one of them. Raises what went wrong in making them, each time."""
        with self._lock:
            if self._failed:
                raise self._failed
            try:
                if not os.path.exists(self._place(0)):
                    self._make()
            except Exception as error:
                self._failed = error
                raise
        for entry in os.scandir(self._place(number)):
            (shutil.copytree if entry.is_dir() else shutil.copy2)(
                entry.path, os.path.join(folder, entry.name)
            )

    def _place(self, number):
        return os.path.join(self._scratch, f'half_{number}')

    def _make(self):
        """One training is stopped at each moment: a kill would leave the files that it has then."""
        folder = os.path.join(self._scratch, 'halves')
        os.makedirs(folder)
        training = Training(folder)
        try:
            for number, step in enumerate(self.STEPS):
                training.wait_for_step(step)
                status = training.process.poll()
                if status is not None:
                    training.end()  # all it said is read by then
                    raise RuntimeError(
                        f'the training that others go on from half way ended with status {status} '
                        f'before step {step}: {training.last_line()}'
                    )
                training.process.send_signal(signal.SIGSTOP)
                os.waitpid(training.process.pid, os.WUNTRACED)
                shutil.copytree(folder, self._place(number))
                training.process.send_signal(signal.SIGCONT)
        finally:
            training.end()


class Drill:
    """What a kind of drill (see kinds.py) works with.

    folder: of the run, --train_dir; scratch: another, for what it needs beside it; dice: its
    random numbers; wrong: [text], what went wrong; ranks; flags: more flags of the run;
    checkpoint_bytes: of one.
    """

    def __init__(self, scratch, seed, expected, ranks, halves):
        self.scratch, self.folder = scratch, os.path.join(scratch, 'run [1] *')
        self.dice, self.wrong = random.Random(seed), []
        self._weights, self.checkpoint_bytes = expected[ranks]
        self.ranks, self.flags, self._halves = ranks, [], halves
        self._started, self._stopped = [], False
        os.makedirs(self.folder)

    def start(self, **options):
        if self._stopped:
            raise RuntimeError('stopped')
        options['flags'] = self.flags + options.get('flags', [])
        self._started.append(Training(self.folder, **dict({'ranks': self.ranks}, **options)))
        return self._started[-1]

    def stop(self):
        """Ends its trainings; it starts no other."""
        self._stopped = True
        for training in self._started:
            training.end()

    def close(self):
        """Leaves nothing running and, where all is well, no files."""
        self.stop()
        if not self.wrong:
            shutil.rmtree(self.scratch)

    def moment(self):
        """A step at which something happens."""
        return self.dice.randrange(1, STEPS - 8)

    def check(self, held, text):
        if not held:
            self.wrong.append(text)

    def expect(self, training, status, words=''):
        """Lets a start end with a status (or one of several) and words in what it says last."""
        found = training.finish()
        statuses = status if isinstance(status, tuple) else (status,)
        self.check(found in statuses, f'status {found}, not {status}: {training.last_line()}')
        said = training.stderr()
        self.check(re.search(words, said), f'nothing of {words!r} in {said.strip()[-300:]!r}')
        self.check('Traceback' not in said, f'a traceback: {said.strip()[-300:]!r}')
        self.check(not training.left_running, f'{training.left_running} processes left')

    def half(self):
        """As after a kill half way: checkpoints, and lines of metrics.jsonl beyond the last."""
        self._halves.copy(self.dice.randrange(len(Halves.STEPS)), self.folder)
        self.check(self.newest() is not None, 'no checkpoint yet')

    def steps(self):
        """Steps of the checkpoints that are there, in order."""
        found = [re.match(r'model\.ckpt-(\d+)\.index$', n) for n in os.listdir(self.folder)]
        return sorted(int(m.group(1)) for m in found if m)

    def newest(self, but=0):
        """Step of the newest checkpoint, or of that so many before it; None where there is none."""
        return ([None] * (but + 1) + self.steps())[-1 - but]

    def files(self, step):
        """Paths of what TensorFlow wrote of a checkpoint."""
        return [os.path.join(self.folder, name) for name in sorted(checksums(self.folder, step))]

    def finish(self, words='', resumed=NEWEST, **options):
        """The same command again, undisturbed: to the end, with the weights that are expected.

        resumed: step of the checkpoint that it has to go on from; None: new weights.
        """
        step = self.newest() if resumed is NEWEST else resumed
        training = self.start(**options)
        self.expect(training, 0, words)
        said = re.findall(r', from (?:.*model\.ckpt-(\d+)|new weights)\n', training.stderr())
        self.check(said == ['' if step is None else str(step)], f'from {said}, not from {step}')
        self.compare(self.folder)

    def compare(self, folder):
        found = checksums(folder, STEPS)
        self.check(found == self._weights, f'other weights after {STEPS} steps')
        with open(os.path.join(folder, 'metrics.jsonl'), 'rb') as f:
            steps = [json.loads(line)['step'] for line in f]
        self.check(steps == sorted(set(steps)), f'metrics.jsonl has steps {steps}')
        self.check(steps[-1:] == [STEPS], f'metrics.jsonl ends with {steps[-1:]}')
        names = os.listdir(folder)
        left = [name for name in names if LEFTOVERS.match(name)]
        self.check(not left, f'leftovers {left}')
        kept = sum(bool(re.match(r'model\.ckpt-\d+\.index$', name)) for name in names)
        self.check(kept <= KEPT, f'{kept} checkpoints are kept')
