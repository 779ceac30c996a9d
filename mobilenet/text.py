"""Small text files and lines for a person: read with care, written so that it never raises.

A name on a disk is bytes. Python keeps those that are no UTF-8 as lone surrogates
(surrogateescape), which neither UTF-8 nor TensorFlow takes: what is read here keeps them, what is
written for a person shows them as \\xe9. Files are UTF-8 whatever the locale. No TensorFlow here,
and nothing of ours but errors: any module may import this one.
"""

import codecs
import os
import re
import stat
import sys
import unicodedata

from mobilenet.errors import UsageError

# The largest text a person or a tool writes for us by hand; ImageNet's list of boxes has its own.
MAX_BYTES = 16 << 20
LINE_END = re.compile('\r\n|\r|\n')
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, 'utf-8'),
    (codecs.BOM_UTF16_LE, 'utf-16-le'),
    (codecs.BOM_UTF16_BE, 'utf-16-be'),
)
KINDS = (
    (stat.S_ISDIR, 'a folder'),
    (stat.S_ISFIFO, 'a pipe (FIFO)'),
    (stat.S_ISSOCK, 'a socket'),
    (stat.S_ISCHR, 'a device'),
    (stat.S_ISBLK, 'a device'),
)
_STREAMS = {'/dev/stdout': 1, '/dev/stderr': 2}
ESCAPES = 'mobilenet_escapes'
TILDE = ' (behind "=" a shell leaves ~ as it is: write $HOME)'
CONTROL = re.compile('[\x00-\x1f\x7f-\x9f]')
# But for line ends, tabs, and what bars write: to the line's start, and a line up.
ORDERS = re.compile('(?!\x1b\\[A)[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]')


class Unreadable(Exception):
    """A file that cannot be read; the message says why, without its path."""


def read_bytes(path, limit):
    """The bytes of a regular file, or of a link to one. Raises Unreadable: not there, no regular
    file (which is not opened: a pipe would wait for ever), more than `limit` bytes.
    """
    descriptor, size = open_regular(path)
    try:
        with open(descriptor, 'rb', buffering=0) as file:
            data = _read_up_to(file, size, limit) if size <= limit else None
    except OSError as error:
        raise Unreadable(error.strerror or str(error))
    if data is None:
        raise Unreadable(f'larger than {size_in_words(limit)}')
    return data


def open_regular(path):
    """(descriptor, size in bytes) of a regular file opened for reading. Raises Unreadable."""
    try:
        _refuse_irregular(os.stat(path))
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(error.strerror or str(error))
    except ValueError:
        raise Unreadable('no path: it has a NUL within')
    status = os.fstat(descriptor)
    try:
        _refuse_irregular(status)  # it may have been replaced meanwhile
    except Unreadable:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def _read_up_to(file, size, limit):
    """The rest of a file that seems to have `size` bytes; None where it has more than `limit`."""
    parts, total = [], 0
    while True:
        part = file.read(max(size + 1 - total, 1 << 16))
        parts.append(part)
        total += len(part)
        if total > limit:
            return None
        if not part:
            return parts[0] if len(parts) == 2 else b''.join(parts)


def _refuse_irregular(status):
    for is_kind, name in KINDS:
        if is_kind(status.st_mode):
            raise Unreadable(f'{name}, not a file')


def size_in_words(count):
    """'16 MB' of a count of bytes, in powers of 1,024."""
    for unit in ('bytes', 'kB', 'MB'):
        if count < 1024:
            return f'{count} {unit}'
        count //= 1024
    return f'{count} GB'


def entries_in(folder):
    """os.DirEntry of all that is in a folder. Raises UsageError."""
    try:
        return list(os.scandir(folder))
    except OSError as error:
        raise UsageError(f'cannot read the folder {folder}: {error.strerror}')


def names_in(folder):
    """Sorted names of what is in a folder. Raises UsageError."""
    return sorted(entry.name for entry in entries_in(folder))


def read_text(path, hint='', limit=MAX_BYTES):
    """A text file as str: UTF-8 (or UTF-16, by its byte order mark), the mark left out, stray bytes
    as surrogates. Raises UsageError 'cannot read {path}: {why}{hint}'.
    """
    try:
        return decode(read_bytes(path, limit))
    except Unreadable as error:
        raise UsageError(f'cannot read {path}: {error}{hint}')


