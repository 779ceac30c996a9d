"""Where a step's time and memory go on a host: a Chrome trace (for chrome://tracing) and a table of
op types.

What TensorFlow 1.15's own Timeline gets wrong of such step stats, and what is done here instead:
  - TensorFlow lists most ops twice: under their device, and as seen by a thread under '/host:CPU',
    where Timeline calls them 'unknown'. Only the first are taken; of the second only the stages of
    the input pipeline, that are nowhere else.
  - Timeline lays ops into rows as if they came sorted by time, which with several threads they do
    not: they are sorted.
  - Its memory counters know tensors by name: of an op in a loop only the last run counts, a buffer
    that is passed on (Identity, Reshape, in-place ops) counts again, and a tensor lives until its
    last reader ends. TensorFlow records each allocation and its end: the counter is made of those.
"""

import collections
import json
import os
import re

import tensorflow as tf
from tensorflow.python.client import timeline

from mobilenet.errors import UsageError

TOP = 10
MEGABYTE = 1e6
_LABEL = re.compile(
    r'(?:^|\] )\S+ = (\w+)\('
)  # '[mklcpu 3.8MB 3.8MB] Conv2d_0/Conv2D = _MklConv2D(a, b)'
_BOUNDS = ('_SOURCE', '_SINK')  # of the executor: no ops

# One run of an op. start, time: microseconds; time: of its computation, for an op that waits
# (IteratorGetNext, a collective) with the waiting. output: bytes of its outputs, whoever allocated
# them; allocated: bytes that it allocated, for outputs and temporaries; peak: most of those at
# once.
Run = collections.namedtuple(
    'Run', ['name', 'type', 'start', 'time', 'output', 'allocated', 'peak']
)


def run_options():
    """tf.RunOptions for the step to be profiled."""
    return tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE, output_partition_graphs=True)


def write(folder, step, run_metadata):
    """Writes timeline_step_000010.json and ops_step_000010.txt into folder, which is made if need
    be; gives the table.

    run_metadata: of a session.run with run_options(). Raises UsageError where it has no ops in it.
    """
    text = table(run_metadata)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f'timeline_step_{step:06d}.json'), 'w') as file:
        json.dump(chrome_trace(run_metadata), file, separators=(',', ':'))
    with open(os.path.join(folder, f'ops_step_{step:06d}.txt'), 'w') as file:
        file.write(text + '\n')
    return text


# ---- what ran


def _nodes(step_stats):
    """The NodeExecStats of ops, each run once: not the threads' and streams' view of the same."""
    return [
        node
        for device in step_stats.dev_stats
        if _is_device(device.device)
        for node in device.node_stats
        if node.node_name not in _BOUNDS
    ]


def _is_device(name):
    return '/device:' in name and '/stream:' not in name and '/memcpy' not in name


def runs(run_metadata):
    """[Run] of a tf.RunMetadata, by start. Raises UsageError where there is none."""
    types = _types(run_metadata)
    found = [_run(node, types) for node in _nodes(run_metadata.step_stats)]
    if not found:
        raise UsageError('no op of the step was recorded: profiles of steps are for --device=host')
    return sorted(found, key=lambda run: run.start)


def _types(run_metadata):
    """{node: op type} as placed and rewritten by TensorFlow; for labels that do not tell."""
    return {node.name: node.op for graph in run_metadata.partition_graphs for node in graph.node}


def _run(node, types):
    label = _LABEL.search(node.timeline_label)
    nanoseconds = node.op_end_rel_nanos - node.op_start_rel_nanos
    micros = (
        nanoseconds / 1000
        if nanoseconds > 0
        else float(node.op_end_rel_micros - node.op_start_rel_micros)
    )
    return Run(
        node.node_name,
        label.group(1) if label else types.get(node.node_name, node.node_name),
        node.all_start_micros,
        max(micros, 0.0),
        sum(o.tensor_description.allocation_description.requested_bytes for o in node.output),
        sum(memory.total_bytes for memory in node.memory),
        sum(memory.peak_bytes for memory in node.memory),
    )


def _wall_micros(step_stats):
    nodes = _nodes(step_stats)
    return max(n.all_start_micros + n.all_end_rel_micros for n in nodes) - min(
        n.all_start_micros for n in nodes
    )


def _memory(step_stats):
    """[(microseconds, bytes)]: what the step's own allocations take, at each change; it begins and
    may end above 0.
    """
    records = sorted(
        (record.alloc_micros, -record.alloc_bytes)
        for node in _nodes(step_stats)
        for memory in node.memory
        for record in memory.allocation_records
    )
    found, total = [], 0
    for micros, minus in records:
        total -= minus
        found.append((micros, total))
    return found


