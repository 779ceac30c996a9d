"""The networks: MobileNet V1, V2 and V3, with TF-slim's variable names and shapes.

Importing this package does not import TensorFlow, so that the flags can list `MODEL_NAMES`.
"""

import collections

# model name -> (module and function under mobilenet.nets, depth multiplier or V3 variant).
_MODELS = collections.OrderedDict(
    [
        ('mobilenet_v1', ('mobilenet_v1', 1.0)),
        ('mobilenet_v1_075', ('mobilenet_v1', 0.75)),
        ('mobilenet_v1_050', ('mobilenet_v1', 0.50)),
        ('mobilenet_v1_025', ('mobilenet_v1', 0.25)),
        ('mobilenet_v2', ('mobilenet_v2', 1.0)),
        ('mobilenet_v2_140', ('mobilenet_v2', 1.4)),
        ('mobilenet_v2_130', ('mobilenet_v2', 1.3)),
        ('mobilenet_v2_075', ('mobilenet_v2', 0.75)),
        ('mobilenet_v2_050', ('mobilenet_v2', 0.50)),
        ('mobilenet_v2_035', ('mobilenet_v2', 0.35)),
        ('mobilenet_v3_large', ('mobilenet_v3', 'large')),
        ('mobilenet_v3_large_075', ('mobilenet_v3', 'large_075')),
        ('mobilenet_v3_large_minimalistic', ('mobilenet_v3', 'large_minimalistic')),
        ('mobilenet_v3_small', ('mobilenet_v3', 'small')),
        ('mobilenet_v3_small_075', ('mobilenet_v3', 'small_075')),
        ('mobilenet_v3_small_minimalistic', ('mobilenet_v3', 'small_minimalistic')),
    ]
)

_SCOPES = {
    'mobilenet_v1': 'MobilenetV1',
    'mobilenet_v2': 'MobilenetV2',
    'mobilenet_v3': 'MobilenetV3',
}

# What slim's training scopes set: mobilenet_v1_arg_scope and mobilenet.training_scope.
_BATCH_NORM_DECAY = {'mobilenet_v1': 0.9997, 'mobilenet_v2': 0.997, 'mobilenet_v3': 0.997}
_DROPOUT_KEEP_PROB = {'mobilenet_v1': 0.999, 'mobilenet_v2': 0.8, 'mobilenet_v3': 0.8}

MODEL_NAMES = tuple(_MODELS)

# Last parts of the names of weights and statistics.
LEAVES = (
    'weights',
    'depthwise_weights',
    'biases',
    'gamma',
    'beta',
    'moving_mean',
    'moving_variance',
)

Network = collections.namedtuple(
    'Network', ['logits', 'end_points', 'batch_norm_statistics', 'variables']
)


def build(
    model_name,
    images,
    num_classes,
    training,
    dropout_mask=None,
    compute_dtype='float32',
    gradients='composed',
    fold=None,
    is_frozen=lambda name: False,
    block=1,
):
    """Builds a network; a further call in the same graph shares the variables of the first.

    Args:
      model_name: one of MODEL_NAMES.
      images: float32 [batch, height, width, 3], in [-1, 1]. Height and width are static, of any
        size, odd ones too.
      num_classes: number of logits.
      training: batch norm by the batch's own statistics, not the moving ones.
      dropout_mask: function of (shape, keep_prob) that gives what dropout keeps, 1 or 0, float32
        (mobilenet/dropout.py). None leaves dropout out. Ignored where `training` is False.
      compute_dtype: tf.float32 or tf.float16, in which convolutions are computed. Variables, batch
        norm, activations and the logits are float32 in both cases.
      gradients: of activations: 'stock', by the kernels of these names; 'composed', Relu6Grad of
        other ops, the same bits, faster with oneDNN's kernels (see layers.relu6); 'onednn', on a
        host with these past slow depthwise ones too; 'compiled', so with our kernel Relu6Grad.
      fold: for inference, where batch norm is in the weights (mobilenet/weights/folding.py) and
        `biases` stand in its place: 'all', or 'convolutions': not after depthwise convolutions,
        where oneDNN has a batch norm but no bias. None: nowhere.
      is_frozen: in training, name of a variable -> whether it stays as it is. A batch norm whose
        gamma and beta do works as in inference, and its statistics stay too.
      block: float32 activations have a multiple of so many channels inside (see layers.width).

    Returns:
      Network with
        logits: float32 [batch, num_classes];
        end_points: OrderedDict of layer name -> activation, from the input to 'Logits';
        batch_norm_statistics: [(moving variable, the batch's value)], not updated here; empty
          unless training;
        variables: all weights and statistics, in order of creation.
    Raises ValueError: unknown model_name, images without static sizes, another compute_dtype, fold
    while training.
    """
    import importlib

    from mobilenet.nets import layers

    architecture, variant = _lookup(model_name)
    module = importlib.import_module('mobilenet.nets.' + architecture)
    mode = layers.make_mode(training, compute_dtype, gradients, fold, is_frozen, block)
    layers.check_images(images)
    with layers.network_scope(_SCOPES[architecture]):
        net, end_points = getattr(module, architecture)(images, mode, variant)
        logits = layers.classifier(
            net, mode, num_classes, dropout_mask, _DROPOUT_KEEP_PROB[architecture]
        )
    end_points['Logits'] = logits
    variables = layers.variables_in(_SCOPES[architecture], LEAVES)
    return Network(logits, end_points, mode.batch_norm_statistics, variables)


def default_batch_norm_decay(model_name):
    """Decay of the batch norm moving averages in slim's training scope of this network."""
    return _BATCH_NORM_DECAY[_lookup(model_name)[0]]


def scope_name(model_name):
    """The variable scope that holds all of the network's variables, such as 'MobilenetV1'."""
    return _SCOPES[_lookup(model_name)[0]]


def is_last_layer(variable_name):
    """Whether a variable is of the last layer, whose shape follows from the number of classes."""
    return variable_name.split('/', 1)[-1].startswith('Logits/')


def _lookup(model_name):
    if model_name not in _MODELS:
        raise ValueError(f'unknown model_name {model_name!r}; known are {", ".join(_MODELS)}')
    return _MODELS[model_name]
