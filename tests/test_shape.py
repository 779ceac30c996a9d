"""The shape that CONTRIBUTING.md asks for: short files and functions, imports that go one way."""

import ast
import functools
import glob
import os

import pytest

from tests.conftest import SLOW
from tests.helpers import ROOT

PACKAGES = ('mobilenet', 'data', 'hccl')
# What each package may import of this project, besides itself.
BELOW = {'mobilenet': (), 'data': ('mobilenet',), 'hccl': ('mobilenet',)}
VENDORS = ('hccl.manage.', 'hccl.split.')  # of the package of the same name
COMMANDS = ('train_loop', 'eval_loop', 'scripts', 'tests')


@functools.lru_cache(None)
def files():
    """Python files of the project, by their path from its root."""
    folders = PACKAGES + ('scripts', 'tests')
    patterns = ['*.py'] + [os.path.join(folder, '**', '*.py') for folder in folders]
    found = [glob.glob(os.path.join(ROOT, pattern), recursive=True) for pattern in patterns]
    return sorted(os.path.relpath(path, ROOT) for paths in found for path in paths)


@functools.lru_cache(None)
def tree(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return ast.parse(f.read())


def lines_of(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read().count('\n')


def lengths(root):
    """[(name, lines)] of a syntax tree's functions, from def to the last line with code."""
    functions = [node for node in ast.walk(root) if isinstance(node, ast.FunctionDef)]
    last = [max(getattr(inner, 'lineno', 0) for inner in ast.walk(f)) for f in functions]
    return [(f.name, end - f.lineno + 1) for f, end in zip(functions, last)]


def imported(root, path):
    """Full names of what a module imports, anywhere in it; `from a import b` gives a.b."""
    names = []
    for node in ast.walk(root):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f'{path}: a relative import'
            names += [f'{node.module}.{alias.name}' for alias in node.names]
    return names


def module_of(path):
    return path[: -len('.py')].replace('/', '.').replace('.__init__', '')


def edges():
    """{module of a package: modules of packages that its top level imports}."""
    paths = {module_of(path): path for path in files() if path.startswith(PACKAGES)}
    found = {}
    for module, path in paths.items():
        top = ast.Module([n for n in tree(path).body if not isinstance(n, ast.FunctionDef)])
        found[module] = set()
        for name in imported(top, path):
            while name and name not in paths:
                name = name.rpartition('.')[0]
            if name and name != module:
                found[module].add(name)
    return found


def circle(graph):
    """Names of a circle in {node: next ones}, or None."""
    done = set()

    def visit(node, way):
        if node in way:
            return way[way.index(node) :] + [node]
        if node in done:
            return None
        done.add(node)
        return next(filter(None, (visit(n, way + [node]) for n in sorted(graph[node]))), None)

    return next(filter(None, (visit(node, []) for node in sorted(graph))), None)


def test_files_are_short():
    kernels = glob.glob(os.path.join(ROOT, 'mobilenet', 'native', '*.cc'))
    counts = {path: lines_of(path) for path in files() + kernels}
    assert kernels and len(counts) > 300 and counts['train_loop.py'] < 200
    assert [path for path, count in counts.items() if count > 300] == []


def test_functions_are_short():
    found = [(path, *function) for path in files() for function in lengths(tree(path))]
    assert len(found) > 2000
    assert [function for function in found if function[-1] > 60] == []


@pytest.mark.parametrize('package', PACKAGES)
def test_imports_go_one_way(package):
    forbidden = [name for name in PACKAGES + COMMANDS if name not in BELOW[package] + (package,)]
    for path in files():
        if path.startswith(package + '/'):
            for name in imported(tree(path), path):
                if not name.startswith(VENDORS):
                    assert name.split('.')[0] not in forbidden, f'{path} imports {name}'


def test_imports_have_no_circle():
    graph = edges()
    assert 'mobilenet.errors' in graph['mobilenet.text']
    assert circle(graph) is None


def test_the_slow_tests_are_there():
    assert [path for path in SLOW if not os.path.exists(os.path.join(ROOT, path))] == []


def test_these_checks_see_what_they_look_for():
    assert circle({'a': {'b'}, 'b': {'c'}, 'c': {'b'}}) == ['b', 'c', 'b']
    assert circle({'a': {'b', 'c'}, 'b': {'c'}, 'c': set()}) is None
    source = 'def f(a,\n      b):\n    import x.y\n    from z import w\n    return (a +\n b)\n'
    assert lengths(ast.parse(source)) == [('f', 6)]
    assert imported(ast.parse(source), '') == ['x.y', 'z.w']