def decode(data):
    """The str of a text file's bytes. Raises Unreadable where they are no text."""
    encoding, errors = 'utf-8', 'surrogateescape'
    for mark, name in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            data, encoding = data[len(mark) :], name
            break
    if encoding != 'utf-8':
        errors = 'strict'
    try:
        text = data.decode(encoding, errors)
    except UnicodeDecodeError:
        raise Unreadable(f'not a text in {encoding.upper()}, as its first bytes say')
    if '\0' in text:
        raise Unreadable('not a text file: it has NUL bytes')
    return text.lstrip('\ufeff')  # one more mark, of a tool that wrote a marked file anew


def numbered_lines(text):
    """[(number from 1, line)] of a text, without line ends (LF, CRLF, CR) and outer blanks; blank
    lines are left out.
    """
    lines = enumerate(LINE_END.split(text), 1)
    return [(number, line.strip(' \t')) for number, line in lines if line.strip()]


def read_lines(path, hint='', limit=MAX_BYTES):
    """`numbered_lines` of a file. Raises UsageError."""
    return numbered_lines(read_text(path, hint, limit))


def whole_number(word):
    """The int of a word of ASCII digits, else None. (str.isdigit takes '²', which int does not.)"""
    return int(word) if re.match(r'[0-9]{1,18}\Z', word) else None


def write_text(path, text):
    """Writes a text file, UTF-8, aside and renamed: it is there whole or not at all. What is
    no file (/dev/stdout, also where it leads to a file; a pipe) is written to, and not replaced.
    """
    if os.path.exists(path) and (os.path.islink(path) or not os.path.isfile(path)):
        with open_text(path) as file:
            file.write(text)
        return
    partial = f'{path}.partial-{os.getpid()}'
    try:
        with open_text(partial) as file:
            file.write(text)
        os.replace(partial, path)
    except OSError:
        if os.path.exists(partial):
            os.remove(partial)
        raise


def open_text(path, newline='\n'):
    """A text file to be written: UTF-8 whatever the locale, and no name makes a write fail.
    /dev/stdout goes on where standard output stands, also in a file.
    """
    opener = _open_stream if path in _STREAMS else None
    return open(path, 'w', encoding='utf-8', errors=ESCAPES, newline=newline, opener=opener)


def _open_stream(path, flags):
    sys.stdout.flush()
    return os.dup(_STREAMS[path])


def printable(text):
    """The text on one line as any terminal shows it: bytes that are no UTF-8 as \\xe9, what moves a
    cursor or gives a terminal orders as \\n, \\x1b.
    """
    return CONTROL.sub(_escaped, text).encode('utf-8', ESCAPES).decode('utf-8')


def harmless(lines):
    """Lines for a terminal or a log: without orders to a terminal that a name may hold."""
    return ORDERS.sub(_escaped, lines)


def _escaped(match):
    return ascii(match.group())[1:-1]


def one_line(text):
    """The first line of a text that is not blank, as an error message shows it; '' without one."""
    return next((line.strip() for line in text.splitlines() if line.strip()), '')


def utf8_name(name):
    """A name from the file system as the str its bytes are in UTF-8: the same in every locale."""
    return name if name.isascii() else os.fsencode(name).decode('utf-8', 'surrogateescape')


def cache_dir(name):
    """The user's cache folder for one kind of thing."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return os.path.join(base, 'mobilenet-tf', name)


def composed(name):
    """The name in composed Unicode: equal for names that look the same."""
    return unicodedata.normalize('NFC', name)


def spelling_hint(path):
    """' (…)' where beside a path that is not there lies one of the same name but for composed and
    decomposed Unicode (as macOS writes it), or where a shell has left its ~ in place, else ''.
    """
    if path.startswith('~/'):
        return TILDE
    folder, name = os.path.split(os.path.abspath(path))
    try:
        twins = [n for n in os.listdir(folder) if n != name and composed(n) == composed(name)]
    except OSError:
        return ''
    if not twins:
        return ''
    there = 'decomposed' if composed(twins[0]) != twins[0] else 'composed'
    return f' (there is one whose name looks the same, but is written in {there} Unicode)'


def _escapes(error):
    """Of what an encoding cannot hold: a stray byte as \\xe9, a character as \\u4f60."""
    if not isinstance(error, UnicodeEncodeError):
        return codecs.lookup_error('backslashreplace')(error)
    parts = (
        '\\x%02x' % (ord(c) - 0xDC00)
        if 0xDC80 <= ord(c) <= 0xDCFF
        else c.encode('ascii', 'backslashreplace').decode('ascii')
        for c in error.object[error.start : error.end]
    )
    return ''.join(parts), error.end


codecs.register_error(ESCAPES, _escapes)
