"""Prints the mutants of a Python file, one JSON object a line: line, old, new, source.

Run by mutate.py in the environment that has mutmut. mutmut's operators, and one more: a statement
that is only a call, or a raise, becomes `pass`. Text for people (strings with a space in them,
docstrings) stays as it is.
"""

import difflib
import json
import sys

import mutmut
import parso


class Context(mutmut.Context):
    def should_mutate(self, node):
        if is_for_a_compiler(node):
            return False
        # A string without a space is a name or a value; one with a space is a sentence.
        if node.type in ('string', 'fstring') and ' ' in node.get_code(include_prefix=False):
            return False
        return super().should_mutate(node)


def is_for_a_compiler(node):
    """Whether it is numba's decorator, or in a function that writes LLVM's code or takes an address
    for an array: without numba, as these tests run, none of them does anything.
    """
    while node:
        if node.type in ('decorator', 'decorated'):
            code = node.get_code(include_prefix=False)
            if code.startswith('@intrinsic') or code == '@compiled\n' or 'numba.carray(' in code:
                return True
        node = node.parent
    return False


def mutmuts(path, source):
    everything = Context(source=source, filename=path)
    for mutation in mutmut.list_mutations(everything):
        yield mutmut.mutate(Context(source=source, filename=path, mutation_id=mutation))[0]


def without_a_statement(source):
    """The source without each of its calls as statements, and without each raise."""
    lines = source.splitlines(True)
    for node in _statements(parso.parse(source)):
        (first, column), (last, end) = node.start_pos, node.end_pos
        before, after = lines[first - 1][:column], lines[last - 1][end:]
        yield ''.join(lines[: first - 1] + [before + 'pass' + after] + lines[last:])


def _statements(node):
    for child in getattr(node, 'children', ()):
        if is_for_a_compiler(child):
            continue
        if child.type == 'raise_stmt':
            yield child
        elif child.type == 'atom_expr' and node.type == 'simple_stmt':
            yield child
        yield from _statements(child)


def describe(source, mutant):
    """(line, old, new): the lines that differ, each side without its indentation."""
    old, new = source.splitlines(), mutant.splitlines()
    changed = [
        op
        for op in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        if op[0] != 'equal'
    ]
    first, last = changed[0], changed[-1]
    return first[1] + 1, one_line(old[first[1] : last[2]]), one_line(new[first[3] : last[4]])


def one_line(lines):
    return ' '.join(line.strip() for line in lines).strip()


def main(path):
    with open(path) as f:
        source = f.read()
    seen = {source}
    for mutant in list(mutmuts(path, source)) + list(without_a_statement(source)):
        if mutant in seen:
            continue
        seen.add(mutant)
        try:
            compile(mutant, path, 'exec')
        except SyntaxError:
            continue
        line, old, new = describe(source, mutant)
        if '.__doc__ =' in old:
            continue
        print(json.dumps({'line': line, 'old': old, 'new': new, 'source': mutant}))


if __name__ == '__main__':
    main(sys.argv[1])
