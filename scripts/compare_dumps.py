"""Compares two dumps of tensors and names the first that differs, in the order of the graph.

    python scripts/compare_dumps.py results/npu results/host --html results/comparison.html
    python scripts/compare_dumps.py converted_npu_dump results/host/dumps/step_000010 \\
        --layer 'Conv2d_3*'

A and B: a dump of train_loop.py, a folder of them, a tree of an NPU's dumps converted to .npy, or
golden .npy files. B is the golden side, which relative figures divide by. Exit status: 0 all
tensors are on both sides and within the tolerance; 3 one differs, is missing on a side, has another
shape or could not be read; 2 wrong use; 1 anything else.
"""

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import flag_types
from mobilenet.comparison import compare, page, report
from scripts import tool

DIFFERS = 3


def make_parser():
    parser = flag_types.Parser(
        prog='compare_dumps.py',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('a', metavar='A', help='folder of the dump in question')
    parser.add_argument('b', metavar='B', help='folder of the golden dump')
    parser.add_argument(
        '--tolerance',
        type=flag_types.number(0),
        default=compare.TOLERANCE,
        help='RelativeEuclideanDistance above it differs; default 1e-4, between the noise of '
        'float32 '
        'from build to build (1e-5 in a layer, more in depth) and a rounding to float16 (3e-4)',
    )
    parser.add_argument(
        '--layer',
        metavar='PATTERN',
        help='only tensors whose layer, name or op matches, as file names do: Conv2d_3*, grad:*',
    )
    parser.add_argument(
        '--all', action='store_true', help='all rows in the table and the lists, not the first few'
    )
    parser.add_argument('--csv', metavar='FILE', help='write all rows with all figures')
    parser.add_argument(
        '--html', metavar='FILE', help='write a page with plots along the depth of the network'
    )
    return parser


def main():
    args = make_parser().parse_args()
    for flag, path in (('--csv', args.csv), ('--html', args.html)):
        if path:
            tool.check_output(path, flag)
    result = compare.compare(args.a, args.b, args.tolerance, args.layer)
    print('\n'.join(report.lines(result, args.all)))
    if args.csv:
        report.write_csv(args.csv, result)
    if args.html:
        page.write(args.html, result, args.a, args.b)
    return 0 if result.agrees else DIFFERS


if __name__ == '__main__':
    tool.run(main)
