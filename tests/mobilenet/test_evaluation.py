"""The rank of the label among the answers, against numpy's stable sort."""

import numpy as np
import tensorflow as tf

from mobilenet import evaluation


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


def test_a_clock_that_is_set_forward_does_not_end_the_waiting(tmp_path, monkeypatch):
    """For new checkpoints, by --follow: a day passes each time somebody looks at it."""
    monkeypatch.setattr('time.time', iter(range(0, 10**9, 86400)).__next__)

    def save(step):
        for suffix in ('.data-00000-of-00001', '.index'):
            (tmp_path / f'model.ckpt-{step}{suffix}').write_bytes(b'')

    save(1)
    waits = iter([lambda: save(2), lambda: None])
    found = evaluation.new_checkpoints(str(tmp_path), set(), True, 3.0, lambda text: next(waits)())
    assert [path[-1] for path in found] == ['1', '2']
