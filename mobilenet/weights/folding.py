"""Batch norm folded into the convolution before it, in numpy, and the way back."""

import numpy as np

from mobilenet.nets.layers import BATCH_NORM_EPSILON

NORM = '/BatchNorm/'
STATISTICS = ('gamma', 'beta', 'moving_mean', 'moving_variance')


def scopes_with_norm(values):
    """The scopes of layers, such as 'MobilenetV1/Conv2d_0', that have a batch norm."""
    return [name[: -len(NORM + 'gamma')] for name in values if name.endswith(NORM + 'gamma')]


def fold(values, depthwise=True):
    """{name: array} of a network with its batch norms folded, in float64, given as float32.

    y = gamma * (conv(x, w) - mean) / sqrt(variance + epsilon) + beta is conv(x, w * scale) + biases
    with scale = gamma / sqrt(variance + epsilon) and biases = beta - mean * scale.

    depthwise: those after depthwise convolutions too.
    """
    folded = dict(values)
    for scope in scopes_with_norm(values):
        is_depthwise = f'{scope}/depthwise_weights' in values
        if is_depthwise and not depthwise:
            continue
        gamma, beta, mean, variance = [
            folded.pop(f'{scope}{NORM}{name}').astype(np.float64) for name in STATISTICS
        ]
        scale = gamma / np.sqrt(variance + BATCH_NORM_EPSILON)
        name = f'{scope}/depthwise_weights' if is_depthwise else f'{scope}/weights'
        by_channel = scale[:, None] if is_depthwise else scale
        folded[name] = (values[name] * by_channel).astype(np.float32)
        folded[f'{scope}/biases'] = (beta - mean * scale).astype(np.float32)
    return folded


def unfold(values, wanted):
    """Folded values with batch norms that change nothing but add the biases: what `wanted`, the
    names of the network's variables, ask for.
    """
    plain = dict(values)
    for scope in scopes_with_norm(wanted):
        biases = plain.pop(f'{scope}/biases')
        variance = np.ones_like(biases)
        for name, value in zip(
            STATISTICS,
            (
                np.sqrt(variance + np.float32(BATCH_NORM_EPSILON)),
                biases,
                np.zeros_like(biases),
                variance,
            ),
        ):
            plain[f'{scope}{NORM}{name}'] = value
    return plain
