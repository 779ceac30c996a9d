"""After a step whose loss or gradient is not finite: which image, which tensor; and files."""

import json
import os

import numpy as np

from mobilenet import nets
from mobilenet.debug import dumps, graph_walk
from mobilenet.debug.names import Names, split

END = 'the weights are as before it, and saved; --nan_policy=skip goes on'


def look(run, graph, sess, batch, write_sheet):
    """Runs the step on that batch again (the run stands still: nothing changes) and writes what is
    not finite.

    graph: a TrainingGraph with a fetchable step, its variables as before the step. Files in
    TRAIN_DIR/nan_step_000037: the tensors that are not finite as a dump, images.npy, labels.npy,
    records.jsonl, batch.png.

    Returns: (the line that tells of it, whether anything of this rank was not finite).
    """
    step = graph.step._replace(gradients=graph.step.own_gradients)  # a mean shows all ranks' NaN
    names = Names(step, nets.scope_name(run.config.model_name))
    items = names.select_all(dumps.DEFAULT_PATTERNS)
    graph.state.begin_loop(sess)
    variables, tensors = split(items)
    arrays = sess.run({i.name: i.source for i in variables})
    _, computed = graph.run_step(sess, {i.name: i.source for i in tensors}, batch)
    arrays.update(computed)

    broken = [i for i in items if not np.isfinite(arrays[i.name]).all()]
    places = [run.pipeline.describe(record) for record in run.pipeline.records(run.batch)]
    start = f'loss or gradient not finite at batch {run.batch}: '
    if not broken:
        finite = f"this rank's part of it, run again, is finite ({places[0]} … {places[-1]})"
        return f'{start}{finite}{run.device.when_all_finite}; {END}', False
    of_rank = f'_rank_{run.rank}' if run.world_size > 1 else ''
    folder = os.path.join(run.config.train_dir, f'nan_step_{run.batch:06d}{of_rank}')
    dumps.write(folder, run.batch, broken, arrays)
    write_batch(folder, arrays['images'], arrays['labels'], places)
    draw(folder, arrays['images'], arrays['labels'], f'batch {run.batch}', write_sheet)
    return f'{start}{cause(broken, arrays["images"], places)}; dump in {folder}; {END}', True


def cause(broken, images, places):
    """The records whose images are not finite, or the first tensor that is not."""
    bad = [i for i in range(len(images)) if not np.isfinite(images[i]).all()]
    if bad:
        more = f' and {len(bad) - 1} more' if bad[1:] else ''
        return f'image {bad[0]} has pixels that are not finite: {places[bad[0]]}{more}'
    first = dumps.in_order(broken)[0]
    return (
        f'the images are finite, {first.name} is the first that is not '
        f'({graph_walk.source_of(first.origin)}); batch of {places[0]} … {places[-1]}'
    )


def write_batch(folder, images, labels, places):
    np.save(os.path.join(folder, 'images.npy'), images)
    np.save(os.path.join(folder, 'labels.npy'), labels)
    with open(os.path.join(folder, 'records.jsonl'), 'w') as file:
        for number, (image, label, place) in enumerate(zip(images, labels, places)):
            finite = bool(np.isfinite(image).all())
            line = {'image': number, 'label': int(label), 'record': place, 'finite': finite}
            file.write(json.dumps(line) + '\n')


def draw(folder, images, labels, title, write_sheet):
    captions = [
        f'{number}: label {label}{"" if np.isfinite(image).all() else " NaN"}'
        for number, (image, label) in enumerate(zip(images, labels))
    ]
    write_sheet(os.path.join(folder, 'batch.png'), images, captions, title)