# ---- the table


def table(run_metadata):
    """Text: wall time; op types by time; the TOP single ops by time (an op in a loop with all its
    runs).

    output MB: of all outputs; allocated MB: what the ops allocated themselves, for outputs and
    temporaries (not so an in-place op); peak MB: the most that one run held of that. What MKL keeps
    within itself is in none of them. Raises UsageError where no op was recorded.
    """
    found = runs(run_metadata)
    total = _sum(found)
    wall = _wall_micros(run_metadata.step_stats)
    peak = max([size for _, size in _memory(run_metadata.step_stats)], default=0)
    types, names = _groups(found, 'type'), _groups(found, 'name')
    lines = [
        f'wall time {wall / 1e3:.3f} ms, {total.count} ops run, {total.time / max(wall, 1):.2f} at '
        f'a time; tensors that the step allocated: {peak / MEGABYTE:.3f} MB at the most',
        '',
    ]
    lines += _rows('op type', types, total) + [_row('total', total, total), '']
    top = collections.OrderedDict(list(names.items())[:TOP])
    lines += [f'top {len(top)} single ops by time']
    lines += _rows(
        'op', collections.OrderedDict((f'{n} = {s.type}', s) for n, s in top.items()), total
    )
    return '\n'.join(lines)


_Sum = collections.namedtuple('_Sum', ['type', 'count', 'time', 'output', 'allocated', 'peak'])


def _sum(found):
    return _Sum(
        found[0].type,
        len(found),
        sum(r.time for r in found),
        sum(r.output for r in found),
        sum(r.allocated for r in found),
        max(r.peak for r in found),
    )


def _groups(found, field):
    """OrderedDict of _Sum by a field of Run, the longest first."""
    groups = collections.OrderedDict()
    for run in found:
        groups.setdefault(getattr(run, field), []).append(run)
    sums = [(key, _sum(group)) for key, group in groups.items()]
    return collections.OrderedDict(sorted(sums, key=lambda pair: (-pair[1].time, pair[0])))


def _rows(title, groups, total):
    head = '{:>6}  {:>10}  {:>6}  {:>10}  {:>10}  {:>12}  {:>10}  {}'.format(
        'count', 'total ms', 'share', 'mean us', 'output MB', 'allocated MB', 'peak MB', title
    )
    return [head] + [_row(name, s, total) for name, s in groups.items()]


def _row(name, s, total):
    """Names come last, as those of ops are long."""
    return (
        f'{s.count:6d}  {s.time / 1e3:10.3f}  {s.time / max(total.time, 1e-9):6.1%}  '
        f'{s.time / s.count:10.1f}  {s.output / MEGABYTE:10.3f}  '
        f'{s.allocated / MEGABYTE:12.3f}  {s.peak / MEGABYTE:10.3f}  {name}'
    )


# ---- the trace


def chrome_trace(run_metadata):
    """{'traceEvents': […]}: ops of each device, stages of the input pipeline, and the step's memory
    in bytes.
    """
    stats = tf.RunMetadata().step_stats
    types = _types(run_metadata)
    for device in run_metadata.step_stats.dev_stats:
        chosen = _shown(device, types)
        if chosen:
            stats.dev_stats.add(device=device.device).node_stats.extend(chosen)
    trace = json.loads(timeline.Timeline(stats).generate_chrome_trace_format(show_memory=False))
    events = trace['traceEvents']
    pid = 1 + max(event['pid'] for event in events)
    events.append(
        {
            'name': 'process_name',
            'ph': 'M',
            'pid': pid,
            'args': {'name': 'Memory allocated by the step'},
        }
    )
    events += [
        {
            'name': 'Memory',
            'cat': 'Memory',
            'ph': 'C',
            'pid': pid,
            'ts': micros,
            'args': {'bytes': size},
        }
        for micros, size in _memory(run_metadata.step_stats)
    ]
    return trace


def _shown(device, types):
    """Copies of a device's NodeExecStats for the trace, by start, with labels that Timeline can
    read.
    """
    chosen = []
    for node in device.node_stats:
        stage = node.node_name.startswith('Iterator::')
        if not (stage or _is_device(device.device)) or node.node_name in _BOUNDS:
            continue
        copy = type(node)()
        copy.CopyFrom(node)
        if stage or not _LABEL.search(node.timeline_label):
            copy.timeline_label = (
                f'{node.node_name} = {types.get(node.node_name, node.node_name)}()'
            )
        chosen.append(copy)
    return sorted(chosen, key=lambda node: node.all_start_micros)
