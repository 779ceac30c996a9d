"""Which of our networks some weights are of, told by names and shapes."""

import collections
import functools
import re

import numpy as np
import tensorflow as tf

from mobilenet import nets

LAST_LAYER = ('Logits/Conv2d_1c_1x1/weights', 'Logits/Conv2d_1c_1x1/biases')
NORM = 'BatchNorm/'

# Parameters and statistics without the last layer.
PARAMETERS = {
    'mobilenet_v1': 3228864,
    'mobilenet_v1_075': 1832976,
    'mobilenet_v1_050': 829536,
    'mobilenet_v1_025': 218544,
    'mobilenet_v2': 2257984,
    'mobilenet_v2_140': 4363712,
    'mobilenet_v2_130': 3766048,
    'mobilenet_v2_075': 1382064,
    'mobilenet_v2_050': 706224,
    'mobilenet_v2_035': 410208,
    'mobilenet_v3_large': 4226432,
    'mobilenet_v3_large_075': 2731616,
    'mobilenet_v3_large_minimalistic': 2667688,
    'mobilenet_v3_small': 1529968,
    'mobilenet_v3_small_075': 1026552,
    'mobilenet_v3_small_minimalistic': 1031848,
}

# model_name: None where no network fits, then nearest is the one that differs least and
# differences ([str]) say where; num_classes: None without a last layer; prefix: what stands before
# our names ('module/' of TF-Hub); folded: batch norm is within the weights.
Fit = collections.namedtuple('Fit', 'model_name num_classes prefix folded nearest differences')


def identify(weights):
    """The Fit of Weights."""
    scope, prefix = scope_of(weights.shapes)
    if scope is None:
        return Fit(None, None, '', False, None, ['no variables of a MobileNet V1, V2 or V3'])
    shapes = variables_in(weights.shapes, prefix, scope)
    num_classes = classes_of(shapes, scope)
    folded = is_folded(shapes)
    ranked = []
    for model_name in by_size(scope, shapes):
        differing = differences(shapes, model_name, num_classes, folded)
        ranked.append((len(differing), len(ranked), model_name, differing))
        if not differing:
            return Fit(model_name, num_classes, prefix, folded, model_name, [])
    _, _, nearest, differing = min(ranked)
    return Fit(None, num_classes, prefix, folded, nearest, differing)


def by_size(scope, shapes):
    """The networks of a scope that have about as many parameters, the nearest first: building a
    network to compare with takes a second.
    """
    last = tuple(f'{scope}/{name}' for name in LAST_LAYER)
    total = sum(int(np.prod(shape)) for name, shape in shapes.items() if name not in last)
    names = [name for name in nets.MODEL_NAMES if nets.scope_name(name) == scope]
    return sorted(names, key=lambda name: abs(PARAMETERS[name] - total))[:3]


def scope_of(names):
    """(the network's scope, such as 'MobilenetV1', what stands before it in the names); (None, '')
    without one.
    """
    counts = collections.Counter()
    scopes = sorted({nets.scope_name(name) for name in nets.MODEL_NAMES})
    pattern = re.compile(r'(.*?/)??({})/.*/({})$'.format('|'.join(scopes), '|'.join(nets.LEAVES)))
    for name in names:
        match = pattern.match(name)
        if match:
            counts[match.group(2), match.group(1) or ''] += 1
    return counts.most_common(1)[0][0] if counts else (None, '')


def variables_in(shapes, prefix, scope):
    """{our name: shape} of the weights and statistics among all names of a file."""
    return {
        name[len(prefix) :]: shape
        for name, shape in shapes.items()
        if name.startswith(f'{prefix}{scope}/') and name.split('/')[-1] in nets.LEAVES
    }


def classes_of(shapes, scope):
    """The number of logits, or None."""
    shape = shapes.get(f'{scope}/{LAST_LAYER[1]}')
    return shape[0] if shape else None


def is_folded(shapes):
    return not any(NORM in name for name in shapes)


@functools.lru_cache(maxsize=None)
def _with_1001_classes(model_name):
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [1, 32, 32, 3])
        nets.build(model_name, images, 1001, False)
        return tuple((v.op.name, tuple(v.shape.as_list())) for v in tf.global_variables())


def _folded(shapes):
    """{name: shape} with biases in the place of batch norms."""
    folded = {}
    for name, shape in shapes.items():
        if NORM not in name:
            folded[name] = shape
        elif name.endswith('/beta'):
            folded[name.replace(NORM + 'beta', 'biases')] = shape
    return folded


def variables_of(model_name, num_classes=1001, folded=False):
    """{name: shape} of a network's weights and statistics. num_classes: None leaves out the last
    layer.
    """
    last = {f'{nets.scope_name(model_name)}/{name}' for name in LAST_LAYER}
    shapes = {}
    for name, shape in _with_1001_classes(model_name):
        if name not in last:
            shapes[name] = shape
        elif num_classes is not None:
            shapes[name] = shape[:-1] + (num_classes,)
    return _folded(shapes) if folded else shapes


def differences(shapes, model_name, num_classes, folded):
    """What of a network is missing among `shapes`, or has another shape: a list of sentences."""
    found = []
    for name, shape in variables_of(model_name, num_classes, folded).items():
        if name not in shapes:
            found.append(f'no {name}')
        elif shapes[name] != shape:
            found.append(f'{name} is {in_words(shapes[name])}, not {in_words(shape)}')
    known = set(variables_of(model_name, 1001, folded))
    found += [f'{name} too many' for name in sorted(set(shapes) - known)]
    return found


def in_words(shape):
    return 'x'.join(map(str, shape)) or 'a scalar'
