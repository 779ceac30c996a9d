#!/usr/bin/env python3
"""Evaluates checkpoints: top-1 and top-5 over a data set, every image once.

    python eval_loop.py --checkpoint_path results/train --dataset_name digits --image_size 32

Read `evaluate` top to bottom: it is one evaluation.
"""

import json
import os
import sys
import time

import data
from mobilenet import command, configuration, devices, flag_types, flags
from mobilenet.errors import UsageError

FROM_TRAINING = ('model_name', 'dataset_name', 'dataset_dir', 'image_size', 'preprocessing_name')


def parse(argv):
    """The Config of an evaluation. What --checkpoint_path's own config.json says is the default."""
    groups = flags.evaluation(data.DATASET_NAMES, data.PREPROCESSING_NAMES)
    trained = training_config(argv)
    defaults = {name: trained[name] for name in FROM_TRAINING if trained.get(name) is not None}
    return configuration.resolve(
        'eval_loop.py', 'Evaluate checkpoints of a MobileNet.', groups, argv, defaults
    )


def training_config(argv):
    """config.json beside the checkpoints, or {}."""
    finder = flag_types.Parser(add_help=False, allow_abbrev=False)
    finder.add_argument('--checkpoint_path')
    return command.read_config(
        configuration.folder_of(finder.parse_known_args(argv)[0].checkpoint_path or '')
    )


def evaluate(config, path, dataset):
    """One checkpoint: a graph of its own, a session of its own. Gives the line of eval.jsonl and
    (labels, answers).
    """
    import numpy as np
    import tensorflow as tf

    from data import preprocess
    from mobilenet import checkpoints, evaluation, nets

    pipeline = data.EvalPipeline(
        dataset,
        config.batch_size,
        config.image_size,
        config.preprocessing_name,
        num_threads=config.data_threads,
        normalize_on=config.normalize_on,
        on_bad_record=config.on_bad_record,
    )
    device = devices.create(config)
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(pipeline.dataset())
        images, labels, weights = iterator.get_next()
        network = nets.build(
            config.model_name,
            preprocess.normalize(images),
            dataset.num_classes,
            training=False,
            compute_dtype=tf.float16 if configuration.float16_graph(config) else tf.float32,
        )
        rank = evaluation.rank_of_label(network.logits, labels)
        answer = tf.argmax(network.logits, 1, output_type=tf.int32)
        saver, ema = checkpoints.evaluation_saver(path, config.model_name, not config.no_ema)

        seen = {'labels': [], 'answers': [], 'ranks': []}
        with device.session(1, 1) as sess:
            checkpoints.load(saver, sess, path)
            sess.run(iterator.initializer)
            for number in progress(pipeline.num_batches, path):
                try:
                    batch = sess.run([labels, answer, rank, weights])
                except tf.errors.OpError as error:
                    bad = pipeline.find_bad_record(number, 3)
                    raise (
                        UsageError('{}: {} (--on_bad_record=skip goes on without it)'.format(*bad))
                        if bad
                        else error
                    )
                counted = batch[3] > 0
                for name, values in zip(('labels', 'answers', 'ranks'), batch):
                    seen[name].append(values[counted])
    seen = {name: np.concatenate(values) for name, values in seen.items()}
    images = len(seen['ranks'])
    if not images:
        raise UsageError('no image of the data set could be read: run scripts/check_dataset.py')
    for place, reason in pipeline.bad_records.items():
        print(f'skipped {place}: {reason}', file=sys.stderr)
    return {
        'checkpoint': path,
        'step': max(checkpoints.step_of(path), 0),
        **evaluation.accuracies(seen['ranks']),
        'images': images,
        'ema': bool(ema),
    }, seen


def progress(count, path):
    from tqdm import tqdm

    return tqdm(
        range(count), desc=os.path.basename(path), unit='batch', disable=not sys.stderr.isatty()
    )


def report(config, entry, seen, dataset, logger):
    """Prints a checkpoint's figures and writes them."""
    line = (
        'step {step}  top1 {top1:.4f}  top5 {top5:.4f}  {images} images  {} weights  {checkpoint}'
    ).format('EMA' if entry['ema'] else 'raw', **entry)
    print(line, flush=True)
    logger.info(line)
    with open(os.path.join(config.eval_dir, 'eval.jsonl'), 'a') as f:
        f.write(json.dumps(entry) + '\n')
    if config.per_class:
        from mobilenet import confusion

        for path in confusion.write(
            config.eval_dir,
            entry['step'],
            seen['labels'],
            seen['answers'],
            dataset.class_names,
            dataset.num_classes,
        ):
            print('wrote', path)


def new_checkpoints(path, done, follow, timeout):
    """Checkpoints that are not in `done`, in order of step; with `follow` as they come."""
    from mobilenet import checkpoints

    if not os.path.isdir(path):
        yield checkpoints.resolve(path)
        return
    if not follow:
        checkpoints.resolve(path)
    last = time.time()
    while True:
        waiting = [p for p in checkpoints.in_folder(path) if p not in done]
        for checkpoint in waiting:
            if checkpoints.is_whole(checkpoint):  # training may have deleted it meanwhile
                done.add(checkpoint)
                yield checkpoint
            last = time.time()
        if not waiting:
            if not follow or (timeout is not None and time.time() - last > timeout):
                return
            time.sleep(1.0)


def run(config):
    if not os.path.isdir(configuration.folder_of(config.checkpoint_path)):
        raise UsageError(
            f'--checkpoint_path={config.checkpoint_path}: no such checkpoint or folder'
        )
    dataset = data.open_dataset(
        config.dataset_name, config.dataset_dir, config.split, config.on_bad_record
    )
    check_classes(config, dataset)
    devices.import_tensorflow()
    from mobilenet import checkpoints, log

    command.make_folder(config.eval_dir, '--eval_dir')
    logger = log.log_to(os.path.join(config.eval_dir, time.strftime('eval_%Y%m%d_%H%M%S.log')))
    logger.info('flags %s', json.dumps(config.flags, sort_keys=True))
    damaged = 0
    for path in new_checkpoints(
        config.checkpoint_path, set(), config.follow, config.follow_timeout
    ):
        try:
            checkpoints.check(path)
            entry, seen = evaluate(config, path, dataset)
        except checkpoints.Damaged as error:
            if checkpoints.is_whole(path):  # else training has deleted it meanwhile
                damaged += 1
                log.say(logger, f'{error}; left out')
            continue
        report(config, entry, seen, dataset, logger)
        if config.follow and config.split == 'validation':
            leave_mark(path, entry, logger)
    return 1 if damaged else 0


def leave_mark(path, entry, logger):
    """How good a checkpoint is, beside it: what the training's --keep_best goes by."""
    from mobilenet import checkpoints, log
    from mobilenet.checkpoints import position

    try:
        if checkpoints.is_whole(path):
            position.mark(path, entry)
    except OSError as error:
        log.say(logger, f'{path}: no mark for --keep_best: {error.strerror}')


def check_classes(config, dataset):
    """Raises UsageError where the classes are named or numbered otherwise than in training."""
    from mobilenet import run_record

    trained = run_record.read(configuration.folder_of(config.checkpoint_path))
    for difference in run_record.other_classes(trained, dataset.class_names):
        raise UsageError(
            f'this data set has {difference.now}, and {config.checkpoint_path} was trained with '
            f'{difference.before}: give the data set with those classes, in that order '
            '(--dataset_name, --dataset_dir)'
        )


if __name__ == '__main__':
    command.leave(command.status_of('eval_loop.py', lambda: run(parse(sys.argv[1:]))))
