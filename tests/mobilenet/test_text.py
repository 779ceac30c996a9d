"""The reader and writer of small text files: any bytes in, nothing raised on the way out."""

import codecs
import os
import stat
import subprocess
import sys
import threading
import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

from mobilenet import text
from mobilenet.errors import UsageError
from tests.helpers import ROOT

LINES = [(1, 'a b'), (3, 'café'), (4, 'end')]


@pytest.mark.parametrize('line_end', ['\n', '\r\n', '\r'])
@pytest.mark.parametrize(
    'mark,encoding',
    [
        (b'', 'utf-8'),
        (codecs.BOM_UTF8, 'utf-8'),
        (codecs.BOM_UTF16_LE, 'utf-16-le'),
        (codecs.BOM_UTF16_BE, 'utf-16-be'),
    ],
)
def test_marks_and_line_ends(tmp_path, line_end, mark, encoding):
    path = tmp_path / 'list.txt'
    path.write_bytes(mark + line_end.join(['\ta b ', ' ', 'café', 'end']).encode(encoding))
    assert text.read_lines(str(path)) == LINES


def test_a_mark_in_front_of_a_mark(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_bytes(codecs.BOM_UTF8 * 2 + b'a b\n')
    assert text.read_lines(str(path)) == [(1, 'a b')]


def test_separators_that_are_no_line_ends_stay(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a\x0bb\x85c\u2028d\ne', encoding='utf-8')
    assert text.read_lines(str(path)) == [(1, 'a\x0bb\x85c\u2028d'), (2, 'e')]


def refused(path, *words, **options):
    with pytest.raises(UsageError) as error:
        text.read_text(str(path), **options)
    for word in (str(path),) + words:
        assert word in str(error.value)


def test_only_regular_files_are_opened(tmp_path):
    fifo = tmp_path / 'fifo'
    os.mkfifo(str(fifo))
    (tmp_path / 'loop').symlink_to('loop')
    (tmp_path / 'link').symlink_to('/dev/zero')
    reader = threading.Thread(target=refused, args=(fifo, 'FIFO'), daemon=True)
    reader.start()
    reader.join(10)
    assert not reader.is_alive()
    refused('/dev/zero', 'a device')
    refused(tmp_path / 'link', 'a device')
    refused(tmp_path, 'a folder')
    refused(tmp_path / 'loop', 'symbolic links')
    refused(tmp_path / 'none', 'No such file', '; say more', hint='; say more')


def test_size_is_bounded(tmp_path):
    path = tmp_path / 'large'
    path.write_bytes(b'x' * 2049)
    refused(path, 'larger than 2 kB', limit=2048)
    assert len(text.read_text(str(path), limit=2049)) == 2049
    os.truncate(str(path), 1 << 40)  # a hole: nothing on the disk
    refused(path, 'larger than 16 MB')


def test_what_is_no_text(tmp_path):
    path = tmp_path / 'binary'
    path.write_bytes(b'a\0b')
    refused(path, 'not a text file')
    path.write_bytes(codecs.BOM_UTF16_LE + b'\0\xd8')
    refused(path, 'UTF-16-LE')


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b''] + [m for m, _ in text.BYTE_ORDER_MARKS]))
def test_any_bytes_are_text_or_refused(data, mark):
    try:
        lines = text.numbered_lines(text.decode(mark + data))
    except text.Unreadable:
        return
    for number, line in lines:
        assert number >= 1 and line and not set(line) & set('\r\n')
        shown = text.printable(line)
        shown.encode('utf-8')
        assert not any(unicodedata.category(c) == 'Cc' for c in shown)
        assert text.printable(shown) == shown


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=25))
def test_whole_numbers_are_ascii(word):
    number = text.whole_number(word)
    assert number is None or str(number) == (word.lstrip('0') or '0')


def test_numbers_that_only_look_so():
    assert [text.whole_number(w) for w in ('²', '٣', '1_0', '-1', '', ' 1', '1' * 19)] == [None] * 7
    assert text.whole_number('007') == 7


def test_written_files_are_utf_8_and_whole(tmp_path):
    path = tmp_path / 'out.txt'
    text.write_text(str(path), '你 caf\udce9\n')
    assert path.read_bytes() == '你 caf\\xe9\n'.encode()
    assert os.listdir(str(tmp_path)) == ['out.txt']


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    """Root has replaced /dev/null with a rank table by it."""
    path = str(tmp_path / 'pipe')
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    text.write_text(path, 'a line\n')
    assert os.read(reader, 100) == b'a line\n'
    os.close(reader)
    assert stat.S_ISFIFO(os.stat(path).st_mode)


def test_spelling_in_composed_and_decomposed_unicode(tmp_path):
    name = unicodedata.normalize('NFD', 'café')
    (tmp_path / name).mkdir()
    assert 'decomposed' in text.spelling_hint(str(tmp_path / 'café'))
    assert text.spelling_hint(str(tmp_path / 'cafe')) == ''
    assert text.spelling_hint(str(tmp_path / name)) == ''
    assert text.spelling_hint('/no/such/folder') == ''


def test_a_link_stays_one(tmp_path):
    """As /dev/stdout is one: root would replace it for every program of the machine."""
    (tmp_path / 'out').write_text('a longer text of before\n')
    (tmp_path / 'stdout').symlink_to('out')
    text.write_text(str(tmp_path / 'stdout'), 'a line\n')
    assert (tmp_path / 'stdout').is_symlink() and (tmp_path / 'out').read_text() == 'a line\n'
    assert sorted(os.listdir(str(tmp_path))) == ['out', 'stdout']


def test_standard_output_that_is_a_file_is_written_on(tmp_path):
    """Opened by its name, it would be cut, and written over by what is printed later."""
    code = (
        'from mobilenet import text\n'
        'print("before")\n'
        'with text.open_text("/dev/stdout") as file:\n'
        '    file.write("counts\\n")\n'
        'print("after")\n'
    )
    with open(str(tmp_path / 'out'), 'w') as out:
        subprocess.run([sys.executable, '-c', code], cwd=ROOT, stdout=out, check=True)
    assert (tmp_path / 'out').read_text() == 'before\ncounts\nafter\n'
