"""fuzz_decoder.py: its inputs are reproducible and really damaged, and it catches what it is there
to catch.
"""

import collections
import io
import os
import signal

import numpy as np
from PIL import Image
import pytest

from scripts import fuzz_decoder, fuzz_inputs
from tests.helpers import hostile, slim_records


class Counter:
    done = 0

    def update(self, count):
        self.done += count


def planted(task):
    for index in range(task.start, task.stop):
        yield index, None
        if index == 260:
            os.kill(os.getpid(), signal.SIGSEGV)
        if index == 270:
            os.kill(os.getpid(), signal.SIGALRM)
        yield index, 'ValueError: planted' if index == 3 else 'decoded'


def test_crash_hang_and_exception_are_caught_and_the_rest_goes_on():
    counter = Counter()
    outcomes, failures = fuzz_decoder.fuzz(planted, 0, 600, 2, counter)
    assert (
        outcomes == {'decoded': 597, 'crash': 1, 'hang': 1, 'exception': 1} and counter.done == 600
    )
    assert [index for index, _ in failures] == [3, 260, 270]
    assert (
        'crash' in failures[1][1]
        and str(-signal.SIGSEGV) in failures[1][1]
        and 'hang' in failures[2][1]
    )


def test_a_failing_input_is_saved_as_it_was(tmp_path):
    folder = hostile.folder(tmp_path)
    lines = list(fuzz_decoder.save_failures(folder, 5, [(3, 'crash'), (4, 'hang')]))
    corpus = fuzz_inputs.make_corpus()
    for index, line, suffix in zip((3, 4), lines, ('.png', '.tfrecord')):
        path = os.path.join(folder, f'seed5-input{index}{suffix}')
        assert line.startswith(path + ': ')
        with open(path, 'rb') as file:
            assert file.read() == fuzz_inputs.make_input(corpus, 5, index).data


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')
def test_inputs_differ_and_are_damaged_but_not_beyond_all_reading():
    corpus = fuzz_inputs.make_corpus()
    whole = {data for images in corpus.values() for data in images}
    for data in whole:
        Image.open(io.BytesIO(data)).load()
    inputs = [fuzz_inputs.make_input(corpus, 1, index) for index in range(300)]
    assert collections.Counter(item.kind for item in inputs) == {
        'jpeg': 180,
        'png': 60,
        'record': 60,
    }
    assert len({item.data for item in inputs}) >= 290
    assert np.mean([item.data in whole for item in inputs]) < 0.1
    assert inputs[17] == fuzz_inputs.make_input(fuzz_inputs.make_corpus(), 1, 17)
    assert inputs[17] != fuzz_inputs.make_input(corpus, 2, 17)


def test_the_real_decoder_withstands(tmp_path):
    status, stdout, stderr = slim_records.script(
        'fuzz_decoder.py',
        '--count',
        300,
        '--seed',
        11,
        '--num_processes',
        1,
        '--output',
        tmp_path / 'findings',
    )
    assert status == 0, stdout + stderr
    last = stdout.splitlines()[-1]
    assert last.startswith('300 inputs (180 JPEG, 60 PNG, 60 TFRecord files; seed 11): ')
    assert (
        last.endswith(' 0 crashes, 0 hangs, 0 exceptions') and not (tmp_path / 'findings').exists()
    )
    decoded, refused = (int(part.split()[0]) for part in last.split(': ')[1].split(', ')[:2])
    assert decoded + refused == 300 and min(decoded, refused) > 30
