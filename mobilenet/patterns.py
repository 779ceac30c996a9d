"""Patterns of names as file names have them: `*`, `?`, `[abc]`, `[!a-z]`."""

import functools
import re

_PARTS = re.compile(r'\*+|\?|\[(?:!.|[^!])[^\]]*\]|.', re.DOTALL)


def matches(text, pattern):
    """As fnmatch.fnmatchcase, in a time of at most len(text) * len(pattern).

    That one makes a regular expression, which never ends on some patterns of many stars.
    """
    parts, least = _parts(pattern)
    if len(text) < least:
        return False
    at = part = 0
    retry = None  # where to go on when the last star takes one character more: (at, part)
    while at < len(text):
        if part < len(parts) and parts[part].startswith('*'):
            part += 1
            retry = at, part
        elif part < len(parts) and _fits(text[at], parts[part]):
            at, part = at + 1, part + 1
        elif retry:
            at, part = retry = retry[0] + 1, retry[1]
        else:
            return False
    return all(left.startswith('*') for left in parts[part:])


@functools.lru_cache(maxsize=64)
def _parts(pattern):
    """(the parts of a pattern, how many characters it stands for at least)."""
    parts = _PARTS.findall(pattern)
    return parts, sum(not part.startswith('*') for part in parts)


def _fits(character, part):
    if len(part) > 1:
        negated = part[1] == '!'
        return _in_set(character, part[1 + negated : -1]) != negated
    return part in ('?', character)


def _in_set(character, members):
    """members: what stands between the brackets, without a `!` at the start."""
    while members:
        if members[1:2] == '-' and len(members) > 2:
            if members[0] <= character <= members[2]:
                return True
            members = members[3:]
        elif members[0] == character:
            return True
        else:
            members = members[1:]
    return False
