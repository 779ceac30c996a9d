"""An evaluation against contrib.slim's network and numpy's stable sort; what is evaluated when."""

import os
import types

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import evaluation
from mobilenet.devices import host
from mobilenet.errors import UsageError
from mobilenet.weights import matching
from mobilenet.weights.sources import Weights
from tests.helpers import slim_network

CLASSES, SIZE, BATCH = 9, 32, 3
PIXELS = np.random.RandomState(3).randint(0, 256, [7, SIZE, SIZE, 3]).astype(np.float32)
LABELS = np.array([4, 0, 7, 2, 2, 5, 1], np.int32)
SCALE = np.float32(2 / 255.0)


def test_rank_of_label_against_a_stable_sort():
    rng = np.random.RandomState(0)
    logits = rng.randint(0, 4, (64, 9)).astype(np.float32)  # many ties
    labels = rng.randint(0, 9, 64).astype(np.int32)
    order = np.argsort(-logits, 1, kind='stable')
    expected = (order == labels[:, None]).argmax(1)
    logits[3, 2], expected[3] = np.nan, 9
    with tf.Graph().as_default(), tf.Session() as sess:
        got = sess.run(evaluation.rank_of_label(tf.constant(logits), tf.constant(labels)))
    np.testing.assert_array_equal(got, expected)


def test_accuracies_count_the_first_and_the_first_five_answers():
    found = evaluation.accuracies(np.array([0, 4, 5, 0, 9, 1, 10, 3]))
    assert found == {'top1': 2 / 8, 'top5': 5 / 8}


def test_lines_and_points_of_the_curve():
    entry = {'step': 7, 'top1': 0.25, 'top5': 0.87654, 'images': 12, 'ema': True}
    assert evaluation.in_words(entry) == 'step 7  top1 0.2500  top5 0.8765  12 images  EMA weights'
    assert evaluation.in_words(dict(entry, ema=False)).endswith('12 images  raw weights')
    calls = []
    writer = types.SimpleNamespace(
        add_summary=lambda summary, step: calls.append(
            ({v.tag: round(v.simple_value, 5) for v in summary.value}, step)
        ),
        flush=lambda: calls.append('flushed'),
    )
    evaluation.add_to_curve(writer, entry)
    assert calls == [({'accuracy': 0.25, 'top5': 0.87654}, 7), 'flushed']


class Clock:
    """Stands for `time`; `events`: {second of sleep: what happens then}."""

    def __init__(self, events):
        self.now, self._events = 1000.0, events

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds == 1.0
        self.now += seconds
        self._events.get(self.now - 1000, lambda: None)()


@pytest.fixture
def folder(tmp_path):
    for step in (20, 3):
        put(tmp_path, step)
    return tmp_path


def put(folder, step):
    for suffix in ('.data-00000-of-00001', '.index'):
        (folder / f'model.ckpt-{step}{suffix}').write_bytes(b'1')


def steps_of(paths):
    return [int(path.rsplit('-', 1)[1]) for path in paths]


def test_a_path_is_one_of_them_and_a_folder_all(folder):
    def found(path, done=(), follow=None):
        return list(evaluation.new_checkpoints(str(path), set(done), follow, 5.0, print))

    one = str(folder / 'model.ckpt-3')
    assert found(one) == [one] and found(one + '.index') == [one]
    assert found(one, follow=True) == [one]
    assert found(folder) == [one, str(folder / 'model.ckpt-20')]
    assert found(folder, done=[one]) == [str(folder / 'model.ckpt-20')]
    saved_model = folder / 'exported'
    saved_model.mkdir()
    (saved_model / 'saved_model.pb').write_bytes(b'')
    assert found(saved_model) == [str(saved_model)]
    (folder / 'saved_model.pb').write_bytes(b'')  # as a folder it is a SavedModel first
    assert found(folder) == [str(folder)]
    (folder / 'empty').mkdir()
    with pytest.raises(UsageError):
        found(folder / 'empty')


def test_a_graph_alone_in_its_folder(tmp_path):
    (tmp_path / 'graph.pb').write_bytes(b'')
    found = list(evaluation.new_checkpoints(str(tmp_path), set(), None, None, print))
    assert found == [str(tmp_path / 'graph.pb')]


