"""Profiles of a step: a real graph, with the runs of each op counted by hand, and step stats whose
memory is known.
"""

import collections
import json

import numpy as np
import pytest
import tensorflow as tf

from mobilenet.debug import trace
from mobilenet.errors import UsageError

LOOPS = 5


def run_graph():
    """RunMetadata of a convolution, 3 matrix products, and 1 in a loop of 5 turns; fed, so that
    nothing is folded.
    """
    with tf.Graph().as_default():
        images, square = (
            tf.placeholder(tf.float32, [2, 8, 8, 3]),
            tf.placeholder(tf.float32, [64, 64], 'square'),
        )
        with tf.name_scope('layer'):
            features = tf.nn.conv2d(
                images, tf.reshape(square[:3, :36], [3, 3, 3, 4]), 1, 'SAME', name='conv'
            )
        first = tf.matmul(square, square, name='first')
        second = tf.matmul(first, square, name='second')
        third = tf.matmul(second, first, name='third')
        _, looped = tf.while_loop(
            lambda i, x: i < LOOPS,
            lambda i, x: (i + 1, tf.matmul(x, x, name='product')),
            [0, third],
            parallel_iterations=1,
        )
        numbers = (
            tf.data.Dataset.range(9)
            .map(lambda x: x + 1)
            .prefetch(1)
            .make_one_shot_iterator()
            .get_next('numbers')
        )
        metadata = tf.RunMetadata()
        with tf.Session(
            config=tf.ConfigProto(inter_op_parallelism_threads=2, intra_op_parallelism_threads=1)
        ) as sess:
            sess.run(
                [tf.reduce_max(features), looped, numbers],
                {images: np.ones([2, 8, 8, 3]), square: np.full([64, 64], 1 / 64)},
                options=trace.run_options(),
                run_metadata=metadata,
            )
        return metadata


@pytest.fixture(scope='module')
def metadata():
    return run_graph()


@pytest.fixture(scope='module')
def written(metadata, tmp_path_factory):
    folder = tmp_path_factory.mktemp('run') / 'profile'
    text = trace.write(str(folder), 10, metadata)
    assert sorted(path.name for path in folder.iterdir()) == [
        'ops_step_000010.txt',
        'timeline_step_000010.json',
    ]
    assert (folder / 'ops_step_000010.txt').read_text() == text + '\n'
    return text, json.loads((folder / 'timeline_step_000010.json').read_text())


def rows(text):
    """{last column: [the figures before]} of each table: op types, single ops."""
    tables, table = [], None
    for line in text.splitlines():
        if line.lstrip().startswith('count '):
            table = collections.OrderedDict()
            tables.append(table)
        elif table is not None and line[:6].strip().isdigit():
            fields = line.split(None, 7)
            table[fields[7]] = [float(field.rstrip('%')) for field in fields[:7]]
    return tables


def plain(op_type):
    """The type without what a TensorFlow with MKL makes of it."""
    return op_type.replace('_Mkl', '')


def test_counts_are_those_of_the_graph(written):
    types, _ = rows(written[0])
    counts = collections.Counter()
    for name, figures in types.items():
        counts[plain(name)] += int(figures[0])
    assert (
        counts['Conv2D'] == 1 and counts['MatMul'] == 3 + LOOPS and counts['IteratorGetNext'] == 1
    )
    assert counts['LoopCond'] == counts['Less'] == LOOPS + 1  # the last time to end it
    assert counts['total'] == sum(counts.values()) - counts['total']


def test_times_are_those_of_the_step_stats(metadata, written):
    types, ops = rows(written[0])
    (device,) = [d for d in metadata.step_stats.dev_stats if '/device:CPU' in d.device]
    nodes = [n for n in device.node_stats if n.node_name != '_SOURCE']
    by_type = collections.Counter()
    for node in nodes:
        op_type = node.timeline_label.split(' = ')[1].split('(')[0]
        by_type[op_type] += (node.op_end_rel_nanos - node.op_start_rel_nanos) / 1e6
    total = sum(by_type.values())
    assert total > 0 and types['total'][1] == pytest.approx(total, abs=1e-3)
    assert {
        name: figures[1] for name, figures in types.items() if name != 'total'
    } == pytest.approx(by_type, abs=1e-3)
    for name, (count, _, share, mean, _, _, _) in types.items():
        assert mean == pytest.approx(by_type.get(name, total) * 1e3 / count, abs=0.06)
        assert share == pytest.approx(100 * by_type.get(name, total) / total, abs=0.06)
    shown = [figures[1] for name, figures in types.items() if name != 'total']
    assert shown == sorted(shown, reverse=True)
    longest = [figures[1] for figures in ops.values()]
    assert len(ops) == trace.TOP and longest == sorted(longest, reverse=True)
    wall = float(written[0].split('wall time ')[1].split(' ms')[0])
    assert (
        wall
        <= (
            max(n.all_start_micros + n.all_end_rel_micros for n in nodes)
            - min(n.all_start_micros for n in nodes)
        )
        / 1e3
        + 1e-3
    )
    assert wall * 4 > total  # two threads, and ops that only wait


