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
from mobilenet import command, devices, flags
from mobilenet.devices import npu_options
from mobilenet.errors import UsageError

FROM_TRAINING = ('model_name', 'dataset_name', 'dataset_dir', 'image_size', 'preprocessing_name')


def parse(argv):
    """Flags of an evaluation. What --checkpoint_path's own config.json says is the default."""
    parser = flags.Parser(
        prog='eval_loop.py', allow_abbrev=False, description='Evaluate checkpoints of a MobileNet.'
    )
    parser.add_argument(
        '--checkpoint_path',
        required=True,
        help='a checkpoint, or a folder: each one in it, in order of step',
    )
    flags.add_model_flags(parser)
    flags.add_data_flags(parser, data.DATASET_NAMES, data.PREPROCESSING_NAMES)
    parser.add_argument('--split', default='validation', choices=('validation', 'train'))
    parser.add_argument('--batch_size', type=flags.count(), default=64, help='default 64')
    group = parser.add_argument_group('the evaluation')
    group.add_argument(
        '--eval_dir', help="where eval_*.log and eval.jsonl go; default: the checkpoints' folder"
    )
    flags.add_switch(group, '--no_ema', 'the raw weights, where the checkpoint has averages')
    flags.add_switch(
        group, '--follow', 'wait for new checkpoints, until a signal or --follow_timeout'
    )
    group.add_argument(
        '--follow_timeout',
        type=flags.number(0),
        help='seconds without a new checkpoint that end --follow',
    )
    flags.add_switch(
        group, '--per_class', 'also accuracy per class and a confusion matrix, as CSV and PNG'
    )
    flags.add_device_flags(parser)
    npu_options.add_flags(parser)
    config = training_config(argv)
    parser.set_defaults(
        **{name: config[name] for name in FROM_TRAINING if config.get(name) is not None}
    )
    args = parser.parse_args(argv)
    flags.check_dataset_dir(args)
    command.resolve_device(args)
    args.eval_dir = args.eval_dir or folder_of(args.checkpoint_path)
    return args


def folder_of(path):
    return path if os.path.isdir(path) else os.path.dirname(path) or '.'


def training_config(argv):
    """config.json beside the checkpoints, or {}."""
    finder = flags.Parser(add_help=False, allow_abbrev=False)
    finder.add_argument('--checkpoint_path')
    return command.read_config(folder_of(finder.parse_known_args(argv)[0].checkpoint_path or ''))


def evaluate(args, path, dataset):
    """One checkpoint: a graph of its own, a session of its own. Gives the line of eval.jsonl and (labels, answers)."""
    import numpy as np
    import tensorflow as tf

    from data import preprocess
    from mobilenet import checkpoints, evaluation, nets

    pipeline = data.EvalPipeline(
        dataset,
        args.batch_size,
        args.image_size,
        args.preprocessing_name,
        num_threads=args.data_threads,
        normalize_on=args.normalize_on,
        on_bad_record=args.on_bad_record,
    )
    device = devices.create(args)
    with tf.Graph().as_default():
        iterator = tf.data.make_initializable_iterator(pipeline.dataset())
        images, labels, weights = iterator.get_next()
        float16 = args.device == 'host' and args.precision_mode in flags.FLOAT16_MODES
        network = nets.build(
            args.model_name,
            preprocess.normalize(images),
            dataset.num_classes,
            training=False,
            compute_dtype=tf.float16 if float16 else tf.float32,
        )
        rank = evaluation.rank_of_label(network.logits, labels)
        answer = tf.argmax(network.logits, 1, output_type=tf.int32)
        saver, ema = checkpoints.evaluation_saver(path, args.model_name, not args.no_ema)

        seen = {'labels': [], 'answers': [], 'ranks': []}
        with tf.Session(config=device.session_config(1, 1)) as sess:
            device.initialize(sess)
            saver.restore(sess, path)
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
            device.shutdown(sess)
    seen = {name: np.concatenate(values) for name, values in seen.items()}
    images = len(seen['ranks'])
    if not images:
        raise UsageError('no image of the data set could be read: run scripts/check_dataset.py')
    for place, reason in pipeline.bad_records.items():
        print(f'skipped {place}: {reason}', file=sys.stderr)
    return {
        'checkpoint': path,
        'step': max(checkpoints.step_of(path), 0),
        'top1': float(np.mean(seen['ranks'] < 1)),
        'top5': float(np.mean(seen['ranks'] < 5)),
        'images': images,
        'ema': bool(ema),
    }, seen


def progress(count, path):
    from tqdm import tqdm

    return tqdm(
        range(count), desc=os.path.basename(path), unit='batch', disable=not sys.stderr.isatty()
    )


def report(args, entry, seen, dataset, logger):
    """Prints a checkpoint's figures and writes them."""
    line = 'step {step}  top1 {top1:.4f}  top5 {top5:.4f}  {images} images  {} weights  {checkpoint}'.format(
        'EMA' if entry['ema'] else 'raw', **entry
    )
    print(line, flush=True)
    logger.info(line)
    with open(os.path.join(args.eval_dir, 'eval.jsonl'), 'a') as f:
        f.write(json.dumps(entry) + '\n')
    if args.per_class:
        from mobilenet import confusion

        for path in confusion.write(
            args.eval_dir,
            entry['step'],
            seen['labels'],
            seen['answers'],
            dataset.class_names,
            dataset.num_classes,
        ):
            print('wrote', path)


def new_checkpoints(path, done, follow, timeout):
    """Checkpoints that are not in `done`, in order of step; with `follow` it goes on as they come."""
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


def run(args):
    if not os.path.isdir(folder_of(args.checkpoint_path)):
        raise UsageError(f'--checkpoint_path={args.checkpoint_path}: no such checkpoint or folder')
    dataset = data.open_dataset(args.dataset_name, args.dataset_dir, args.split, args.on_bad_record)
    devices.import_tensorflow()
    from mobilenet import run_files

    command.make_folder(args.eval_dir, '--eval_dir')
    logger = run_files.log_to(os.path.join(args.eval_dir, time.strftime('eval_%Y%m%d_%H%M%S.log')))
    logger.info('flags %s', json.dumps(vars(args), sort_keys=True))
    for path in new_checkpoints(args.checkpoint_path, set(), args.follow, args.follow_timeout):
        entry, seen = evaluate(args, path, dataset)
        report(args, entry, seen, dataset, logger)
    return 0


if __name__ == '__main__':
    command.leave(command.status_of('eval_loop.py', lambda: run(parse(sys.argv[1:]))))