def test_checkpoints_are_followed_until_none_has_come_for_so_long(folder, monkeypatch):
    clock = Clock({5: lambda: put(folder, 30), 11: lambda: put(folder, 40)})
    monkeypatch.setattr(evaluation, 'time', clock)
    said, done, times = [], set(), []
    for path in evaluation.new_checkpoints(str(folder), done, True, 5.0, said.append):
        times.append((steps_of([path])[0], clock.now - 1000))
        clock.now += 2  # as an evaluation takes
    # An evaluation of 2 s is no time of waiting: the 5 s begin at its end.
    assert times == [(3, 0), (20, 2), (30, 5), (40, 11)]
    assert clock.now - 1000 == 19 and sorted(steps_of(done)) == [3, 20, 30, 40]
    assert said == [f'waiting for new checkpoints in {folder}, until 5 s without one'] * 3


def test_an_empty_folder_is_waited_for_with_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, 'time', Clock({}))
    said = []
    assert not list(evaluation.new_checkpoints(str(tmp_path), set(), True, 5.0, said.append))
    assert said == [f'waiting for new checkpoints in {tmp_path}, until 5 s without one']


def test_what_is_deleted_meanwhile_is_passed_over(folder, monkeypatch):
    ended = []

    def stop():
        ended.append(True)
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluation, 'time', Clock({3: stop}))
    said, found = [], []
    with pytest.raises(KeyboardInterrupt):
        for path in evaluation.new_checkpoints(str(folder), set(), True, None, said.append):
            found += steps_of([path])
            os.remove(str(folder / 'model.ckpt-20.index'))
    assert found == [3] and ended
    assert said == [f'waiting for new checkpoints in {folder}, until a signal']


def test_a_clock_that_is_set_forward_does_not_end_the_waiting(tmp_path, monkeypatch):
    """For new checkpoints, by --follow: a day passes each time somebody looks at it."""
    monkeypatch.setattr('time.time', iter(range(0, 10**9, 86400)).__next__)

    def save(step):
        for suffix in ('.data-00000-of-00001', '.index'):
            (tmp_path / f'model.ckpt-{step}{suffix}').write_bytes(b'')

    save(1)
    waits = iter([lambda: save(2), lambda: None])
    found = evaluation.new_checkpoints(str(tmp_path), set(), True, 0.9, lambda text: next(waits)())
    assert [path[-1] for path in found] == ['1', '2']


class Pipeline:
    """The images in batches of 3; `counted`: how many of them count; `fails`: at which one the
    input stops.
    """

    num_batches, on_bad_record = 3, 'stop'

    def __init__(self, counted=7, fails=None):
        self._counted, self._fails, self.looked_for = counted, fails, None

    def dataset(self):
        filled = np.concatenate([PIXELS, PIXELS[:2]])
        labels = np.concatenate([LABELS, LABELS[:2]])
        counted = (np.arange(9) < self._counted).astype(np.float32)
        rows = tf.data.Dataset.from_tensor_slices((filled, labels, counted, np.arange(9)))
        return rows.map(self._row).batch(BATCH, drop_remainder=True)

    def _row(self, image, label, counted, number):
        if self._fails is not None:
            checks = [tf.debugging.assert_none_equal(number, np.int64(self._fails))]
            with tf.control_dependencies(checks):
                image = tf.identity(image)
        return image, label, counted

    def normalize(self, images):
        return images * SCALE - 1.0

    def find_bad_record(self, first_batch, num_batches):
        self.looked_for = first_batch, num_batches
        return 'here, record 4', 'no image'


@pytest.fixture(scope='module')
def published():
    """(Weights with averages, logits of the averages, logits of the raw weights)."""
    with tf.Graph().as_default(), tf.Session() as sess:
        logits = slim_network.logits(tf.constant(PIXELS * SCALE - 1), CLASSES, 0.25)
        variables = tf.contrib.slim.get_model_variables()
        values, found = {'global_step': np.int64(30)}, []
        for seed, suffix in ((0, ''), (1, '/ExponentialMovingAverage')):
            drawn = slim_network.random_values(variables, seed)
            slim_network.assign(sess, drawn)
            found.append(sess.run(logits))
            values.update({v.op.name + suffix: a.astype(np.float32) for v, a in drawn.items()})
    shapes = {name: value.shape for name, value in values.items()}
    read = lambda names: {name: values[name] for name in names}  # noqa: E731
    return Weights('/w/model.ckpt-20', 'checkpoint', shapes, read), found[1], found[0]