def test_memory_of_the_products(metadata, written):
    types, _ = rows(written[0])
    (matmul,) = [figures for name, figures in types.items() if plain(name) == 'MatMul']
    size = 64 * 64 * 4 / 1e6
    assert matmul[4:] == pytest.approx([(3 + LOOPS) * size, (3 + LOOPS) * size, size], abs=0.002)
    assert types[[t for t in types if t == 'Switch'][0]][5] == 0  # passes buffers on
    products = [run for run in trace.runs(metadata) if run.name == 'while/product']
    assert [run.output for run in products] == [64 * 64 * 4] * LOOPS


def test_trace(metadata, written):
    events = written[1]['traceEvents']
    ran = [event for event in events if event['ph'] == 'X']
    assert all(event['dur'] >= 0 and event['ts'] > 0 for event in ran)
    names = collections.Counter(event['args']['name'] for event in ran)
    assert names['layer/conv'] == names['first'] == names['third'] == names['numbers'] == 1
    assert names['while/product'] == LOOPS
    assert 'unknown' not in {event['name'] for event in ran}
    assert [event for event in ran if event['name'].startswith('Iterator::')]  # the input pipeline
    ops = [event for event in ran if not event['name'].startswith('Iterator::')]
    assert len(ops) == len(trace.runs(metadata))
    lanes = collections.defaultdict(list)
    for event in ran:
        lanes[event['pid'], event['tid']].append((event['ts'], event['ts'] + event['dur']))
    for spans in lanes.values():  # no row shows two ops at once
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:]))


def node(name, start, label='', memory=()):
    stats = (
        tf.RunMetadata()
        .step_stats.dev_stats.add()
        .node_stats.add(
            node_name=name,
            timeline_label=label,
            all_start_micros=start,
            op_start_rel_micros=1,
            op_end_rel_micros=11,
            all_end_rel_micros=12,
        )
    )
    if memory:
        used = stats.memory.add(
            allocator_name='cpu', total_bytes=sum(b for _, b in memory if b > 0), peak_bytes=500
        )
        for micros, size in memory:
            used.allocation_records.add(alloc_micros=micros, alloc_bytes=size)
    return stats


def test_known_step_stats():
    """Two ops out of order: b, whose label does not tell its type; a, which a thread's view lists
    once more.
    """
    metadata = tf.RunMetadata()
    metadata.partition_graphs.add().node.add(name='b', op='Type_B')
    device = metadata.step_stats.dev_stats.add(
        device='/job:localhost/replica:0/task:0/device:CPU:0'
    )
    label = '[cpu 0.1MB 0.1MB] a = Type_A(x, y = z)'
    device.node_stats.extend(
        [
            node('b', 1020, 'edge_1', [(1025, 4000), (1040, -4000)]),
            node('a', 1000, label, [(1001, 2000), (1001, 3000), (1030, -2000)]),
        ]
    )
    metadata.step_stats.dev_stats.add(device='/host:CPU').node_stats.extend(
        [node('a:Type_A', 1000, 'id=2')]
    )
    found = trace.runs(metadata)
    assert [(run.name, run.type, run.time, run.allocated, run.peak) for run in found] == [
        ('a', 'Type_A', 10.0, 5000, 500),
        ('b', 'Type_B', 10.0, 4000, 500),
    ]
    events = trace.chrome_trace(metadata)['traceEvents']
    assert [(e['ts'] - 1000, e['args']['bytes']) for e in events if e['ph'] == 'C'] == [
        (1, 3000),
        (1, 5000),
        (25, 9000),
        (30, 7000),
        (40, 3000),
    ]
    assert trace.table(metadata).startswith(
        'wall time 0.032 ms, 2 ops run, 0.62 at a time; tensors that the step allocated: 0.009 MB '
        'at the most'
    )


def test_nothing_recorded(tmp_path):
    with pytest.raises(UsageError, match='--device=host'):
        trace.write(str(tmp_path / 'new'), 3, tf.RunMetadata())
    assert not list(tmp_path.iterdir())
