"""Fonts that have the characters of names: of classes, of runs. No TensorFlow here."""

import functools
import os
import sys

PREFERRED = ('NotoSansCJK', 'NotoSans', 'wqy', 'simhei', 'Droid')
DEJAVU_HAS = '\u0530'  # all letters before it: Latin, Greek, Cyrillic


def plain(name, longest=None):
    """A name that matplotlib does not take for mathematics; cut to so many characters."""
    if longest and len(name) > longest:
        name = name[: longest - 1] + '…'
    return name.replace('$', r'\$')


def use_for(names):
    """Makes matplotlib draw with a font that has the characters of `names`."""
    from matplotlib import font_manager, rcParams

    path = path_for(names)
    if path:
        font_manager.fontManager.addfont(path)
        family = font_manager.FontProperties(fname=path).get_name()
        rcParams['font.family'] = [family]


def path_for(names):
    """The path of a font that has most characters of `names`; None where any font has them (Latin,
    Greek, Cyrillic), or none has any of the others. Says once on stderr which it lacks, and what to
    install.
    """
    wanted = frozenset(c for name in names for c in name if c >= DEJAVU_HAS and c.isprintable())
    return _path_for(wanted) if wanted else None


@functools.lru_cache(maxsize=None)
def _path_for(wanted):
    from matplotlib import font_manager

    best, lacking = None, wanted
    for path in sorted(font_manager.findSystemFonts(), key=_rank):
        missing = wanted - _characters(path)
        if len(missing) < len(lacking):
            best, lacking = path, missing
        if not lacking:
            break
    if lacking:
        shown = ''.join(sorted(lacking)[:8])
        print(
            f'no font here has {shown}: names are drawn with boxes in their place; for Chinese '
            'install fonts-noto-cjk (Debian, Ubuntu) or google-noto-sans-cjk-fonts (openEuler, '
            'Fedora)',
            file=sys.stderr,
        )
    return best


def _rank(path):
    """Sans-serif fonts that are known to have Chinese come first, upright before bold."""
    name = os.path.basename(path)
    place = next((i for i, start in enumerate(PREFERRED) if name.startswith(start)), 99)
    return place, 'Regular' not in name, path


def _characters(path):
    from matplotlib import ft2font

    try:
        return {chr(code) for code in ft2font.FT2Font(path).get_charmap()}
    except (OSError, RuntimeError):  # no font after all, or damaged
        return set()
