"""The networks of this process with a few blocks of each kind, for tests that are about something
else than their depth: most of what such a test costs is building and optimizing the graph.
"""

import contextlib

from mobilenet.nets import mobilenet_v1, mobilenet_v2, mobilenet_v3
from tests.short_networks.short_blocks import shorten_v1, shorten_v2, shorten_v3


@contextlib.contextmanager
def shortened():
    """Within it, what is built is short. Nothing may be asked of the networks' shapes meanwhile:
    mobilenet/weights/networks.py keeps them.
    """
    tables = (
        (mobilenet_v1, '_SEPARABLE_LAYERS', shorten_v1),
        (mobilenet_v2, '_STAGES', shorten_v2),
        (mobilenet_v3, '_VARIANTS', shorten_v3),
    )
    whole = [getattr(module, name) for module, name, _ in tables]
    for module, _, shorten in tables:
        shorten(module)
    try:
        yield
    finally:
        for (module, name, _), table in zip(tables, whole):
            setattr(module, name, table)
