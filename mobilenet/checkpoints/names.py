"""Files of checkpoints: which are there, which are whole, which one a run goes on from.

No TensorFlow here.

A checkpoint is a prefix such as TRAIN_DIR/model.ckpt-100 with the files

    .data-00000-of-00001, .index    TensorFlow's
    .json, .eval.json               where the run stood, how good it was: see position.py
    .sha256                         checksums of what the training wrote: see checksums.py

The index is put in place last: a checkpoint with an index and all its data is whole. The file
`checkpoint` is a hint.
"""

import codecs
import os
import re

from mobilenet import text
from mobilenet.checkpoints import missing
from mobilenet.errors import UsageError

NAME = 'model.ckpt'
HINT = 'checkpoint'
LARGEST_HINT = 1 << 20
_OWN = re.compile(re.escape(NAME) + r'-(\d+)$')
_DATA = re.compile(r'\.data-(\d+)-of-(\d+)$')
_SUFFIX = re.compile(r'\.(index|meta|json|eval\.json|sha256|data-\d+-of-\d+)$')


def step_of(path):
    """The step in `…/model.ckpt-STEP`; -1 where the name has none."""
    match = re.search(r'-(\d+)$', path)
    return int(match.group(1)) if match else -1


def prefix_of(folder, step):
    return os.path.join(folder, f'{NAME}-{step}')


def files_of(prefix):
    """Paths of the files of a checkpoint, the index first: without it the others are no checkpoint
    any more.
    """
    folder, name = os.path.split(prefix)
    suffixes = [f[len(name) :] for f in _listing(folder or '.') if f.startswith(name) and f != name]
    found = [prefix + suffix for suffix in suffixes if _SUFFIX.match(suffix)]
    return sorted(found, key=lambda path: (not path.endswith('.index'), path))


def is_whole(prefix):
    """Whether the index and every data file of a checkpoint are there."""
    parts = [path[len(prefix) :] for path in files_of(prefix)]
    shards = [_DATA.match(part) for part in parts]
    numbers = {int(m.group(1)) for m in shards if m}
    totals = {int(m.group(2)) for m in shards if m}
    return '.index' in parts and any(numbers >= set(range(total)) for total in totals if total)


def in_folder(folder):
    """The whole checkpoints in a folder, in order of step."""
    found = [
        os.path.join(folder, f[: -len('.index')]) for f in _listing(folder) if f.endswith('.index')
    ]
    return sorted((p for p in found if is_whole(p)), key=lambda p: (step_of(p), p))


def of_run(folder):
    """Those of them that are named as a run names its own."""
    return [p for p in in_folder(folder) if _OWN.match(os.path.basename(p))]


def torn(folder):
    """Those named as a run's own that lack their index or some of their data, in order of step."""
    parts = [f for f in _listing(folder) if f.endswith('.index') or _DATA.search(f)]
    found = {os.path.join(folder, _SUFFIX.sub('', part)) for part in parts}
    own = [p for p in found if _OWN.match(os.path.basename(p)) and not is_whole(p)]
    return sorted(own, key=step_of)


def hint(folder):
    """What the file `checkpoint` says: (the name it gives first, all names in order), as paths.

    (None, []) where it is missing, cut short or something else. A name may be of another folder, or
    of nothing.
    """
    try:
        data = text.read_bytes(os.path.join(folder, HINT), LARGEST_HINT)
    except text.Unreadable:
        return None, []
    first = _values(data, b'model_checkpoint_path')
    every = _values(data, b'all_model_checkpoint_paths')
    here = [os.path.normpath(os.path.join(folder, name)) for name in first[:1] + every]
    return (here[0], here[1:]) if first else (None, here)


def write_hint(folder, prefixes):
    """Writes the file `checkpoint` for TensorFlow's tools; `prefixes` are in `folder`, the newest
    last.
    """
    names = [os.path.basename(prefix) for prefix in prefixes]
    lines = [f'model_checkpoint_path: "{names[-1]}"']
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    text.write_text(os.path.join(folder, HINT), '\n'.join(lines) + '\n')


def to_resume(folder):
    """(checkpoints of the run in a folder, the one to go on from first; why not the newest one, or
    None).

    An older one comes first where the file `checkpoint` names it. That is a person's wish: saving
    writes the name before the checkpoint is there, so that a kill never leaves the name of an older
    one.
    """
    found = of_run(folder)[::-1]
    named, _ = hint(folder)
    if not found or named is None:
        return found, None
    chosen = [p for p in found if same(p, named)]
    if not chosen or chosen[0] == found[0]:
        return found, None
    step = step_of(chosen[0])
    older = [p for p in found if step_of(p) < step]
    return chosen + older, f'the file {HINT} names it; the newest is {found[0]}'


def resolve(path, flag='--checkpoint_path'):
    """A checkpoint prefix, or a folder (the one a run there would go on from) -> prefix. Raises
    UsageError, with the flag's name where there is one.
    """
    said = f'{flag}=' if flag else ''
    if os.path.isdir(path):
        found = to_resume(path)[0] or in_folder(path)[::-1]
        if not found:
            raise UsageError(said + missing.words(path))
        return found[0]
    prefix = _SUFFIX.sub('', path)
    if not is_whole(prefix):
        raise UsageError(said + missing.words(prefix))
    return prefix


def latest(folder):
    """Path of the checkpoint that the run in a folder goes on from, or None."""
    found, _ = to_resume(folder)
    return found[0] if found else None


def same(prefix, other):
    """Whether two prefixes are the same checkpoint, whatever links lead there."""
    (folder, name), (other_folder, other_name) = os.path.split(prefix), os.path.split(other)
    return name == other_name and os.path.realpath(folder) == os.path.realpath(other_folder)


def _listing(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _values(data, field):
    """The strings of a field of a text protocol buffer, one a line, unescaped."""
    pattern = re.compile(rb'^\s*' + field + rb'\s*:\s*"((?:[^"\\\n]|\\.)*)"\s*$', re.M)
    values = []
    for quoted in pattern.findall(data):
        try:
            values.append(os.fsdecode(codecs.escape_decode(quoted)[0]))
        except ValueError:
            continue
    return [value for value in values if value and '\0' not in value]
