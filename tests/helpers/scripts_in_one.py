"""Runs scripts one after another in this process, which imports TensorFlow only once.

    scripts_in_one.py SCRIPT ARGUMENT … --then SCRIPT ARGUMENT …

Prints `SCRIPT: status N` behind each on stderr. Only for scripts that end by SystemExit.
"""

import itertools
import os
import runpy
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, ROOT)


def main():
    words = itertools.groupby(sys.argv[1:], lambda word: word == '--then')
    for script, *arguments in (list(group) for is_mark, group in words if not is_mark):
        sys.argv = [os.path.join(ROOT, script), *arguments]
        try:
            runpy.run_path(sys.argv[0], run_name='__main__')
            status = 0
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush()
        print(f'{script}: status {status}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    main()
