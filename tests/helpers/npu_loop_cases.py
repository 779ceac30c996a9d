"""Programs on the simulated NPU for tests/mobilenet/devices/test_npu_sim.py: loop sinking.

Each builds its own graph, as a user of the adapter would, and prints what it saw as JSON.
"""

import json
import os
import tempfile

from npu_bridge.estimator.npu import npu_scope, util
from npu_bridge.sim import settings
import tensorflow as tf

from tests.helpers.npu_cases_common import Counter, config, refused, report, run_counter, variable


def loops_run():
    """A whole loop twice, then a shorter one."""
    report(run_counter(Counter(), 5, [5, 5, 3], config(5)))


def loop_by_name():
    counter = Counter()
    loop = util.IterationPerLoop()
    loop.create_iteration_per_loop_var(counter.step)
    with tf.Session(config=config(3)) as sess:
        sess.run(counter.init)
        loop.load_iteration_per_loop_var(sess, 3)
        report(sess.run(['IterationOp', counter.values])[1])


def set_iteration_per_loop():
    counter = Counter()
    with tf.Session(config=config(4)) as sess:
        sess.run(counter.init)
        op = util.set_iteration_per_loop(sess, counter.step, 4)
        sess.run(op)
        report(
            [
                sess.run(counter.count),
                op.name,
                util.set_iteration_per_loop(sess, counter.step, 1) is counter.step,
            ]
        )


def variables_of_the_loop():
    util.IterationPerLoop().create_iteration_per_loop_var(tf.no_op())
    report(sorted((v.op.name, v.dtype.name) for v in tf.local_variables()))


def end_of_data_inside_a_loop():
    counter = Counter(tf.data.Dataset.range(7))
    try:
        run_counter(counter, 5, [5, 5], config(5))
    except tf.errors.OutOfRangeError:
        report('OutOfRange')


def tensor_as_train_op():
    try:
        util.IterationPerLoop().create_iteration_per_loop_var(tf.constant(1.0))
    except ValueError as e:
        report(str(e))


def one_shot_alone():
    report(run_counter(Counter(one_shot=True), 1, [1], config(1)))


def one_shot_sunk():
    run_counter(Counter(one_shot=True), 2, [2], config(2))


def wrapper_in_a_scope():
    counter = Counter()
    with tf.name_scope('train'):
        run_counter(counter, 2, [2], config(2))


def two_wrappers():
    counter = Counter()
    util.IterationPerLoop().create_iteration_per_loop_var(tf.no_op())
    # The second is named IterationOp_1: neither it nor the first may run.
    with tf.Session(config=config(2)) as sess:
        loop = util.IterationPerLoop()
        loop.create_iteration_per_loop_var(counter.step)
        loop.load_iteration_per_loop_var(sess, 2)
        sess.run('IterationOp')


def loaded_other_than_configured():
    run_counter(Counter(), 5, [4], config(5))


def reloaded_above_configured():
    run_counter(Counter(), 5, [5, 6], config(5))


def not_loaded():
    counter = Counter()
    op = util.IterationPerLoop().create_iteration_per_loop_var(counter.step)
    with tf.Session(config=config(5)) as sess:
        sess.run(counter.init)
        sess.run(op)


def overwritten_after_load():
    counter = Counter()
    loop = util.IterationPerLoop()
    op = loop.create_iteration_per_loop_var(counter.step)
    with tf.Session(config=config(5)) as sess:
        sess.run(counter.init)
        loop.load_iteration_per_loop_var(sess, 5)
        sess.run(tf.local_variables_initializer())
        sess.run(op)


def fed_while_sunk():
    counter = Counter()
    run_counter(counter, 2, [2], config(2), feed={counter.number: 3})


def last_batch_shorter():
    run_counter(Counter(tf.data.Dataset.range(10).batch(4).map(lambda x: x[0])), 2, [2], config(2))
    tf.reset_default_graph()
    data = tf.data.Dataset.range(10).batch(4)
    batch = tf.data.make_initializable_iterator(data).get_next()
    with tf.Session(config=config()) as sess:
        sess.run(tf.reduce_sum(batch))


def iterator_initialised_again():
    counter = Counter()
    for _ in range(2):  # a session takes its queues along
        with tf.Session(config=config()) as sess:
            sess.run(counter.init)
            report(sess.run(counter.number))
            sess.run(tf.global_variables_initializer())
    with tf.Session(config=config()) as sess:
        sess.run(counter.init)
        sess.run(counter.iterator.initializer)


def dynamic_inside():
    counter = Counter()
    kept = tf.boolean_mask(tf.range(4), tf.equal(tf.range(4) % 2, 0))
    counter.step = tf.group(counter.step, kept)
    run_counter(counter, 2, [2], config(2))


def while_around_get_next():
    iterator = tf.data.make_initializable_iterator(tf.data.Dataset.range(100))
    total = tf.while_loop(
        lambda i, s: i < 3,
        lambda i, s: (i + 1, s + iterator.get_next()),
        [tf.constant(0), tf.constant(0, tf.int64)],
    )[1]
    with tf.Session(config=config()) as sess:
        sess.run(iterator.initializer)
        sess.run(total)


def while_without_get_next():
    with tf.Session(config=config()) as sess:
        report(sess.run(tf.while_loop(lambda i: i < 3, lambda i: i + 1, [tf.constant(0)])))


def global_step_not_in_its_collection():
    """As the adapter: tf.train.get_global_step does not take the handle of a resource variable."""
    variable('global_step')
    report(refused(lambda: util.IterationPerLoop().create_iteration_per_loop_var(tf.no_op())))


def once_a_loop():
    """total += cos(count), four times: with Cos on the list, and without it."""
    with open(settings.own_list()) as f:
        listed = json.load(f)
    totals = []
    for absent in (None, 'Cos'):
        folder = tempfile.mkdtemp()
        path = os.path.join(folder, settings.OPS_LIST)
        os.makedirs(os.path.dirname(path))
        with open(path, 'w') as f:
            json.dump({k: v for k, v in listed.items() if k != absent}, f)
        os.environ['ASCEND_OPP_PATH'] = folder
        with tf.Graph().as_default():
            counter = Counter()
            total = variable('sum', tf.float32)
            counter.init = tf.global_variables_initializer()
            value = tf.cos(tf.cast(counter.count.read_value(), tf.float32))
            with tf.control_dependencies([value]):
                counter.step = tf.group(total.assign_add(value), counter.count.assign_add(1))
            with tf.control_dependencies([counter.step]):
                counter.values = total.read_value()
            totals.append(run_counter(counter, 4, [4], config(4))[0])
    report(totals)


def op_behind_the_input_not_on_the_list():
    """What wants a batch cannot run on the host: the batches are in the device's queue."""
    counter = Counter()
    with npu_scope.without_npu_compile_scope():
        hosted = tf.cos(tf.cast(counter.number, tf.float32))
    with tf.control_dependencies([hosted]):
        counter.step = tf.group(counter.step)
    try:
        run_counter(counter, 2, [2], config(2))
    except tf.errors.InternalError as error:
        report(error.message)


def late_reads():
    """count + 1 in the step, and count read without an order, before and after: what is seen."""
    counter = Counter()
    unordered = counter.count + 10
    with tf.control_dependencies([counter.count + 20]):
        before = counter.count + 0  # on the way to the write
    write = counter.count.assign_add(before * 0 + 1)
    with tf.control_dependencies([write]):
        after = counter.count + 0
    counter.step = tf.group(write, unordered, counter.number)
    counter.values = [unordered, before, after, counter.count.read_value()]
    report(run_counter(counter, 3, [3], config(3))[0])
