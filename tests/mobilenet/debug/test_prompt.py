"""train_loop.py --step at a terminal: what is wrong is one line, completion, signals."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import numpy as np
import pytest

from mobilenet.debug import prompt
from tests.helpers import runs
from tests.mobilenet.debug.test_stepper import step

# {command: a part of its one line}, before the first step and after it.
WRONG_BEFORE = {
    'nonsense': 'no command nonsense',
    'print act:Conv2d_99': 'or act:Conv2d_1_pointwise',
    'print act:Conv2d_0': 'no step to look at yet',
    'repeat': 'no step to look at yet',
    'compare nowhere': 'no step to look at yet',
    'next 0': '0 is no number of 1 or more',
    'next \u00b2': 'is no number of 1 or more',
    'loop 99999999999999999999': 'is no number',
    'until loss >': 'something is missing',
    'until ' + '(' * 300 + 'loss' + ')' * 300: 'nested too deeply',
    'until nothing > 3': 'nothing is named nothing',
    'until step > 100': 'no figure is named step: there are loss, ',
    "watch __import__('os')": 'cannot read the expression',
    'names ' + '*a' * 200 + 'b': 'nothing is named',
    'batch nowhere/batch.png': 'No such file',
}
WRONG_AFTER = {
    'set loss_scale -1': 'must be above 0',
    'set loss_scale nan': 'must be above 0',
    'set learning_rate inf': 'must be 0 or more',
    'set act:Conv2d_0 0': 'is computed',
    'set weight:Conv2d_0/gamma missing.npy': 'no such file',
    'set weight:Conv2d_0/gamma strings.npy': 'not numbers',
    'set weight:Conv2d_0/gamma objects.npy': 'Python objects',
    'set weight:Conv2d_*/gamma eight.npy': 'shape [8]',
    'set weight:Conv2d_0/gamma cut.npy': 'cut.npy: ',
    'compare nowhere': 'no such folder',
    'dump': 'at least one name',
}


class Terminal:
    """train_loop.py --step, with a person at a terminal of its own."""

    def __init__(self, folder, *arguments):
        self._master, slave = pty.openpty()
        environment = runs.environment(
            TERM='dumb', LC_ALL='C.UTF-8', XDG_CACHE_HOME=os.path.join(str(folder), 'cache')
        )
        self.process = subprocess.Popen(
            runs.command('train_loop.py', *runs.SMALL, '--train_dir=run', '--step', *arguments),
            env=environment,
            cwd=str(folder),
            stdin=slave,
            stdout=slave,
            stderr=subprocess.DEVNULL,
            close_fds=True,
        )
        os.close(slave)
        self._seen = ''

    def expect(self, pattern, seconds=300):
        """What is printed until the pattern is."""
        end = time.time() + seconds
        while not re.search(pattern, self._seen):
            assert time.time() < end and self.process.poll() is None, self._seen
            if select.select([self._master], [], [], 0.5)[0]:
                self._seen += os.read(self._master, 4096).decode('utf-8', 'replace')
        found, self._seen = self._seen, ''
        return found.replace('\r\n', '\n')

    def send(self, text):
        os.write(self._master, text.encode())

    def command(self, text):
        """What a command prints."""
        self.send(text + '\n')
        return self.expect(r'\n\(step\) $')

    def close(self):
        os.close(self._master)


def test_a_terminal_has_completion_errors_and_comes_back_at_ctrl_c(tmp_path):
    """A wrong command is one line, and leaves the run as it was: the next loss is that of one in
    which nothing was wrong.
    """
    eight = np.ones(8, np.float32)
    np.save(str(tmp_path / 'eight.npy'), eight)
    np.save(str(tmp_path / 'strings.npy'), np.array(['1.5'] * 8))
    np.save(str(tmp_path / 'objects.npy'), np.array([1.5] * 8, object), allow_pickle=True)
    (tmp_path / 'cut.npy').write_bytes((tmp_path / 'eight.npy').read_bytes()[:90])
    terminal = Terminal(tmp_path, '--max_train_steps=4000', '--iterations_per_loop=5')
    terminal.expect(r'\(step\) $')
    for wrong in (WRONG_BEFORE, WRONG_AFTER):
        for command, said in wrong.items():
            printed = terminal.command(command)
            errors = re.findall(r'^error: (.*)$', printed, re.M)
            assert len(errors) == 1 and said in errors[0], (command, printed)
        if wrong is WRONG_BEFORE:
            first = re.findall(r'loss (\S+)', terminal.command('next'))
    second = re.findall(r'loss (\S+)', terminal.command('next'))

    completed = terminal.command('print weight:Conv2d_1_pointwise/w\t')
    assert 'weight:Conv2d_1_pointwise/weights [1, 1, 8, 32] float32' in completed
    terminal.send('continue\n')
    metrics = tmp_path / 'run' / 'metrics.jsonl'
    end = time.time() + 300
    while len(runs.metrics(tmp_path / 'run')) < 4:
        assert time.time() < end and terminal.process.poll() is None
        time.sleep(0.05)
    terminal.process.send_signal(signal.SIGINT)
    assert 'interrupted' in terminal.expect(r'batch \d+[^$]*\(step\) ')
    terminal.process.send_signal(signal.SIGTERM)
    assert 'terminated; saved' in terminal.expect(r'saved \S+ckpt-\d+')
    assert terminal.process.wait(300) == 0
    terminal.close()

    undisturbed = tmp_path / 'undisturbed'
    undisturbed.mkdir()
    done = step(undisturbed, 'next\nnext\nquit\n', '--max_train_steps=4000')
    assert re.findall(r'^batch.*  loss (\S+)', done.stdout, re.M) == [first[0], second[0]]
    assert metrics.exists()


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('end', ['\n', '\r\n', '\r'])
def test_a_script_of_another_editor(tmp_path, monkeypatch, encoding, end):
    """A byte order mark and line ends of Windows and old Macs are no part of a command."""
    path = tmp_path / 'script.txt'
    path.write_bytes(end.join(['next 2', '# 你好', 'quit', '']).encode(encoding))
    lines = prompt.Script(str(path)).file.readlines()
    assert lines == ['next 2\n', '# 你好\n', 'quit\n']
    with open(str(path), encoding='ascii') as stdin:
        monkeypatch.setattr(prompt.sys, 'stdin', stdin)
        piped = prompt.Script('-').file
        assert [piped.readline() for _ in range(4)] == [*lines, '']


def test_piped_commands_are_read_as_they_come(monkeypatch):
    read, write = os.pipe()
    with open(read, encoding='ascii') as stdin:
        monkeypatch.setattr(prompt.sys, 'stdin', stdin)
        piped = prompt.Script('-').file
        for line in (b'\xef\xbb\xbfloss\n', b'names caf\xe9\n'):
            os.write(write, line)  # the next one is not there yet
            assert os.fsencode(piped.readline()) == line.lstrip(b'\xef\xbb\xbf')
        os.close(write)
        assert piped.readline() == ''
