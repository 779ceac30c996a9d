#!/usr/bin/env python3
"""Predicts images/s for 1 to 4,096 devices, what limits them, and how often to save.

    python scripts/scaling_model.py --step_seconds 0.12 --batch_size 256 --gradient_bytes 16.9e6 \\
        --inner_bandwidth 30e9 --outer_bandwidth 12.5e9 --plot results/scaling.png
    python scripts/bench/bench_scaling.py --ranks 1,2,4 | tee results/scaling.txt
    python scripts/scaling_model.py --measured results/scaling.txt

Every figure is measured or given: what is left out costs nothing. Nothing here was measured on
NPUs. With --measured it predicts 2 and 4 ranks on this machine from what one rank, and a bare
all-reduce of two, take; where one is off by more than 15 %, the exit status is 1.
"""

import argparse
import dataclasses
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from mobilenet import flag_types
from mobilenet.errors import UsageError
from scripts import tool
from scripts.scaling import measured, model

TOLERANCE = 0.15
SIZES = [2**i for i in range(13)]

positive = flag_types.number(0, open_low=True)
# Flag, type, default, help.
FIGURES = (
    ('batch_size', flag_types.count(), 256, 'images a device and step'),
    ('gradient_bytes', flag_types.number(0), 16.9e6, "all gradients; default MobileNetV1 1.0's"),
    ('buckets', flag_types.count(), 5, 'all-reduces of a step; default those of 4 MiB'),
    (
        'backward_share',
        flag_types.number(0, 1),
        0.6,
        'of the step, at its end, beside which buckets are all-reduced as they become ready',
    ),
    ('devices_a_server', flag_types.count(), 8, ''),
    ('inner_bandwidth', positive, math.inf, "bytes/s of a device's link within a server"),
    ('inner_latency', flag_types.number(0), 0.0, 'seconds of a message within a server'),
    ('outer_bandwidth', positive, math.inf, "bytes/s of a server's link to the others"),
    ('outer_latency', flag_types.number(0), 0.0, 'seconds of a message between servers'),
    ('checkpoint_bytes', flag_types.number(0), 0.0, 'weights, slots and averages'),
    ('write_bandwidth', positive, math.inf, 'bytes/s into a checkpoint'),
    ('failures_a_device_day', flag_types.number(0), 0.0, 'that end the run'),
    ('restart_seconds', flag_types.number(0), 0.0, 'from a failure to the next step'),
)


def parse():
    parser = flag_types.Parser(
        prog='scaling_model.py',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--step_seconds', type=positive, help='of one device alone, without all-reduce')
    add('--measured', metavar='FILE', help='what bench_scaling.py has printed, in place of figures')
    for name, kind, default, explained in FIGURES:
        shown = 'none' if default in (0.0, math.inf) else f'{default:g}'
        text = f'{explained}; default {shown}' if 'default' not in explained else explained
        add(f'--{name}', type=kind, default=default, help=text.lstrip('; '))
    add(
        '--algorithm',
        choices=model.ALGORITHMS,
        default='best',
        help='of the all-reduce; hierarchical: within servers, then between them; default the '
        'faster',
    )
    add('--input_images_a_core', type=positive, help='images/s that a core reads and decodes')
    add('--input_cores', type=flag_types.count(), default=1, help='a server; default 1')
    add('--devices', type=counts, default=SIZES, help='such as 1,8,64; default 1 to 4096')
    add('--plot', metavar='FILE.png', help='draws the curve')
    args = parser.parse_args()
    if (args.step_seconds is None) == (args.measured is None):
        raise UsageError('give --step_seconds, or --measured with a file: one of them')
    if args.plot:
        tool.check_output(args.plot, '--plot', '.png')
    return args


def counts(text):
    return [flag_types.count()(part) for part in text.split(',')]


def cluster_of(args):
    values = {f.name: getattr(args, f.name, f.default) for f in dataclasses.fields(model.Cluster)}
    if args.input_images_a_core:
        values['input_images_per_sec'] = args.input_images_a_core * args.input_cores
    return model.Cluster(**values)


def table(cluster, predictions):
    """Lines for a terminal."""
    yield (
        'devices    images/s  of linear   step ms  all-reduce ms  waited for   '
        'save every (steps)     kept  limit'
    )
    alone = cluster.batch_size / cluster.step_seconds
    for p in predictions:
        every = '-'
        if not math.isinf(p.interval):
            every = f'{p.interval:.0f} s ({p.interval / p.step_seconds:.0f})'
        yield (
            f'{p.devices:7}  {p.images_per_sec:10.1f}  {p.images_per_sec / alone / p.devices:9.1%}'
            f'  {p.step_seconds * 1e3:8.1f}  {p.allreduce_seconds * 1e3:13.2f}'
            f'  {p.exposed_seconds * 1e3:10.2f}  {every:>19}  {p.goodput:7.2%}  {p.limit}'
        )


def draw(path, cluster, predictions):
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    devices = [p.devices for p in predictions]
    alone = cluster.batch_size / cluster.step_seconds
    figure, (rate, share) = pyplot.subplots(1, 2, figsize=(12, 5))
    rate.plot(devices, [n * alone for n in devices], '--', color='gray', label='linear')
    rate.plot(devices, [p.images_per_sec for p in predictions], 'o-', label='predicted')
    if not math.isinf(cluster.input_images_per_sec):
        rate.plot(devices, [p.input for p in predictions], ':', color='C3', label='input')
    rate.set(xlabel='devices', ylabel='images/s', title='images/s', yscale='log')
    rate.legend()
    share.plot(devices, [p.images_per_sec / alone / p.devices for p in predictions], 'o-')
    for p in predictions:
        place = (p.devices, p.images_per_sec / alone / p.devices)
        share.annotate(p.limit, place, (4, 6), textcoords='offset points', fontsize=7, rotation=30)
    share.set(
        xlabel='devices',
        xlim=(0.8 * min(devices), 2 * max(devices)),
        title='of linear, and what limits',
        ylim=(0, 1.15),
    )
    for axes in (rate, share):
        axes.set_xscale('log', base=2)
        axes.set_xticks(devices)
        axes.set_xticklabels(devices, rotation=60)
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    print(f'wrote {path}')


def hold(path):
    """Compares predictions with measurements of the same machine; gives the exit status."""
    figures = measured.read(path)
    status = 0
    for ranks, seconds in sorted(measured.measured_ranks(figures).items()):
        predicted = model.predict(measured.cluster(figures, ranks), ranks).step_seconds
        within = abs(predicted / seconds - 1) <= TOLERANCE
        print(
            f'{ranks} ranks: predicted {predicted * 1e3:.1f} ms a step, measured '
            f'{seconds * 1e3:.1f} ms{"" if within else ": off by more than 15 %"}'
        )
        print(f'ratio predicted_over_measured_{ranks} {predicted / seconds:.3f}')
        status = status or int(not within)
    return status


def main():
    args = parse()
    if args.measured:
        return hold(args.measured)
    cluster = cluster_of(args)
    predictions = [model.predict(cluster, n) for n in args.devices]
    for line in table(cluster, predictions):
        print(line)
    if args.plot:
        draw(args.plot, cluster, predictions)
    return 0


if __name__ == '__main__':
    tool.run(main)
