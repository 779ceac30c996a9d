"""From the names of a file to the values of a network's variables."""

from mobilenet import nets
from mobilenet.errors import UsageError
from mobilenet.moving_averages import EMA_SUFFIX
from mobilenet.weights import folding, networks


class OtherNetwork(UsageError):
    """The weights are of another network; `fit` tells of which."""


def network_values(weights, model_name, num_classes, use_ema=True):
    """({variable of the network: float32 array}, whether they are averages).

    use_ema: where the file has the averages of a variable, those. num_classes: None leaves out the
    last layer. Folded weights get batch norms that change nothing.

    Raises OtherNetwork, BrokenWeights.
    """
    scope, prefix = networks.scope_of(weights.shapes)
    shapes = networks.variables_in(weights.shapes, prefix, scope) if scope else {}
    folded = bool(shapes) and networks.is_folded(shapes)
    wanted = networks.variables_of(model_name, num_classes, folded)
    if any(shapes.get(name) != shape for name, shape in wanted.items()):
        raise refuse(weights, model_name, num_classes)
    averaged = {n for n in wanted if use_ema and prefix + n + EMA_SUFFIX in weights.shapes}
    sources = {n: prefix + n + (EMA_SUFFIX if n in averaged else '') for n in wanted}
    read = weights.values(sources.values())
    values = {name: read[source] for name, source in sources.items()}
    if folded:
        values = folding.unfold(values, networks.variables_of(model_name, num_classes))
    return values, bool(averaged)


def refuse(weights, model_name, num_classes=None):
    """The OtherNetwork that says what the weights are, and what was wanted."""
    fit = networks.identify(weights)
    if fit.model_name and fit.model_name != model_name:
        return OtherNetwork(
            f'{weights.path} holds a {fit.model_name}, not --model_name={model_name}: use '
            f'--model_name={fit.model_name}, or other weights'
        )
    if fit.model_name:
        has = f'{fit.num_classes} classes' if fit.num_classes else 'no last layer'
        return OtherNetwork(f'{weights.path} has {has}, {num_classes} were wanted')
    if fit.nearest is None:
        return OtherNetwork(f'{weights.path} holds {fit.differences[0]}: give other weights')
    more = f' and {len(fit.differences) - 1} more differences' if fit.differences[1:] else ''
    return OtherNetwork(
        f'{weights.path} fits no network here: the nearest is {fit.nearest}, but '
        f'{fit.differences[0]}{more} (scripts/inspect_checkpoint.py lists them)'
    )


def identified(weights, model_name=None):
    """The Fit of weights that are to be used whole: of `model_name`, or of any network where it is
    None. Raises OtherNetwork.
    """
    fit = networks.identify(weights)
    if fit.model_name is None or model_name not in (None, fit.model_name):
        raise refuse(weights, model_name or nets.MODEL_NAMES[0])
    if fit.num_classes is None:
        raise OtherNetwork(
            f'{weights.path} holds a {fit.model_name} without its last layer: it can be trained on '
            '(train_loop.py), but gives no answers'
        )
    return fit
