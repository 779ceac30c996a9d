"""What a run must keep when it goes on: flags, data set, ranks, code. No TensorFlow here.

config.json has every flag; run.json beside it has
    run           a name of this run, in its checkpoints too
    world_size    ranks
    code_version  digest of the program's own source
    data_set      what data.fingerprint gives, without
    class_names   a list in order of label, or null
Both are read with care: they may be missing (an older run), edited or cut short.
"""

import functools
import hashlib
import json
import os
import uuid

from mobilenet import flag_types, json_files

NAME = 'run.json'
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = ('train_loop.py', 'data', 'hccl', 'mobilenet')

# Flags that a resumed run may have otherwise: they do not decide its numbers, or are answers to
# what ended it (nan_policy, on_bad_record). All others are compared, npu_* left out.
NEUTRAL = frozenset(
    'allow_changed allow_host_ops base_port bind_cores check_weights_every '
    'checkpoint_exclude_scopes data_threads dataset_dir device dump_dir dump_steps '
    'dump_tensors eval_every_epochs gradient_split histograms_every_steps ignore_missing_vars '
    'iterations_per_loop keep_best keep_checkpoints kernels log_every_steps max_restarts '
    'nan_policy norms_every_steps on_bad_record profile_steps rank_table rank_table_timeout '
    'save_every_steps save_retries server_id step step_script step_timeout '
    'summary_images_at_step train_dir'.split()
)
LENGTH = ('max_train_steps', 'max_epoch')
# Schedules that do not depend on the length of the run.
ENDLESS = ('fixed', 'exponential')


class Difference:
    """Something that a run on a folder has otherwise than the one before. `names`: what
    --allow_changed calls it.
    """

    def __init__(self, names, before, now):
        self.names, self.before, self.now = names, before, now


@functools.lru_cache()
def code_version():
    """sha256 of the program's own Python source, short."""
    whole = hashlib.sha256()
    for place in SOURCES:
        place = os.path.join(ROOT, place)
        paths = [place] if place.endswith('.py') else sorted(_python_files(place))
        for path in paths:
            with open(path, 'rb') as f:
                whole.update(os.path.relpath(path, ROOT).encode() + b'\0' + f.read() + b'\0')
    return whole.hexdigest()[:12]


def _python_files(folder):
    for parent, _, names in os.walk(folder):
        yield from (os.path.join(parent, name) for name in names if name.endswith('.py'))


def make(before, world_size, fingerprint):
    """The record of a run that goes on from a folder with the record `before`, or {}."""
    data_set = {k: v for k, v in fingerprint.items() if k != 'class_names'}
    run = before.get('run')
    return {
        'run': run if isinstance(run, str) else uuid.uuid4().hex,
        'world_size': world_size,
        'code_version': code_version(),
        'data_set': data_set,
        'class_names': fingerprint.get('class_names'),
    }


def read(folder):
    """The record of the run in a folder; {} where there is none, or none that can be read."""
    return json_files.read_object(os.path.join(folder, NAME))


def is_there(folder):
    """Whether a run has left its record, whatever has become of it."""
    return os.path.exists(os.path.join(folder, NAME))


def write(folder, record):
    json_files.write_object(os.path.join(folder, NAME), record)


def allowed_names(flags):
    """What --allow_changed may name, of a {name: value} of all flags."""
    return sorted(n for n in flags if is_deciding(n)) + ['class_names', 'data_set']


def is_deciding(name):
    """Whether a flag decides the numbers of a run."""
    return name not in NEUTRAL and not name.startswith('npu_')


def differences(flags_before, flags, record_before, record):
    """[Difference] of what decides the numbers; what the earlier run has not is not compared."""
    flags = json.loads(json.dumps(flags))
    found = _length(flags_before, flags)
    for name in sorted(flags):
        if is_deciding(name) and name not in LENGTH and name in flags_before:
            before, now = flags_before[name], flags[name]
            if not _equal(before, now):
                found.append(Difference((name,), f'--{name}={before}', f'--{name}={now}'))
    return found + _data(record_before, record)


def _length(before, now):
    if not any(name in before for name in LENGTH):
        return []
    kinds = [flags.get('learning_rate_decay_type') for flags in (before, now)]
    if all(kind in ENDLESS for kind in kinds):
        return []
    if all(_equal(before.get(name), now.get(name)) for name in LENGTH):
        return []
    shown = [
        next((f'--{n}={flags[n]}' for n in LENGTH if flags.get(n) is not None), 'no length given')
        for flags in (before, now)
    ]
    return [Difference(LENGTH, *shown)]


def _data(before, now):
    """Differences of the data set and of its classes, in words."""
    found = other_classes(before, now['class_names'])
    set_before = before.get('data_set')
    if isinstance(set_before, dict) and not found:
        for key in ('records', 'num_classes', 'files', 'digest'):
            if key in set_before and set_before[key] != now['data_set'].get(key):
                words = f'a data set with {key} {{}}'
                shown = [words.format(s.get(key)) for s in (set_before, now['data_set'])]
                found.append(Difference(('data_set',), *shown))
                break
    return found


def other_classes(before, names_now):
    """[Difference] of the names of classes from those in a record; none where it has no names."""
    names_before = before.get('class_names')
    if not isinstance(names_before, list) or names_before == names_now:
        return []
    return [Difference(('class_names',), *_shown_classes(names_before, names_now or []))]


def _shown_classes(before, now):
    """The first label whose class differs, in words, of both lists."""
    label = next(
        (n for n, (a, b) in enumerate(zip(before, now)) if a != b), min(len(before), len(now))
    )
    return [
        f'class {label} named {names[label]!r}' if label < len(names) else f'{len(names)} classes'
        for names in (before, now)
    ]


def _equal(before, now):
    """Whether two values of JSON are the same; 1 and 1.0 are, 1 and true are not.

    Lists of names were text in folders of earlier versions: 'A,B' is ['A', 'B'].
    """
    if isinstance(now, list) and isinstance(before, str):
        before = flag_types.names(before)
    return before == now and isinstance(before, bool) == isinstance(now, bool)
