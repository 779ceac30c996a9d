"""Names of a network's outputs, and which output a data set's label is. No TensorFlow here."""

import difflib
import os
import re

from mobilenet import json_files, text
from mobilenet.errors import UsageError

LABELS_FILE = 'labels.txt'
RUN_FILE = 'run.json'  # of a training, with the class names of its data set
IMAGENET = 1000  # classes; TF-slim's networks have one more, 0 for the background
OFFSETS = ('auto', '0', '1')
_NUMBERED = re.compile(r'([0-9]{1,9}):(.*)\Z')
_SYNSET = re.compile(r'(n[0-9]{8})\s+(.*)\Z')


def read_names(path):
    """The names of a file, in order: "LABEL:NAME" a line as slim's labels.txt (a missing 0 is the
    background), or a name a line. Raises UsageError.
    """
    lines = text.read_lines(path, hint=' (--class_names)')
    if not lines:
        raise UsageError(f'{path} is empty: it needs a line for each class')
    numbered = [_NUMBERED.match(line) for _, line in lines]
    if not numbered[0]:
        return [line for _, line in lines]
    if not all(numbered):
        number, line = lines[numbered.index(None)]
        raise UsageError(f'{path}, line {number}: "{line}" is not LABEL:NAME, as the first line is')
    names = {int(match.group(1)): match.group(2).strip() for match in numbered}
    if len(names) < len(lines) or len(names) < max(names):
        raise UsageError(f'{path}: its labels are no row of numbers from 0 or 1, each once')
    return [names.get(label, 'background') for label in range(max(names) + 1)]


def names_of(folder, given, num_outputs, inside=None):
    """The names of a network's outputs: of --class_names, else those `inside` the graph, else of
    labels.txt or run.json in the folder of the weights; None without them. Raises UsageError where
    the number of --class_names does not fit.
    """
    names = read_names(given) if given else inside or _names_in(folder)
    if names is None:
        return None
    if len(names) == num_outputs - 1:
        names = ['background'] + names
    if len(names) != num_outputs:
        if not given:
            return None  # of the data set it was trained on before, as a rule
        raise UsageError(
            f'--class_names={given} has {len(names)} names, the network has {num_outputs} outputs'
        )
    return names


def _names_in(folder):
    """What a folder of weights has: labels.txt, or the class names of the run there."""
    path = os.path.join(folder, LABELS_FILE)
    if os.path.isfile(path):
        return read_names(path)
    names = json_files.read_object(os.path.join(folder, RUN_FILE)).get('class_names')
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if is_list and names else None


def outputs_of_labels(dataset, num_outputs, offset, names=None):
    """(the network's output for each label of a data set, a line that says so or None).

    offset: 'auto', '0' or '1', added to each label; auto is 1 for 1,000 classes and 1,001 outputs.
    names: of the outputs, as --class_names gives them: labels are then looked up by name.

    Raises UsageError where they do not fit.
    """
    count = dataset.num_classes
    if names and dataset.class_names:
        outputs = [_output_named(name, names) for name in dataset.class_names]
        changed = outputs != list(range(count))
        return outputs, f'{count} classes found among {num_outputs} by name' if changed else None
    shift = int(offset != 'auto' and offset)
    if offset == 'auto' and (count, num_outputs) == (IMAGENET, IMAGENET + 1):
        shift = 1
    fits = count + shift == num_outputs if offset == 'auto' else count + shift <= num_outputs
    if not fits:
        moved = ' at --label_offset=1' if shift else ''
        raise UsageError(
            f'the data set has {count} classes{moved}, the network {num_outputs}: give the data '
            'set of its classes, or --class_names with a file that names its outputs'
        )
    said = f'labels 0 to {count - 1} are outputs 1 to {count} (--label_offset=1)'
    return list(range(shift, count + shift)), said if shift else None


def _output_named(name, names):
    """The output that a class of a data set is: the same name, or one of its synonyms."""
    wanted = _plain(name)
    found = [i for i, output in enumerate(names) if _plain(output) == wanted]
    found = found or [i for i, output in enumerate(names) if wanted in _synonyms(output)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f'--class_names has several outputs named {name!r}, the first are {found[0]} and '
            f'{found[1]}: name the class folder by its synset, or as the file does'
        )
    near = difflib.get_close_matches(wanted, [_plain(n) for n in names], 3, 0.5)
    raise UsageError(
        f'no output is named {name!r} in --class_names'
        + (f': the nearest are {", ".join(near)}' if near else '')
    )


def _synonyms(name):
    """Of 'n02123045 tabby, tabby cat': the synset and each name."""
    match = _SYNSET.match(name.strip())
    synset, rest = match.groups() if match else ('', name)
    return {_plain(part) for part in [synset] + rest.split(',')} - {''}


def _plain(name):
    return ' '.join(text.composed(name).lower().replace('_', ' ').split())
