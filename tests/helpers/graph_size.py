"""Prints, as JSON, what train_loop.py builds with some flags: the number of ops in the sunk loop
and at the top level but for the
input's, and whether the debugger was imported."""

import json
import os
import sys

from mobilenet import devices
import train_loop


def main(argv):
    tf = devices.import_tensorflow()

    def report(graph):
        ops = [op for op in graph.get_operations() if 'Dataset' not in op.type]
        in_loop = sum(op.name.startswith('while/') for op in ops)
        print(
            json.dumps(
                {
                    'loop': in_loop,
                    'top': len(ops) - in_loop,
                    'debug': any((n + '.').startswith('mobilenet.debug.') for n in sys.modules),
                }
            ),
            flush=True,
        )
        os._exit(0)

    tf.Graph.finalize = report
    train_loop.main(argv)


if __name__ == '__main__':
    main(sys.argv[1:])
