#!/usr/bin/env python3
"""Evaluates checkpoints: top-1 and top-5 over a data set, every image once.

    python eval_loop.py --checkpoint_path results/train --dataset_name digits --image_size 32

Weights of others too: TF-slim checkpoints, frozen graphs (.pb), SavedModels. The graph and its
session are `Evaluation` of mobilenet/evaluation.py.
"""

import functools
import glob
import json
import os
import sys
import time

import data
from mobilenet import command, configuration, devices, flag_types, flags, text
from mobilenet.errors import UsageError

FROM_TRAINING = (
    'model_name',
    'dataset_name',
    'dataset_dir',
    'image_size',
    'preprocessing_name',
    'label_offset',
    'apply_exif',
)
SETTLING = ('model_name', 'dataset_name', 'image_size', 'preprocessing_name')  # without config.json


def parse(argv):
    """The Config of an evaluation. What --checkpoint_path's own config.json says is the default."""
    groups = flags.evaluation(data.DATASET_NAMES, data.PREPROCESSING_NAMES)
    return configuration.resolve(
        'eval_loop.py', 'Evaluate checkpoints of a MobileNet.', groups, argv, defaults_of(argv)
    )


def defaults_of(argv):
    """Flags that config.json beside the checkpoints says, or {}."""
    finder = flag_types.Parser(add_help=False, allow_abbrev=False)
    finder.add_argument('--checkpoint_path')
    finder.add_argument('--follow', nargs='?', const='true')
    finder.add_argument('--follow_timeout', type=flag_types.number(0))
    for name in SETTLING:
        finder.add_argument(f'--{name}')
    given = finder.parse_known_args(argv)[0]
    path = given.checkpoint_path
    if not path:
        return {}
    if not (given.follow and os.path.isdir(path)):
        check_is_there(path)
    elif None in [getattr(given, name) for name in SETTLING]:
        wait_for_training(path, given.follow_timeout)
    return command.trained_flags(path, FROM_TRAINING)


def wait_for_training(folder, timeout):
    """For --follow: until a training has written its config.json there, which it does before its
    first checkpoint; the defaults of the flags would evaluate another network, or at another size.
    timeout: seconds, None for ever. Raises UsageError after it.
    """
    began, said = time.monotonic(), False
    while not any(n == 'config.json' or n.endswith('.index') for n in text.names_in(folder)):
        if timeout is not None and time.monotonic() - began > timeout:
            raise UsageError(
                f'--checkpoint_path={folder}: no training began there in {timeout:g} s'
            )
        if not said:
            end = 'a signal' if timeout is None else f'{timeout:g} s have passed'
            print(f'waiting for a training in {folder}, until {end}', file=sys.stderr, flush=True)
            said = True
        time.sleep(0.5)


def check_is_there(path):
    """Raises UsageError where there is nothing to evaluate: before anything else is asked for."""
    if os.path.isdir(path):
        names = text.names_in(path)
        if not any(name.endswith(('.index', '.meta', '.pb')) or '.data-' in name for name in names):
            raise UsageError(f'--checkpoint_path={path}: no checkpoint in this folder')
    elif not (os.path.isfile(path) or glob.glob(glob.escape(path) + '.*')):
        hint = text.spelling_hint(path)
        raise UsageError(f'--checkpoint_path={path}: no such checkpoint or folder{hint}')


def open_evaluation(config, dataset):
    """The evaluation.Evaluation of the flags."""
    from mobilenet import evaluation

    return evaluation.Evaluation(
        dataset,
        data.EvalPipeline.of(config, dataset, config.batch_size),
        devices.create(config),
        config.label_offset,
        config.class_names,
        configuration.float16_graph(config),
        say=lambda text: print(text, file=sys.stderr),
    )


