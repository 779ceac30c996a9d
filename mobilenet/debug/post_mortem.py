"""After a step whose loss or gradient was not finite: which image, which tensor, and files to look at."""

import json
import os

import numpy as np

from mobilenet import nets
from mobilenet.debug import dumps, graph_walk
from mobilenet.debug.names import Names, split


def look(run, graph, sess, draw):
    """Runs a halted TrainingRun's step on its batch again (nothing changes) and writes what is not finite.

    graph: a TrainingGraph with a fetchable step, its variables as before the step; draw(path, images, captions, title).
    Files in TRAIN_DIR/nan_step_000037: the tensors that are not finite as a dump, images.npy, labels.npy, records.jsonl, batch.png.

    Returns: (the line that tells of it, whether anything of this rank was not finite).
    """
    config, pipeline, batch = run.config, run.pipeline, run.batch
    names = Names(graph.step, nets.scope_name(config.model_name))
    items = names.select_all(dumps.DEFAULT_PATTERNS)
    graph.seek(sess, batch)
    graph.state.begin_loop(sess)
    variables, tensors = split(items)
    arrays = sess.run({i.name: i.source for i in variables})
    _, computed = graph.loop.run_step(sess, {i.name: i.source for i in tensors})
    arrays.update(computed)

    broken = [i for i in items if not np.isfinite(arrays[i.name]).all()]
    places = [pipeline.describe(record) for record in pipeline.records(batch)]
    start = f'loss or gradient not finite at batch {batch}: '
    end = 'the weights are as before it, and saved; --nan_policy=skip goes on'
    if not broken:
        return (
            start
            + f"this rank's part of it, run again, is finite ({places[0]} … {places[-1]}); {end}",
            False,
        )
    folder = os.path.join(
        config.train_dir,
        f'nan_step_{batch:06d}' + (f'_rank_{pipeline.rank}' if pipeline.world_size > 1 else ''),
    )
    dumps.write(folder, batch, broken, arrays)
    write_batch(folder, arrays['images'], arrays['labels'], places, draw, f'batch {batch}')
    return start + '{}; dump in {}; {}'.format(
        cause(broken, arrays['images'], places), folder, end
    ), True


def cause(broken, images, places):
    """The records whose images are not finite, or the first tensor that is not."""
    bad = [i for i in range(len(images)) if not np.isfinite(images[i]).all()]
    if bad:
        more = f' and {len(bad) - 1} more' if bad[1:] else ''
        return f'image {bad[0]} has pixels that are not finite: {places[bad[0]]}{more}'
    first = dumps.in_order(broken)[0]
    return f'the images are finite, {first.name} is the first that is not ({graph_walk.source_of(first.source.op)}); batch of {places[0]} … {places[-1]}'


def write_batch(folder, images, labels, places, draw, title):
    np.save(os.path.join(folder, 'images.npy'), images)
    np.save(os.path.join(folder, 'labels.npy'), labels)
    with open(os.path.join(folder, 'records.jsonl'), 'w') as f:
        for number, (label, place) in enumerate(zip(labels, places)):
            f.write(
                json.dumps(
                    {
                        'image': number,
                        'label': int(label),
                        'record': place,
                        'finite': bool(np.isfinite(images[number]).all()),
                    }
                )
                + '\n'
            )
    captions = [
        '{}: label {}{}'.format(i, label, '' if np.isfinite(images[i]).all() else ' NaN')
        for i, label in enumerate(labels)
    ]
    draw(os.path.join(folder, 'batch.png'), images, captions, title)
