"""Where the run of a checkpoint stood, and how good it was: small JSON files beside it.

    model.ckpt-STEP.json       by the training: "run", "step", "batches", "records", "world_size",
                               "batch_size", "time"
    model.ckpt-STEP.eval.json  by --eval_every_epochs or eval_loop.py --follow, for --keep_best: a
                               line of eval.jsonl

No TensorFlow here.
"""

import math

from mobilenet import json_files

SUFFIX = '.json'
MARK_SUFFIX = '.eval.json'
COUNTS = ('step', 'batches', 'records', 'world_size', 'batch_size')


def write(prefix, facts):
    json_files.write_object(prefix + SUFFIX, facts)


def read(prefix):
    """The facts of a checkpoint; {} of one written before there were any, or where they are not
    what a run writes.
    """
    facts = json_files.read_object(prefix + SUFFIX)
    wrong = [name for name in COUNTS if not json_files.is_count(facts.get(name))]
    return {} if wrong else facts


def mark(prefix, entry):
    """Leaves an evaluation beside its checkpoint: a line of eval.jsonl."""
    json_files.write_object(prefix + MARK_SUFFIX, entry)


def top1(prefix):
    """Share of right answers in an evaluation of a checkpoint; None where it has no mark."""
    value = json_files.read_object(prefix + MARK_SUFFIX).get('top1')
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None
