"""Prints, as JSON, what train_loop.py builds with some flags: the number of ops in the sunk loop
and of those at the top level, the input's left out; the same of the graph that the same
configuration gives without anything to inspect; and whether the debugger was imported.
"""

import json
import os
import sys

from mobilenet import devices
import train_loop


def counts(graph):
    ops = [op for op in graph.get_operations() if 'Dataset' not in op.type]
    in_loop = sum(op.name.startswith('while/') for op in ops)
    return {'loop': in_loop, 'top': len(ops) - in_loop}


def main(argv):
    tf = devices.import_tensorflow()
    from mobilenet import training_graph

    build = training_graph.build

    def report(config, pipeline, device, collectives, to_inspect=False):
        """In place of build: what it builds is counted, and the process ends."""
        begun = counts(tf.get_default_graph())
        build(config, pipeline, device, collectives, to_inspect)
        built = counts(tf.get_default_graph())
        with tf.Graph().as_default() as plain:
            build(config, pipeline, device, collectives, to_inspect=False)
        found = {
            'built': {place: built[place] - begun[place] for place in built},
            'plain': counts(plain),
            'debug': any((name + '.').startswith('mobilenet.debug.') for name in sys.modules),
        }
        print(json.dumps(found), flush=True)
        os._exit(0)

    training_graph.build = report
    train_loop.main(argv)


if __name__ == '__main__':
    main(sys.argv[1:])
