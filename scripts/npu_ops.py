#!/usr/bin/env python3
"""Prints the op types of a training step with their counts, and which of them an NPU has.

    python scripts/npu_ops.py --model_name mobilenet_v3_large --optimizer adam
    python scripts/npu_ops.py --ops_list npu_supported_ops.json

Takes train_loop.py's flags, and builds the same graph for --device, without running it. Status 1
where an op is not on the list.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import data
from mobilenet import configuration, devices, flag_types
from mobilenet.devices import npu_op_list
from scripts import tool
import train_loop


def step_ops(config):
    """Every op of one training step on config.device, gradients included."""
    dataset = data.open_split(config, 'train')
    config = configuration.for_training(config, dataset, 1)
    tf = devices.import_tensorflow(config)
    from hccl import collectives
    from mobilenet import training_graph

    with tf.Graph().as_default():
        graph = training_graph.build(
            config,
            train_loop.make_pipeline(config, dataset, 0, 1),
            devices.create(config),
            collectives.SingleRank(),
            to_inspect=True,
        )
        return npu_op_list.needed_ops([graph.step.train_op])


def parse(argv):
    """(path of the list or None, the Config of a training)."""
    parser = flag_types.Parser(
        prog='npu_ops.py',
        description=__doc__.split('\n')[0],
        epilog='Any other flag is one of train_loop.py; the data set is synthetic by default.',
        allow_abbrev=False,
    )
    parser.add_argument(
        '--ops_list',
        metavar='FILE',
        help='a npu_supported_ops.json; default: the one under $ASCEND_OPP_PATH, if there is one',
    )
    args, rest = parser.parse_known_args(argv)
    if not any(word.split('=')[0] == '--dataset_name' for word in rest):
        rest.append('--dataset_name=synthetic')
    return args.ops_list or npu_op_list.find_list(), train_loop.parse(rest)


def main(argv=None):
    path, config = parse(argv)
    supported = npu_op_list.read_list(path) if path else None
    ops = step_ops(config)
    absent = {m.type: m for m in npu_op_list.missing(ops, supported)} if path else {}
    counts = npu_op_list.count_types(ops)
    for kind, count in sorted(counts.items()):
        text = f'{count:6d} {kind}'
        if kind in absent:
            text += f': not on the list, such as {absent[kind].op}, {absent[kind].source}'
        print(text)
    print(f'{len(ops)} ops of {len(counts)} types', end='; ')
    print(f'{len(absent)} types are not on {path}' if path else 'no list to compare them with')
    return 1 if absent else 0


if __name__ == '__main__':
    tool.run(main)
