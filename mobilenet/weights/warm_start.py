"""Starting a training from weights that are there."""

from mobilenet import nets, scopes
from mobilenet.errors import UsageError
from mobilenet.weights import matching, networks


def values_for(config, weights):
    """({variable: array} that a training of `config` starts from, lines that say what is left out).

    The weights themselves, not their averages, as TF-slim does it. The last layer is left out where
    it is of another number of classes.

    Raises UsageError: of another network, folded, a scope that there is not, nothing left.
    """
    model_name, num_classes = config.model_name, config.num_classes
    network_scope = nets.scope_name(model_name)
    wanted = networks.variables_of(model_name, num_classes)
    excluded = config.checkpoint_exclude_scopes
    scopes.check('checkpoint_exclude_scopes', excluded, wanted, network_scope)
    wanted = {n: s for n, s in wanted.items() if not scopes.within(n, excluded, network_scope)}
    if not wanted:
        raise UsageError('--checkpoint_exclude_scopes leaves nothing to take: give fewer scopes')
    scope, prefix = networks.scope_of(weights.shapes)
    shapes = networks.variables_in(weights.shapes, prefix, scope) if scope else {}
    if shapes and networks.is_folded(shapes):
        raise UsageError(
            f'{weights.path}: batch norm is folded into these weights, so that they cannot be '
            'trained on: give the checkpoint they were made of'
        )
    lines = _leave_out_other_classes(wanted, shapes, scope, num_classes)
    missing = [name for name in wanted if name not in shapes]
    other = [name for name in wanted if name in shapes and shapes[name] != wanted[name]]
    if other or missing and not config.ignore_missing_vars or len(missing) == len(wanted):
        raise _refusal(weights, model_name, missing)
    if missing:
        lines.append(f'{len(missing)} variables are not in {weights.path} and start anew')
    sources = {name: prefix + name for name in wanted if name in shapes}
    read = weights.values(sources.values())
    return {name: read[source] for name, source in sources.items()}, lines


def _leave_out_other_classes(wanted, shapes, scope, num_classes):
    """Takes the last layer out of `wanted` where the weights' is of other classes; gives lines."""
    last = [f'{scope}/{name}' for name in networks.LAST_LAYER]
    there = networks.classes_of(shapes, scope)
    if not shapes or there == num_classes or not any(name in wanted for name in last):
        return []
    for name in last:
        wanted.pop(name, None)
    why = f'{there} classes there, {num_classes} here' if there else 'the weights have none'
    return [f'the last layer starts anew: {why}']


def _refusal(weights, model_name, missing):
    refusal = matching.refuse(weights, model_name)
    if ' holds ' in str(refusal) or not missing:
        return refusal
    more = f' and {len(missing) - 1} more' if missing[1:] else ''
    return UsageError(
        f'{weights.path}: no {missing[0]}{more}: --ignore_missing_vars starts them anew, '
        '--model_name names another network'
    )
