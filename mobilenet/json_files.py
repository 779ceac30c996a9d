"""JSON files that may have been edited, cut short, or be something else: read with a bound, never
an exception. No TensorFlow here.
"""

import json

from mobilenet import text

LARGEST = 16 << 20  # bytes; class names of 20,000 classes are 1 MB


def read_object(path):
    """The JSON object in a file as a dict; {} where there is no file or no object in it."""
    try:
        return parse_object(text.decode(text.read_bytes(path, LARGEST)))
    except text.Unreadable:
        return {}


def parse_object(line):
    """The JSON object in a text as a dict; {} where it is anything else."""
    try:
        value = loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def loads(line):
    """The JSON value of a text. Raises ValueError: no JSON, or nested deeper than Python can
    follow.
    """
    try:
        return json.loads(line, parse_int=_whole_number)
    except RecursionError:
        raise ValueError('nested too deeply')


def _whole_number(digits):
    """An int; a float beyond 19 digits: a million of them as an int take minutes."""
    return int(digits) if len(digits) < 20 else float(digits)


def is_count(value):
    """Whether a value of JSON is a whole number from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def write_object(path, value):
    """Writes a dict as JSON; the file is replaced as a whole."""
    text.write_text(path, json.dumps(value, indent=2, sort_keys=True) + '\n')
