"""The networks of this process with a few blocks of each kind, for tests that are about something
else than their depth: most of what such a test costs is building and optimizing the graph.
"""

import contextlib
import importlib

from tests.short_networks.short_blocks import SHORTENED


@contextlib.contextmanager
def shortened():
    """Within it, what is built is short. Nothing may be asked of the networks' shapes meanwhile:
    mobilenet/weights/networks.py keeps them.
    """
    modules = {importlib.import_module(name): shorten for name, shorten in SHORTENED.items()}
    whole = {module: dict(vars(module)) for module in modules}
    for module, shorten in modules.items():
        shorten(module)
    try:
        yield
    finally:
        for module in modules:
            vars(module).update(whole[module])
