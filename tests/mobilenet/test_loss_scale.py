"""The dynamic loss scale, step by step."""

import tensorflow as tf

from mobilenet import loss_scale


def test_loss_scale_doubles_after_1000_good_steps_and_halves_but_not_under_one():
    with tf.Graph().as_default(), tf.Session() as sess:
        scale, count, good = (
            tf.placeholder(tf.float32, []),
            tf.placeholder(tf.int64, []),
            tf.placeholder(tf.bool, []),
        )
        step = loss_scale.next_scale(scale, count, good, True)
        s, n = 4.0, 0
        history = []
        for ok in [True] * 1000 + [True] * 999 + [False] * 5 + [True]:
            s, n = sess.run(step, {scale: s, count: n, good: ok})
            history.append((float(s), int(n)))
    assert history[998] == (4.0, 999) and history[999] == (8.0, 0)
    assert [h[0] for h in history[1998:]] == [8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0]
    assert history[-1] == (1.0, 1)
