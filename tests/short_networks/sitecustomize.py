"""With this folder first on PYTHONPATH, the networks of a process have a few blocks of each kind.

Whole runs in tests are about the run, and most of what one costs is building and optimizing a graph
of thousands of ops. With fewer blocks it takes half the time.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys

from short_blocks import SHORTENED

FOLDER = os.path.dirname(os.path.abspath(__file__))


class Shortener(importlib.abc.MetaPathFinder):
    """Finds the networks as the import system does, and shortens them once they are loaded."""

    def find_spec(self, name, path, target=None):
        if name not in SHORTENED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        load = spec.loader.exec_module

        def load_and_shorten(module):
            load(module)
            SHORTENED[name](module)

        spec.loader.exec_module = load_and_shorten
        return spec


def run_the_next():
    """The sitecustomize.py that this one hides."""
    others = [folder for folder in sys.path if os.path.abspath(folder or '.') != FOLDER]
    spec = importlib.machinery.PathFinder.find_spec('sitecustomize', others)
    if spec:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


sys.meta_path.insert(0, Shortener())
run_the_next()
