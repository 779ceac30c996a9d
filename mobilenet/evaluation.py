"""An evaluation: one graph and session for all checkpoints; right answers, counted by rank of the
label's logit.
"""

import contextlib
import os
import time

import numpy as np
import tensorflow as tf

from mobilenet import checkpoints, class_labels, events, input_errors, nets, state, weights
from mobilenet.errors import UsageError
from mobilenet.weights import folding, matching


class Evaluation:
    """One data set, one graph and one session for all weights; `figures` is one evaluation.

    Args:
      pipeline: a data.EvalPipeline of `dataset`; device: of mobilenet.devices.
      label_offset: 'auto', '0' or '1'; class_names: path of the names of the outputs, or None.
      float16: convolutions in float16. say: takes a line for the person.
    """

    def __init__(
        self, dataset, pipeline, device, label_offset, class_names=None, float16=False, say=print
    ):
        self.dataset, self.pipeline, self._device = dataset, pipeline, device
        self._label_offset, self._class_names = label_offset, class_names
        self._float16, self._say = float16, say
        self._stack = contextlib.ExitStack()
        self.network = self.names = self._evaluator = self._sess = self._cache = None

    def figures(self, opened, model_name=None, use_ema=True, progress=range):
        """Evaluates weights.Weights: the line of eval.jsonl, and labels and answers of all images.

        model_name: the network they have to be of; progress(count): goes over the batches' numbers.
        Raises UsageError.
        """
        known = self.network[0] if self.network else model_name
        fit = matching.identified(opened, known)
        network = self.network or (fit.model_name, fit.num_classes)
        values, ema = matching.network_values(opened, *network, use_ema=use_ema)
        if self.network is None:
            self.open(*network)
        self.load(values)
        labels, answers, ranks = self._run(progress)
        return {
            'checkpoint': opened.path,
            'step': max(checkpoints.step_of(opened.path), opened.step or 0),
            **accuracies(ranks),
            'images': len(ranks),
            'ema': ema,
        }, (labels, answers)

    def open(self, model_name, num_classes):
        """Builds the graph and opens the session, for networks of this name and these classes."""
        if self._class_names:
            self.names = class_labels.names_of('', self._class_names, num_classes)
        outputs, said = class_labels.outputs_of_labels(
            self.dataset, num_classes, self._label_offset, self.names
        )
        if said:
            self._say(said)
        with tf.Graph().as_default():
            # Repeated, not started anew: an NPU's input queue has one start of its iterator.
            iterator = tf.data.make_initializable_iterator(self.pipeline.dataset().repeat())
            images, labels, counted = iterator.get_next()
            images = self.pipeline.normalize(images)
            self._evaluator = Evaluator(
                model_name,
                num_classes,
                images,
                labels,
                counted,
                outputs,
                self._float16,
                self._device.block,
            )
            self._cache = self._device.primitive_cache()
            self._sess = self._stack.enter_context(self._device.session(1, 1))
        self._sess.run(iterator.initializer)
        self.network = model_name, num_classes

    def load(self, values):
        """Sets the weights: {name: array} of the network without folding."""
        self._evaluator.load(self._sess, values)

    def next_batch(self):
        """(labels as outputs, answers, ranks of the labels) of the images of the next batch."""
        self._cache.before(self._sess, 1)
        return self._evaluator.next_batch(self._sess)

    def _run(self, progress):
        """(labels as outputs, answers, ranks of the labels) of every image once, as arrays."""
        seen = []
        for number in progress(self.pipeline.num_batches):
            try:
                seen.append(self.next_batch())
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


