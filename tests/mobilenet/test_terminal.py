"""Output that goes away, in real processes: they go on, and end as they would have."""

import logging
import os
import subprocess
import sys

import pytest

from mobilenet import log_file
from mobilenet.errors import UsageError
from mobilenet.log import open_log
from tests.helpers.runs import ROOT

TALKER = """
import os, sys, time
from mobilenet import terminal
terminal.protect()
for number in range(3):
    print('out', end=' ')
    print(number)
    print('err', number, file=sys.stderr, flush=True)
    if number == 0:
        sys.stdin.readline()
sys.stdout.flush()
print('f\\u00fcr \\u6df7', file=sys.stderr)
with open(sys.argv[1], 'w') as f:
    f.write(f'{sys.stdout.isatty()} {sys.stderr.isatty()} {f.fileno() > 2}')
"""


def talk(folder, **streams):
    """Starts TALKER; it waits after its first lines for a line on stdin."""
    return subprocess.Popen(
        [sys.executable, '-c', TALKER, str(folder / 'end')],
        env=dict(os.environ, PYTHONPATH=ROOT, LC_ALL='C', PYTHONIOENCODING=''),
        stdin=subprocess.PIPE,
        **streams,
    )


def end_of(process, folder):
    process.communicate(b'\n', timeout=300)
    assert process.returncode == 0
    return (folder / 'end').read_text()


def test_lines_arrive_in_order_and_in_any_language(tmp_path):
    process = talk(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = process.communicate(b'\n', timeout=300)[0].decode()
    lines = [f'{name} {number}' for number in range(3) for name in ('out', 'err')]
    assert output.splitlines() == lines + ['für 混']


def test_a_reader_that_ends(tmp_path):
    read, write = os.pipe()
    process = talk(tmp_path, stdout=write, stderr=write)
    os.close(write)
    assert os.read(read, 5) == b'out 0'
    os.close(read)  # `| head`
    assert end_of(process, tmp_path) == 'False False True'


def test_a_full_disk(tmp_path):
    with open('/dev/full', 'wb') as full:
        process = talk(tmp_path, stdout=full, stderr=full)
    assert end_of(process, tmp_path) == 'False False True'


def test_a_terminal_that_is_closed(tmp_path):
    ours, theirs = os.openpty()
    process = talk(tmp_path, stdout=theirs, stderr=theirs)
    os.close(theirs)
    assert os.read(ours, 3) == b'out'
    os.close(ours)
    process.communicate(b'\n', timeout=300)
    assert process.returncode == 0


def test_streams_that_were_never_open(tmp_path):
    """`>&- 2>&-`: the file that the process opens next must not get the number of its stderr."""
    process = talk(tmp_path, preexec_fn=lambda: (os.close(1), os.close(2)))
    assert end_of(process, tmp_path) == 'False False True'


PRINTER = """
import logging, os, sys
from mobilenet import log_file, terminal
terminal.protect()
logging.basicConfig()
name = os.fsdecode(bytes.fromhex(sys.argv[1]))
print(name)
logging.error(name)
logger = logging.getLogger('x'); logger.propagate = False
logger.addHandler(log_file.LogFile(sys.argv[2]))
logger.error(name)
print(ascii(name))
"""


@pytest.mark.parametrize('utf8_mode', ['0', '1'])
@pytest.mark.parametrize('encoding', ['', 'ascii', 'latin-1', 'utf-8'])
def test_no_name_makes_printing_fail(tmp_path, encoding, utf8_mode):
    """The bytes of 你é in UTF-8 and a stray one, under several locales."""
    name = '你é'.encode() + b'\xff'
    log = tmp_path / 'log'
    done = subprocess.run(
        [sys.executable, '-c', PRINTER, name.hex(), str(log)],
        env={
            'PYTHONPATH': ROOT,
            'LC_ALL': 'C' if utf8_mode == '0' else 'C.UTF-8',
            'PYTHONUTF8': '1' if not encoding else utf8_mode,
            'PYTHONIOENCODING': encoding,
        },
        capture_output=True,
    )
    assert done.returncode == 0 and b'Logging error' not in done.stderr, done.stderr
    assert len(done.stdout.splitlines()) == 2 and done.stderr.startswith(b'ERROR:root:')
    if encoding in ('', 'utf-8'):
        assert b'\\xff' in done.stdout.splitlines()[0]
    log.read_bytes().decode('utf-8')


def test_a_name_gives_a_terminal_no_orders(tmp_path):
    """Of a window's title, a screen made empty, in 7 and in 8 bits; bars may go a line up."""
    orders, bar = '\x1b]0;x\x07 \x1b[2J \x9b2J \x7f\x08', '\r\x1b[A12 %\n'
    log = tmp_path / 'log'
    done = subprocess.run(
        [sys.executable, '-c', PRINTER, (bar + orders).encode().hex(), str(log)],
        env={'PYTHONPATH': ROOT, 'PYTHONIOENCODING': 'utf-8'},
        capture_output=True,
    )
    shown = rb'\x1b]0;x\x07 \x1b[2J \x9b2J \x7f\x08'
    assert done.stdout.startswith(bar.encode() + shown), done.stdout
    assert shown in log.read_bytes() and shown in done.stderr


def test_a_reader_that_ends_ends_a_tool():
    """As `check_dataset.py … | head -1`: no line that nobody reads is worth going on for."""
    code = 'from mobilenet import terminal; terminal.protect(outliving=False)\nwhile True: print(1)'
    process = subprocess.Popen(
        [sys.executable, '-c', code],
        env=dict(os.environ, PYTHONPATH=ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b'1\n'
    process.stdout.close()
    assert b'BrokenPipeError' in process.stderr.read() and process.wait(300) == 1


@pytest.fixture
def log(tmp_path):
    logger = logging.Logger('test_log')
    logger.addHandler(log_file.LogFile(str(tmp_path / 'train.log')))
    return tmp_path / 'train.log', logger


def words(path):
    return [line.split()[-1] for line in path.read_text().splitlines()]


def test_a_rotated_log_is_begun_anew(log):
    path, logger = log
    logger.info('one')
    os.rename(str(path), str(path) + '.1')
    logger.info('two')
    logger.info('three')
    assert words(path) == ['two', 'three']


def test_a_log_whose_folder_goes_away_and_comes_back(log, capfd):
    path, logger = log
    moved = path.parent / 'moved'
    moved.mkdir()
    logger.handlers[0].path = str(moved / 'train.log')
    logger.info('one')
    os.rename(str(moved), str(moved) + '.away')
    logger.info('lost')
    os.mkdir(str(moved))
    logger.info('two')
    assert words(moved / 'train.log') == ['two'] and capfd.readouterr() == ('', '')


def test_a_log_that_cannot_be_written_at_the_start_is_an_error(tmp_path):
    """Of one line: the folder may be read-only."""
    with pytest.raises(UsageError, match=r'none/train\.log cannot be written to: No such file'):
        open_log(str(tmp_path / 'none'), rank=0)
