"""The flags of a training recipe: how long, which learning rate, which optimizer. No TensorFlow
here.
"""

import math

from mobilenet.flag_types import DYNAMIC_START, count, flag, loss_scale, number

OPTIMIZERS = ('sgd', 'momentum', 'rmsprop', 'adam', 'adagrad', 'adadelta', 'ftrl')
SCHEDULES = ('fixed', 'exponential', 'polynomial', 'cosine_annealing')
DEFAULT_EPOCHS = 300.0
# Defaults with --checkpoint_path: weights that are good already would be thrown away by a rate of
# 0.4, and an average over 10,000 steps would hardly move in so short a run.
FINE_TUNING_EPOCHS = 30.0
FINE_TUNING = {'learning_rate': 0.02, 'warmup_epochs': 0.0, 'moving_average_decay': 0.99}

positive = number(0, open_low=True)

SCHEDULE = [
    flag('max_train_steps', 'batches to train on (skipped ones included)', type=count()),
    flag(
        'max_epoch',
        f'passes over the data; default {DEFAULT_EPOCHS:g} where --max_train_steps is not given',
        type=positive,
    ),
    flag(
        'iterations_per_loop',
        'steps that sink into one session.run; default 100 on npu, 10 on host',
        type=count(),
    ),
    flag('learning_rate', 'the highest, after the warm-up', 0.4, positive),
    flag('learning_rate_decay_type', 'the schedule', 'cosine_annealing', choices=SCHEDULES),
    flag('learning_rate_decay_factor', 'exponential: the factor', 0.94, positive),
    flag('num_epochs_per_decay', 'exponential: epochs from one decay to the next', 2.0, positive),
    flag('end_learning_rate', 'polynomial: the rate at the end', 0.0001, number(0)),
    flag('warmup_epochs', 'linear from 0', 5.0, number(0)),
]

OPTIMIZER = [
    flag('optimizer', 'its slots are named as in TF-slim', 'momentum', choices=OPTIMIZERS),
    flag('momentum', 'momentum: the share that is kept', 0.9, number(0, 1)),
    flag('weight_decay', 'of convolution and fully connected weights', 0.00004, number(0)),
    flag('label_smoothing', 'the share spread over all classes', 0.1, number(0, 1)),
    flag('moving_average_decay', 'of the weights (EMA); 0: none', 0.9999, number(0, 1)),
    flag(
        'loss_scale',
        f'auto: dynamic from {DYNAMIC_START:g} with float16, 1 without',
        'auto',
        loss_scale,
        metavar='NUMBER|dynamic[:START]',
    ),
]

ONE_OPTIMIZER = [
    flag('opt_epsilon', 'rmsprop, adam, adadelta', 1.0, number(0)),
    flag('rmsprop_momentum', 'rmsprop', 0.9, number(0)),
    flag('rmsprop_decay', 'rmsprop', 0.9, number(0)),
    flag('adam_beta1', 'adam', 0.9, number(0)),
    flag('adam_beta2', 'adam', 0.999, number(0)),
    flag('adagrad_initial_accumulator_value', 'adagrad', 0.1, number(0)),
    flag('adadelta_rho', 'adadelta', 0.95, number(0)),
    flag('ftrl_learning_rate_power', 'ftrl', -0.5, number(-math.inf)),
    flag('ftrl_initial_accumulator_value', 'ftrl', 0.1, number(0)),
    flag('ftrl_l1', 'ftrl', 0.0, number(0)),
    flag('ftrl_l2', 'ftrl', 0.0, number(0)),
]

# Flags that do something where another one has one of some values, and nothing elsewhere.
ONLY_WITH = {
    'learning_rate_decay_factor': ('learning_rate_decay_type', ['exponential']),
    'num_epochs_per_decay': ('learning_rate_decay_type', ['exponential']),
    'end_learning_rate': ('learning_rate_decay_type', ['polynomial']),
    'momentum': ('optimizer', ['momentum']),
    **{f.name: ('optimizer', f.help.split(', ')) for f in ONE_OPTIMIZER},
}
