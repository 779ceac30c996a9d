"""The counters of a run that live on the device, and the sums of a loop.

In checkpoints: global_step, skipped_steps, loss_scale, good_steps. Local: what a sunk loop reports.
"""

import collections

import tensorflow as tf

from mobilenet import loss_scale

WISHES = ('stop', 'save')  # what a rank may wish of all, after the loop that runs

# `rate_override` where the schedule's rate holds. Not NaN, which is 0 on a saturating NPU.
SCHEDULED = -1.0

# Values at the start of a step. batches: batches taken so far, skipped ones included (int64).
Before = collections.namedtuple(
    'Before', ['global_step', 'skipped_steps', 'good_steps', 'loss_scale', 'batches']
)


def scalar(name, dtype, initial, saved=True):
    """A scalar resource variable; in checkpoints if `saved`."""
    collection = tf.GraphKeys.GLOBAL_VARIABLES if saved else tf.GraphKeys.LOCAL_VARIABLES
    return tf.get_variable(
        name,
        [],
        dtype,
        tf.constant_initializer(initial),
        trainable=False,
        use_resource=True,
        collections=[collection],
    )


def local_vector(name, length):
    """A float32 vector of zeros, not in checkpoints."""
    return tf.get_variable(
        name,
        [length],
        tf.float32,
        tf.zeros_initializer(),
        trainable=False,
        use_resource=True,
        collections=[tf.GraphKeys.LOCAL_VARIABLES],
    )


def add(variable, value):
    return tf.raw_ops.AssignAddVariableOp(resource=variable.handle, value=value)


def assign(variable, value):
    return tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def initialize(sess, variables, values):
    """Sets variables to {name: array} through their initializers: a finalized graph stays so."""
    feeds = {v.initializer.inputs[1]: values[v.op.name] for v in variables}
    sess.run([v.initializer for v in variables], feeds)


def create(initial_loss_scale, world_size, rate_override=False):
    """Creates the variables in the default graph. rate_override: also one that can take the place
    of the learning rate.
    """
    global_step = tf.get_variable(
        'global_step',
        [],
        tf.int64,
        tf.zeros_initializer(),
        trainable=False,
        use_resource=True,
        collections=[tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.GLOBAL_STEP],
    )
    return State(
        global_step,
        scalar('skipped_steps', tf.int64, 0),
        scalar('good_steps', tf.int64, 0),
        scalar('loss_scale', tf.float32, initial_loss_scale),
        world_size,
        rate_override,
    )


class State:
    """The variables; `read` at the start of a step, `advance` at its end, `begin_loop` from the
    host before a loop.
    """

    def __init__(
        self, global_step, skipped_steps, good_steps, scale, world_size, rate_override=False
    ):
        self.global_step, self.skipped_steps, self.good_steps, self.loss_scale = (
            global_step,
            skipped_steps,
            good_steps,
            scale,
        )
        with tf.variable_scope('loop'):
            self.loss_sum, self.total_loss_sum, self.correct_sum, self.good_sum, self.halted = [
                scalar(name, tf.float32, 0.0, saved=False)
                for name in ('loss_sum', 'total_loss_sum', 'correct_sum', 'good_sum', 'halted')
            ]
            if world_size > 1:
                self.wishes, self.agreed = [
                    local_vector(name, len(WISHES)) for name in ('wishes', 'agreed')
                ]
            self.rate_override = (
                scalar('rate_override', tf.float32, SCHEDULED, saved=False)
                if rate_override
                else None
            )
        # Steps that the schedule is ahead of global_step: after a change of the number of ranks.
        with tf.variable_scope('loop'):
            self.schedule_shift = scalar('schedule_shift', tf.float32, 0.0, saved=False)
        self.world_size = world_size
        self._wished = tf.placeholder(tf.float32, [len(WISHES)], 'wishes_value')
        with tf.control_dependencies(None):
            begin = [
                assign(v, 0.0)
                for v in (self.loss_sum, self.total_loss_sum, self.correct_sum, self.good_sum)
            ]
            if world_size > 1:
                begin.append(assign(self.wishes, self._wished))
            self._begin = tf.group(*begin)

    @property
    def counters(self):
        """The int64 variables, alike on all ranks."""
        return [self.global_step, self.skipped_steps, self.good_steps]

    def begin_loop(self, sess, wishes=()):
        """Zeroes the loop's sums; with several ranks, tells what this one wishes, of WISHES."""
        wished = [float(name in wishes) for name in WISHES]
        sess.run(self._begin, {self._wished: wished} if self.world_size > 1 else None)

    def agreed_wishes(self, values):
        """The set of those wishes that a rank had when the loop with these `values` began."""
        return {name for name, share in zip(WISHES, values['agreed']) if share > 0}

    def read(self):
        step, skipped, good, scale = [
            v.read_value()
            for v in (self.global_step, self.skipped_steps, self.good_steps, self.loss_scale)
        ]
        return Before(step, skipped, good, scale, step + skipped)

    def scheduled_step(self, step):
        """The schedule's step, float32, for global_step."""
        return tf.cast(step, tf.float32) + self.schedule_shift.read_value()

    def learning_rate(self, scheduled):
        """The learning rate: the schedule's, or what `rate_override` holds."""
        if self.rate_override is None:
            return scheduled
        rate = self.rate_override.read_value()
        return tf.where(tf.less(rate, 0.0), scheduled, rate)

    def advance(self, before, good, halted, report, config):
        """Counts the step; gives the op. report: loss, total_loss, share of right answers (float32
        scalars).
        """
        alive = tf.logical_not(halted)
        skipped = tf.logical_and(alive, tf.logical_not(good))
        scale, good_steps = loss_scale.next_scale(
            before.loss_scale, before.good_steps, good, config.dynamic_loss_scale
        )
        counted = [tf.where(good, value, tf.zeros_like(value)) for value in report]
        added = [
            (self.global_step, tf.cast(good, tf.int64)),
            (self.skipped_steps, tf.cast(skipped, tf.int64)),
            (self.good_sum, tf.cast(good, tf.float32)),
        ] + list(zip((self.loss_sum, self.total_loss_sum, self.correct_sum), counted))
        assigned = [
            (self.loss_scale, tf.where(alive, scale, before.loss_scale)),
            (self.good_steps, tf.where(alive, good_steps, before.good_steps)),
        ]
        if config.stop_on_nan:
            assigned.append((self.halted, tf.cast(halted, tf.float32)))
        # The first write waits for the last value: see train_step.
        with tf.control_dependencies([tf.group(*[value for _, value in added + assigned])]):
            return tf.group(*[add(*pair) for pair in added], *[assign(*pair) for pair in assigned])

    def values(self):
        """What a loop reports, read now: a dict of scalars."""
        names = [
            'global_step',
            'skipped_steps',
            'loss_scale',
            'loss_sum',
            'total_loss_sum',
            'correct_sum',
            'good_sum',
            'halted',
        ]
        if self.world_size > 1:
            names.append('agreed')
        return {name: getattr(self, name).read_value() for name in names}
