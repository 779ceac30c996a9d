#!/usr/bin/env python3
"""Evaluates checkpoints: top-1 and top-5 over a data set, every image once.

    python eval_loop.py --checkpoint_path results/train --dataset_name digits --image_size 32

Weights of others too: TF-slim checkpoints, frozen graphs (.pb), SavedModels. Read `Evaluation` top
to bottom.
"""

import contextlib
import json
import os
import sys
import time

import data
from mobilenet import class_labels, command, configuration, devices, flag_types, flags
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
    finder.add_argument('--follow', nargs='?')
    given = finder.parse_known_args(argv)[0]
    folder = configuration.folder_of(given.checkpoint_path or '')
    if given.checkpoint_path and not given.follow and '--follow' not in argv:
        check_not_empty(given.checkpoint_path, folder)
    return command.read_config(folder)


def check_not_empty(path, folder):
    """Raises UsageError where there is nothing to evaluate: before anything else is asked for."""
    names = os.listdir(folder) if os.path.isdir(folder) else None
    if names is None:
        raise UsageError(f'--checkpoint_path={path}: no such checkpoint or folder')
    if path == folder and not any(name.endswith(('.index', '.pb')) for name in names):
        raise UsageError(f'--checkpoint_path={path}: no checkpoint in this folder')


class Evaluation:
    """One data set, one graph and one session for all checkpoints; `figures` is one evaluation."""

    def __init__(self, config, dataset):
        self.config, self.dataset, self._stack = config, dataset, contextlib.ExitStack()
        self.network = self.names = self._evaluator = self._sess = None
        self.pipeline = data.EvalPipeline(
            dataset,
            config.batch_size,
            config.image_size,
            config.preprocessing_name,
            num_threads=config.data_threads,
            normalize_on=config.normalize_on,
            on_bad_record=config.on_bad_record,
        )

    def figures(self, path):
        """Evaluates one checkpoint: the line of eval.jsonl, and labels, answers and ranks of all
        images. Raises UsageError.
        """
        from mobilenet import checkpoints, evaluation, weights
        from mobilenet.weights import matching

        opened = weights.open_weights(path)
        fit = matching.identified(
            opened, self.network[0] if self.network else self.config.model_name
        )
        network = fit.model_name, fit.num_classes
        values, ema = matching.network_values(
            opened, *(self.network or network), use_ema=not self.config.no_ema
        )
        if self.network is None:
            self._open(*network)
        self._evaluator.load(self._sess, values)
        labels, answers, ranks = self._run(path)
        return {
            'checkpoint': path,
            'step': max(checkpoints.step_of(path), opened.step or 0),
            **evaluation.accuracies(ranks),
            'images': len(ranks),
            'ema': ema,
        }, (labels, answers)

    def _open(self, model_name, num_classes):
        """Builds the graph and opens the session, for networks of this name and these classes."""
        import tensorflow as tf

        from mobilenet import evaluation

        outputs, said = class_labels.outputs_of_labels(
            self.dataset, num_classes, self.config.label_offset, self._names(num_classes)
        )
        if said:
            print(said, file=sys.stderr)
        device = devices.create(self.config)
        self._stack.enter_context(tf.Graph().as_default())
        # Repeated, not started anew: an NPU's input queue is fixed to one start of its iterator.
        iterator = tf.data.make_initializable_iterator(self.pipeline.dataset().repeat())
        images, labels, counted = iterator.get_next()
        self._evaluator = evaluation.Evaluator(
            model_name,
            num_classes,
            self.pipeline.normalize(images),
            labels,
            counted,
            outputs,
            configuration.float16_graph(self.config),
        )
        self._sess = self._stack.enter_context(device.session(1, 1))
        self._sess.run(iterator.initializer)
        self.network = model_name, num_classes

    def _names(self, num_classes):
        """Names of the outputs, where --class_names gives them."""
        if self.config.class_names:
            self.names = class_labels.names_of('', self.config.class_names, num_classes)
        return self.names

    def _run(self, path):
        """(labels as outputs, answers, ranks of the labels) of every image once, as arrays."""
        import numpy as np
        import tensorflow as tf

        from mobilenet import input_errors

        seen = []
        for number in progress(self.pipeline.num_batches, path):
            try:
                seen.append(self._evaluator.next_batch(self._sess))
            except tf.errors.OpError as error:
                raise input_errors.explained(
                    error, self.pipeline, number, 1 + input_errors.READ_AHEAD
                )
        columns = [np.concatenate(column) for column in zip(*seen)]
        if not len(columns[0]):
            raise UsageError('no image of the data set could be read: run scripts/check_dataset.py')
        return columns

    def close(self):
        self._stack.close()


def progress(count, path):
    from tqdm import tqdm

    return tqdm(
        range(count), desc=os.path.basename(path), unit='batch', disable=not sys.stderr.isatty()
    )


def report(config, evaluation, entry, seen, logger):
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
    from mobilenet import checkpoints
    from mobilenet import evaluation as evaluation_of
    from mobilenet.weights import BrokenWeights, matching

    wrong, good = 0, 0
    given, follow = config.checkpoint_path, config.follow
    for path in evaluation_of.new_checkpoints(given, set(), follow, config.follow_timeout):
        try:
            entry, seen = evaluation.figures(path)
        except (BrokenWeights, matching.OtherNetwork) as error:
            if not checkpoints.in_folder(config.checkpoint_path):
                raise
            if checkpoints.is_whole(path):  # else training has deleted it meanwhile
                tell(error, logger)
                wrong += 1
            continue
        good += 1
        report(config, evaluation, entry, seen, logger)
        if config.follow and config.split == 'validation':
            leave_mark(path, entry, logger)
    return 0 if not wrong else 1 if good else UsageError.status


def tell(error, logger):
    print(f'eval_loop.py: {error}', file=sys.stderr, flush=True)
    logger.error(str(error))


def run(config):
    dataset = data.open_dataset(
        config.dataset_name,
        config.dataset_dir,
        config.split,
        config.on_bad_record,
        config.apply_exif,
    )
    check_classes(config, dataset)
    devices.import_tensorflow(config)
    from mobilenet import log

    command.make_folder(config.eval_dir, '--eval_dir')
    logger = log.log_to(os.path.join(config.eval_dir, time.strftime('eval_%Y%m%d_%H%M%S.log')))
    logger.info('flags %s', json.dumps(config.flags, sort_keys=True))
    evaluation = Evaluation(config, dataset)
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