def figures(config, evaluation, path):
    """evaluation.figures of the weights at a path, with a bar on a terminal."""
    import tqdm

    from mobilenet import weights

    progress = functools.partial(
        tqdm.trange, desc=os.path.basename(path), unit='batch', disable=not sys.stderr.isatty()
    )
    opened = weights.open_weights(path)
    return evaluation.figures(opened, config.model_name, not config.no_ema, progress)


def report(config, evaluation, entry, seen, lines, logger):
    """Prints a checkpoint's figures and writes them. lines: Appender of eval.jsonl."""
    from mobilenet.evaluation import in_words

    line = f'{in_words(entry)}  {entry["checkpoint"]}'
    print(line, flush=True)
    logger.info(line)
    lines.append(json.dumps(entry).encode() + b'\n')
    if config.per_class:
        from mobilenet import confusion

        num_classes = evaluation.network[1]
        names = evaluation.names or evaluation.dataset.class_names
        if names and len(names) < num_classes:  # --label_offset: output 0 has no class
            names = ['background'] * (num_classes - len(names)) + list(names)
        paths = confusion.write(config.eval_dir, entry['step'], *seen, names, num_classes)
        for path in paths:
            print('wrote', path)


def evaluate_all(config, evaluation, logger):
    """Evaluates every checkpoint there is. One that cannot be used is named, and the others go on;
    gives the exit status.
    """
    from mobilenet import appending, checkpoints, events, log
    from mobilenet import evaluation as evaluation_of
    from mobilenet.weights import BrokenWeights, matching

    wrong, good, lines, curve = 0, 0, None, None
    given, follow = config.checkpoint_path, config.follow
    for path in evaluation_of.new_checkpoints(
        given, set(), follow, config.follow_timeout, functools.partial(log.say, logger)
    ):
        try:
            entry, seen = figures(config, evaluation, path)
        except (BrokenWeights, matching.OtherNetwork) as error:
            if not checkpoints.in_folder(config.checkpoint_path):
                raise
            if checkpoints.is_whole(path):  # else training has deleted it meanwhile
                tell(error, logger)
                wrong += 1
            continue
        good += 1
        lines = lines or appending.Appender(os.path.join(config.eval_dir, 'eval.jsonl'))
        report(config, evaluation, entry, seen, lines, logger)
        curve = curve or events.EventWriter(os.path.join(config.eval_dir, config.split))
        evaluation_of.add_to_curve(curve, entry)
        if config.follow and config.split == 'validation':
            leave_mark(path, entry, logger)
    return 0 if not wrong else 1 if good else UsageError.status


def tell(error, logger):
    print(f'eval_loop.py: {error}', file=sys.stderr, flush=True)
    logger.error(str(error))


def run(config):
    dataset = data.open_split(config, config.split)
    check_classes(config, dataset)
    devices.import_tensorflow(config)
    from mobilenet import log

    command.make_folder(config.eval_dir, '--eval_dir')
    logger = log.log_to(os.path.join(config.eval_dir, time.strftime('eval_%Y%m%d_%H%M%S.log')))
    logger.info('flags %s', json.dumps(config.flags, sort_keys=True))
    evaluation = open_evaluation(config, dataset)
    try:
        status = evaluate_all(config, evaluation, logger)
    finally:
        evaluation.close()
    for place, reason in evaluation.pipeline.bad_records.items():
        print(f'skipped {place}: {reason}', file=sys.stderr)
    return status


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
    """Raises UsageError where the classes are named or numbered otherwise than in training, and
    --class_names does not say which are which.
    """
    from mobilenet import run_record

    if config.class_names:
        return
    trained = run_record.read(configuration.folder_of(config.checkpoint_path))
    for difference in run_record.other_classes(trained, dataset.class_names):
        raise UsageError(
            f'this data set has {difference.now}, and {config.checkpoint_path} was trained with '
            f'{difference.before}: give the data set with those classes, in that order '
            '(--dataset_name, --dataset_dir)'
        )


if __name__ == '__main__':
    command.leave(command.status_of('eval_loop.py', lambda: run(parse(sys.argv[1:]))))
