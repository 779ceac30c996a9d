"""Scopes of variables as flags name them: whole components, with or without the network's own."""

import difflib

from mobilenet.errors import UsageError


def within(name, scopes, network_scope):
    """Whether a variable's name is one of `scopes` or under it: 'Conv2d_0' and
    'MobilenetV1/Conv2d_0' both have 'MobilenetV1/Conv2d_0/weights', 'Conv2d_1' nothing of
    Conv2d_10.
    """
    plain = [scope.strip('/') for scope in scopes]
    whole = plain + [f'{network_scope}/{scope}' for scope in plain]
    return any(name == scope or name.startswith(scope + '/') for scope in whole)


def check(flag, scopes, names, network_scope):
    """Raises UsageError, with the nearest names, at a scope that has none of `names`."""
    for scope in scopes:
        if not any(within(name, [scope], network_scope) for name in names):
            near = nearest(scope, names, network_scope)
            hint = f': the nearest are {", ".join(near)}' if near else ''
            raise UsageError(f'--{flag}: nothing of the network is in the scope {scope}{hint}')


def nearest(scope, names, network_scope):
    """Up to three scopes of the network that are written like `scope`."""
    there = set()
    for name in names:
        parts = name[len(network_scope) + 1 :].split('/')
        there.update('/'.join(parts[:n]) for n in range(1, len(parts) + 1))
    plain = scope.strip('/')
    if plain.startswith(network_scope + '/'):
        plain = plain[len(network_scope) + 1 :]
    longer = [name for name in there if name.startswith(plain) and '/' not in name]
    return sorted(longer, key=lambda name: (len(name), name))[:3] or difflib.get_close_matches(
        plain, sorted(there), 3, 0.5
    )
