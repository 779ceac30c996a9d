"""--step_script under hypothesis, the file as a whole: whatever it holds, the run comes to its end,
or one line names the file and the line in it.
"""

import contextlib
import io
import os
import re
import types

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from mobilenet.debug import names, prompt
from mobilenet.debug.commands import Commands
from mobilenet.debug.looking import Looking
from mobilenet.debug.stepper import Stepper
from mobilenet.errors import UsageError

TOTAL = 7  # steps of the run
NAMES = ('weight:a/gamma', 'act:Conv2d_0', 'grad:a/gamma')
WORDS = (
    ['next', 'loop', 'until', 'repeat', 'continue', 'quit', 'save', 'print', 'top', 'watch', 'EOF']
    + ['unwatch', 'names', 'batch', 'set', 'dump', 'compare', 'help', 'nonsense', '?', '!', '#']
    + ['0', '1', '2', '9' * 400, '²', '٣', '-1', 'nan', 'loss', '>', '9', 'loss > 9', '(', ')', '"']
    + [
        'loss_scale',
        'learning_rate',
        'schedule',
        '*1.01',
        'x.npy',
        'grads',
        *NAMES,
        '*',
        '**',
        'a*',
    ]
    + ['finite(', 'norm(grad:a/gamma)', ' ', '\t', '\\', "'", 'é', '\x0c', '\x1c', '\x85', '\u2028']
)
GOOD = [
    *('', '# next', 'next', 'next 2', 'loop 2', 'until loss > 9', 'until loss < 9', 'save', 'help'),
    *('repeat', 'print loss act:Conv2d_0', 'top grads 1', 'top weights', 'watch loss', 'unwatch 1'),
    *(
        'names a*',
        'batch',
        'set weight:a/gamma *1.01',
        'set weight:a/gamma 0',
        'dump d',
        'help set',
    ),
]
LINES = (
    st.sampled_from(GOOD)
    | st.sampled_from(GOOD)
    | st.lists(st.sampled_from(WORDS), max_size=4).map(' '.join)
    | st.text(max_size=9)
)
TEXTS = st.lists(st.tuples(LINES, st.sampled_from(['\n', '\r\n', '\r', '\n\n', '']))).map(
    lambda pairs: ''.join(line + end for line, end in pairs)
)
ENCODINGS = st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16', 'latin-1'])
CONTENTS = st.builds(lambda t, e: t.encode(e, 'replace'), TEXTS, ENCODINGS) | st.binary(max_size=99)


class SmallNames:
    """In place of the Names of a graph: three of them."""

    def known(self):
        return list(NAMES)

    def select(self, name):
        if name not in NAMES:
            raise UsageError(f'nothing is named {name[:50]}')
        variable = types.SimpleNamespace(shape=types.SimpleNamespace(as_list=lambda: [2]))
        return [names.Item(name, name.partition(':')[0], 'a', variable)]

    def select_all(self, patterns):
        return [item for name in patterns if name in NAMES for item in self.select(name)]

    def all(self, kind):
        return self.select_all(name for name in NAMES if name.startswith(kind))


class Replay:
    """In place of a session: every tensor is two ones."""

    keep = differed = can_repeat = False

    def fetch(self, items):
        return {item.name: np.ones(2, np.float32) for item in items}

    before = fetch

    def repeat(self):
        return {}

    def rewind(self):
        pass

    def edit(self, variable, change):
        assert change(np.ones(variable.shape.as_list(), np.float32)).shape == (2,)


def entry_of(values):
    figures = ('loss', 'total_loss', 'accuracy', 'learning_rate', 'loss_scale')
    return dict(dict.fromkeys(figures, 0.5), skipped_steps=0, step=1)


def walk(path):
    """The prompts of a run of TOTAL steps: whether the run came to its end."""
    stop = types.SimpleNamespace(wished=False, agreed=False, hook=None)
    counters = types.SimpleNamespace(
        loss_scale=types.SimpleNamespace(shape=types.SimpleNamespace(as_list=lambda: []))
    )
    run = types.SimpleNamespace(
        batch=0, total_steps=TOTAL, halted=False, quitting=False, stop=stop, save=lambda: 'saved',
        config=types.SimpleNamespace(longest_loop=3, train_dir='.'), set_position=len,
        graph=types.SimpleNamespace(state=counters),
    )  # fmt: skip
    looking = Looking(SmallNames(), Replay())
    stepper = Stepper(run, looking, entry_of)
    commands = Commands(run, stepper, looking, lambda batch, path: [])
    commands._write_dump = lambda folder, chosen: looking.need_a_step() or 1
    asks = prompt.Prompt(commands, run, stepper, list(NAMES), prompt.open_script(path))
    while not run.quitting and run.batch < TOTAL:
        if stepper.stops(asks.fail):
            stepper.show()
            asks.ask()
        run.batch += 0 if run.quitting else stepper.loop_length(TOTAL - run.batch)
        looking.replay.can_repeat = True
        stepper.take(entry_of({}))
    return True


@settings(max_examples=300, deadline=None)
@given(CONTENTS)
def test_a_step_script(tmp_path_factory, content):
    path = str(tmp_path_factory.getbasetemp() / 'steps.txt')
    with open(path, 'wb') as f:
        f.write(content)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            assert walk(path)
    except UsageError as error:
        line = str(error)
        assert '\n' not in line and 'Error: ' not in line, line
        if not line.startswith(f'cannot read {path}: '):
            number = int(re.match(re.escape(path) + r', line (\d+): ', line).group(1))
            assert 1 <= number <= len(re.split(b'\r\n|\r|\n', content))
    os.remove(path)


@pytest.mark.parametrize(
    'content', [b'', b'# nothing\n', b'EOF\nnext 0\n', b'\xff\xfe#\x00', b'\r']
)
def test_scripts_without_a_command(tmp_path, content):
    path = tmp_path / 'steps.txt'
    path.write_bytes(content)
    assert walk(str(path))