class Evaluator:
    """The inference network on a stream of batches, for the weights of one checkpoint after
    another.

    Args:
      model_name, num_classes: the network.
      images: float32 [batch, height, width, 3] in [-1, 1]; labels: int32 [batch]; counted: float32
        [batch], 0 where an image only fills up a batch.
      outputs: the network's output for each label, a list of int.
      float16: convolutions in float16; batch norm then stays apart. Else it is folded into the
        convolutions, where oneDNN adds biases (not after depthwise ones).
      block: see nets.build.
    """

    def __init__(self, model_name, num_classes, images, labels, counted, outputs, float16, block):
        self.fold = None if float16 else 'convolutions'
        network = nets.build(
            model_name,
            images,
            num_classes,
            training=False,
            compute_dtype=tf.float16 if float16 else tf.float32,
            fold=self.fold,
            block=block,
        )
        labels = tf.gather(tf.constant(outputs, tf.int32), labels)
        rank = rank_of_label(network.logits, labels)
        answer = tf.argmax(network.logits, 1, output_type=tf.int32)
        self._fetches = [labels, answer, rank, counted]
        self._variables = tf.global_variables(nets.scope_name(model_name) + '/')

    def load(self, sess, values):
        """Sets the weights: {name: array} of the network without folding."""
        if self.fold:
            values = folding.fold(values, depthwise=False)
        state.initialize(sess, self._variables, values)

    def next_batch(self, sess):
        """(labels as outputs, answers, ranks of the labels) of the images that count."""
        *columns, counted = sess.run(self._fetches)
        return [column[counted > 0] for column in columns]


def rank_of_label(logits, labels):
    """How many classes come before the label, in the order of numpy's stable argsort of -logits.

    Of equal logits the lower class comes first, as argmax has it. A logit that is not finite is
    never right.

    Args:
      logits: float32 [batch, num_classes]; labels: int32 [batch].

    Returns:
      int32 [batch]; 0: the label is the first answer.
    """
    num_classes = logits.shape[-1].value
    mine = tf.reduce_sum(logits * tf.one_hot(labels, num_classes), 1, keepdims=True)
    before = tf.logical_and(
        tf.equal(logits, mine), tf.range(num_classes)[None, :] < labels[:, None]
    )
    ahead = tf.reduce_sum(tf.cast(tf.logical_or(logits > mine, before), tf.int32), 1)
    finite = tf.reduce_all(tf.is_finite(logits), 1)
    return tf.where(finite, ahead, tf.fill(tf.shape(ahead), num_classes))


def accuracies(ranks):
    """{'top1', 'top5'} of an evaluation: the share of images whose label is the first answer, and
    of those where it is among the first five.

    Args:
      ranks: numpy int [images], of rank_of_label.
    """
    return {'top1': float((ranks < 1).mean()), 'top5': float((ranks < 5).mean())}


def in_words(entry):
    """A line of eval.jsonl for a person."""
    return (
        f'step {entry["step"]}  top1 {entry["top1"]:.4f}  top5 {entry["top5"]:.4f}  '
        f'{entry["images"]} images  {"EMA" if entry["ema"] else "raw"} weights'
    )


def add_to_curve(writer, entry):
    """Writes a line of eval.jsonl by an events.EventWriter: top-1 under the name that the accuracy
    of training has, so that TensorBoard draws both into one chart.
    """
    values = {'accuracy': entry['top1'], 'top5': entry['top5']}
    writer.add_summary(events.scalars(values), entry['step'])
    writer.flush()


def new_checkpoints(path, done, follow, timeout, say):
    """What there is to evaluate at a path; of a folder, its checkpoints that are not in `done`, in
    order of step, with `follow` as they come. say: takes the line that it waits.
    """
    if not os.path.isdir(path) or not follow:
        first = weights.locate(path)
        if first == os.path.normpath(path) or not checkpoints.in_folder(path):
            yield first
            return
    last, said = time.monotonic(), False
    while True:
        waiting = [p for p in checkpoints.in_folder(path) if p not in done]
        for checkpoint in waiting:
            if checkpoints.is_whole(checkpoint):  # training may have deleted it meanwhile
                done.add(checkpoint)
                yield checkpoint
            last, said = time.monotonic(), False
        if not waiting:
            if not follow or (timeout is not None and time.monotonic() - last > timeout):
                return
            if not said:
                end = 'a signal' if timeout is None else f'{timeout:g} s without one'
                say(f'waiting for new checkpoints in {path}, until {end}')
                said = True
            time.sleep(1.0)
