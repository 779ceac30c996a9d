"""The networks of this process with a few blocks of each kind, for tests that are about something
else than their depth: most of what such a test costs is building and optimizing the graph.

Nothing may be asked of the networks' shapes meanwhile: mobilenet/weights/networks.py keeps them.
"""

import contextlib

from mobilenet.nets import mobilenet_v1, mobilenet_v2, mobilenet_v3

V1 = ((1, 64), (2, 128), (2, 256))
V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2))
# The first blocks have ReLU, the last are added back, with hard-swish and squeeze-and-excite.
V3 = (0, 1, 2, 3, 6, 10)


def _tables():
    """(module, name of its table, the short one) of each network."""
    variants = {
        name: (tuple(blocks[i] for i in V3), *widths)
        for name, (blocks, *widths) in mobilenet_v3._VARIANTS.items()
    }
    return (
        (mobilenet_v1, '_SEPARABLE_LAYERS', V1),
        (mobilenet_v2, '_STAGES', V2),
        (mobilenet_v3, '_VARIANTS', variants),
    )


@contextlib.contextmanager
def shortened():
    """Within it, what is built is short."""
    whole = [(module, name, getattr(module, name)) for module, name, _ in _tables()]
    for module, name, short in _tables():
        setattr(module, name, short)
    try:
        yield
    finally:
        for module, name, table in whole:
            setattr(module, name, table)