def opened(pipeline=None, num_classes=CLASSES, **options):
    dataset = types.SimpleNamespace(num_classes=num_classes, class_names=None)
    pipeline = pipeline or Pipeline()
    options = {'label_offset': 'auto', **options}
    return evaluation.Evaluation(dataset, pipeline, host.HostDevice(), **options)


def ranks(logits, labels):
    return (np.argsort(-logits, 1, kind='stable') == labels[:, None]).argmax(1)


def test_figures_are_those_of_slims_network(published):
    weights, averaged, raw = published
    evaluated, seen = opened(), []

    def progress(count):
        seen.append(count)
        return range(count)

    entry, (labels, answers) = evaluated.figures(weights, progress=progress)
    assert seen == [3] and evaluated.network == ('mobilenet_v1_025', CLASSES)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(answers, averaged.argmax(1))
    wanted = {'checkpoint': '/w/model.ckpt-20', 'step': 30, 'images': 7, 'ema': True}
    assert entry == {**evaluation.accuracies(ranks(averaged, LABELS)), **wanted}
    # Again, in the same graph: the raw weights, of a name with a later step.
    weights = Weights('/w/model.ckpt-40', 'checkpoint', weights.shapes, weights._read)
    entry, (_, answers) = evaluated.figures(weights, use_ema=False)
    np.testing.assert_array_equal(answers, raw.argmax(1))
    assert (entry['step'], entry['ema']) == (40, False)
    assert entry['top5'] == evaluation.accuracies(ranks(raw, LABELS))['top5']
    shapes = {n: shape for n, shape in weights.shapes.items() if n != 'global_step'}
    graph = Weights('/w/graph.pb', 'frozen', shapes, weights._read)
    assert evaluated.figures(graph, use_ema=False)[0]['step'] == 0  # none is known
    # The graph is of one network: the wish for another one is not asked any more.
    assert evaluated.figures(weights, 'mobilenet_v2', False)[0] == entry
    evaluated.close()
    with pytest.raises(RuntimeError):
        evaluated.next_batch()


def test_another_network_is_refused_before_anything_is_built(published):
    evaluated = opened()
    with pytest.raises(matching.OtherNetwork, match='--model_name=mobilenet_v1_025'):
        evaluated.figures(published[0], 'mobilenet_v2')
    assert evaluated.network is None


def test_labels_are_outputs_by_offset_or_by_name(published, tmp_path, capsys):
    said = []
    shifted = opened(num_classes=CLASSES - 1, label_offset='1', say=said.append)
    _, (labels, _) = shifted.figures(published[0])
    np.testing.assert_array_equal(labels, LABELS + 1)
    assert said == ['labels 0 to 7 are outputs 1 to 8 (--label_offset=1)']
    (tmp_path / 'names.txt').write_text('\n'.join('abcdefghi') + '\n')
    named = opened(class_names=str(tmp_path / 'names.txt'))
    named.dataset.class_names = list('ihgfedcba')
    _, (labels, _) = named.figures(published[0])
    np.testing.assert_array_equal(labels, 8 - LABELS)
    assert named.names == list('abcdefghi')
    assert capsys.readouterr().out == '9 classes found among 9 by name\n'


def test_float16_is_of_the_convolutions(published):
    plain, half = opened(), opened(float16=True)
    for evaluated in (plain, half):
        evaluated.figures(published[0])
    found = []
    for evaluated in (plain, half):
        ops = evaluated._sess.graph.get_operations()
        found.append({op.get_attr('T') for op in ops if op.type == 'Conv2D'})
    assert found == [{tf.float32}, {tf.float16}]
    assert (plain._evaluator.fold, half._evaluator.fold) == ('convolutions', None)


def test_a_record_that_cannot_be_read_is_looked_for_from_its_batch_on(published):
    pipeline = Pipeline(fails=4)
    with pytest.raises(UsageError, match='here, record 4: no image'):
        opened(pipeline).figures(published[0])
    assert pipeline.looked_for[0] <= 1 and sum(pipeline.looked_for) == 4
    with pytest.raises(UsageError, match='no image of the data set could be read'):
        opened(Pipeline(counted=0)).figures(published[0])
