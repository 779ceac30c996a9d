"""libjpeg's own lines on stderr name no file: the data scripts put the image's name before them."""

import os
import subprocess
import sys

import pytest

from tests.helpers import ROOT, hostile
from tests.helpers.data_files import jpeg, noise

SCRIPT = """
import os
from data import decoder_words
with decoder_words.named('a.jpg'):
    os.write(2, b'one\\n2020-01-02 03:04:05.6: W tensorflow/x.cc:1] two\\none\\nthree\\x1b\\n')
with decoder_words.named('b.jpg'):
    pass
os.write(2, b'four\\n')
try:
    with decoder_words.named('c.jpg'):
        os.write(2, b'five\\n')
        raise ValueError
except ValueError:
    os.write(2, b'six\\n')
"""


def test_one_line_an_image_and_stderr_is_given_back():
    done = subprocess.run(
        [sys.executable, '-c', SCRIPT], env=dict(os.environ, PYTHONPATH=ROOT), capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b'a.jpg: one; three\\x1b\nfour\nc.jpg: five\nsix\n'


@pytest.mark.parametrize('script', ['check_dataset.py', 'convert_folder.py'])
def test_a_decoder_that_complains_of_an_image_is_quoted_with_its_name(tmp_path, script):
    """Bytes before the end marker: the image is decoded, and libjpeg says so."""
    folder = hostile.folder(tmp_path, 'cats')
    for i in range(5):
        data = jpeg(noise(40, 40, i))
        with open(os.path.join(folder, f'{i}.jpg'), 'wb') as file:
            file.write(data[:-2] + bytes(20 * (i == 1)) + data[-2:])
    source = os.path.dirname(folder)
    more = ['--dataset_name=folder'] if 'check' in script else [str(tmp_path / 'out')]
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, 'scripts', script), source, *more],
        env=hostile.environment(XDG_CACHE_HOME=str(tmp_path / 'cache')),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if 'Corrupt JPEG data' in line]
    assert len(told) == 1 and '/cats/1.jpg: Corrupt JPEG data: ' in told[0], done.stderr
