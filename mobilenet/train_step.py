"""One training step: from a batch to moved weights. The same graph on every device.

    network -> loss -> scaled gradients -> mean over ranks -> all finite? -> update, or only the
    loss scale

What a device does in its own way (sinking, overflow detection) comes in as `device`, what ranks do
together as `collectives`.
"""

import collections

import tensorflow as tf

from mobilenet import (
    dropout,
    loss_scale,
    losses,
    moving_averages,
    nets,
    optimizers,
    schedules,
    scopes,
)

# What one step computes, for those who look inside: images and labels as the network gets them;
# end_points
# (OrderedDict of layer -> activation); loss, total_loss; variables (trained) and gradients
# (unscaled, mean over ranks);
# good (whether the step updates); train_op.
Step = collections.namedtuple(
    'Step',
    [
        'images',
        'labels',
        'end_points',
        'loss',
        'total_loss',
        'variables',
        'gradients',  # means over the ranks
        'own_gradients',  # of this rank
        'loss_gradients',  # as tf.gradients gives them: scaled, without weight decay
        'good',
        'train_op',
    ],
)

# What a step's updates go by, float32 scalars: updates done so far, decay of batch norm statistics,
# learning rate, decay of the EMA (the last layer has its own, see rates_of).
Rates = collections.namedtuple('Rates', ['step', 'statistics', 'of_last_layer', 'of_others'])
Rate = collections.namedtuple('Rate', ['learning', 'ema'])


def build(images, labels, config, state, device, collectives):
    """Builds the step; variables are created by the first call in a graph and shared by the next.

    Args:
      images: float32 [batch, height, width, 3] in [-1, 1]; labels: int32 [batch].
      config: model_name, num_classes, float16 (convolutions), dropout (bool), seed,
        label_smoothing, weight_decay, momentum and the other settings of optimizers.create and
        schedules.learning_rate, dynamic_loss_scale, moving_average_decay, trainable_scopes,
        head_lr_factor, trusted_updates (that the averages count as having had), stop_on_nan.
      state: the run's counters, from state.create.

    Returns:
      Step; running its train_op runs the step.
    """
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
        overflow = device.overflow_check(collectives)
        images = overflow.begin(images)
        with device.keep_dtype():
            before = state.read()
        network = nets.build(
            config.model_name,
            images,
            config.num_classes,
            training=True,
            dropout_mask=dropout_mask(config, before, device, collectives),
            compute_dtype=tf.float16 if config.float16 else tf.float32,
            is_frozen=lambda name: not is_trained(name, config),
            gradients=device.gradients,
            block=device.block,
        )
        loss = losses.smoothed_cross_entropy(network.logits, labels, config.label_smoothing)
        total_loss = loss + losses.l2(tf.trainable_variables(), config.weight_decay)
        variables = trained_variables(config)

        of_loss = gradients_of(loss, variables, before.loss_scale)
        with device.keep_dtype():
            decays = losses.weight_decays(variables, config.weight_decay)
            local = device.multi_tensor.unscale_and_decay(
                of_loss, before.loss_scale, variables, decays
            )
            gradients = collectives.allreduce_mean(local)
            correct = losses.count_correct(network.logits, labels) / float(labels.shape[0].value)
            report = mean_over_ranks([loss, total_loss, correct], state, collectives)
            # All that reads the old weights comes before the first write: a device may read a
            # variable only when the reader runs.
            finite = overflow.all_finite(gradients, after=local + report)
            with tf.control_dependencies(report):
                finite = tf.logical_and(finite, tf.is_finite(report[0]))
            halted, good = decide(finite, report[0], before, state, config)

            rates = rates_of(before, state, config)
            update = device.where_true(
                good, lambda: apply_all(variables, gradients, network, rates, config, device)
            )
            with tf.control_dependencies([update]):
                train_op = state.advance(before, good, halted, report, config)
    of_network = (images, labels, network.end_points, loss, total_loss, variables)
    return Step(*of_network, gradients, local, of_loss, good, train_op)


def dropout_mask(config, before, device, collectives):
    """What nets.build wants: masks that are a function of the seed, the rank and the batch's
    number; None without dropout.
    """
    if not config.dropout:
        return None

    def mask(shape, keep_prob):
        with device.keep_dtype():
            return dropout.mask(shape, keep_prob, config.seed, collectives.rank, before.batches)

    return mask


def is_trained(name, config):
    """Whether --trainable_scopes has a variable."""
    chosen = config.trainable_scopes
    return not chosen or scopes.within(name, chosen, nets.scope_name(config.model_name))


def trained_variables(config):
    """The variables that are trained. Raises UsageError where a scope has none."""
    variables = tf.trainable_variables()
    names = [v.op.name for v in variables]
    scopes.check(
        'trainable_scopes', config.trainable_scopes, names, nets.scope_name(config.model_name)
    )
    return [v for v in variables if is_trained(v.op.name, config)]


def gradients_of(loss, variables, scale):
    """d (loss * scale) / d variables: the loss is scaled up on the way back.

    Without weight decay, which needs no scale: it comes from float32 weights, whatever the
    convolutions are computed in.
    """
    return tf.gradients(loss * scale, variables)


def mean_over_ranks(values, state, collectives):
    """Means of float32 scalars over the ranks; the ranks' wishes travel along."""
    if collectives.size == 1:
        return values
    told = tf.concat([tf.stack(values), state.wishes.read_value()], 0)
    mean = collectives.allreduce_sum_unfused(told) / collectives.size
    agreed = tf.raw_ops.AssignVariableOp(resource=state.agreed.handle, value=mean[len(values) :])
    with tf.control_dependencies([agreed]):
        return [tf.identity(m) for m in tf.unstack(mean[: len(values)])]


def decide(finite, loss, before, state, config):
    """(halted, good): whether the run stands still because of a NaN, whether this step updates.

    A non-finite gradient under a loss scale that can still go down is an overflow: skipped. A
    non-finite loss, or
    gradient at a scale of 1 or less, is a NaN of the model or the data. With config.stop_on_nan the
    rest of a sunk loop then
    does nothing, so that the weights are still those of the failing step when the host looks.
    """
    if not config.stop_on_nan:
        return tf.constant(False), finite
    lowest = tf.less_equal(before.loss_scale, loss_scale.SMALLEST)
    broken = tf.logical_or(
        tf.logical_not(tf.is_finite(loss)), tf.logical_and(tf.logical_not(finite), lowest)
    )
    halted = tf.logical_or(tf.greater(state.halted.read_value(), 0.0), broken)
    return halted, tf.logical_and(finite, tf.logical_not(halted))


def rates_of(before, state, config):
    """Rates of the step. Not in apply_all, where all of it would wait for them.

    The last layer's learning rate is --head_lr_factor times that of the others. After a warm start
    all averages are trusted but the last layer's, which as a rule is new.
    """
    step = tf.cast(before.global_step, tf.float32)
    scheduled_step = state.scheduled_step(before.global_step)
    learning = state.learning_rate(schedules.learning_rate(scheduled_step, config))
    trusted = step + config.trusted_updates
    ema = config.moving_average_decay
    factor = config.head_lr_factor
    return Rates(
        step,
        moving_averages.effective_decay(nets.default_batch_norm_decay(config.model_name), trusted),
        Rate(
            learning * factor if factor != 1 else learning,
            moving_averages.effective_decay(ema, step),
        ),
        Rate(learning, moving_averages.effective_decay(ema, trusted)),
    )


def apply_all(variables, gradients, network, rates, config, device):
    """Weights and slots, then batch norm statistics, then EMA; gives the op after all of them."""
    optimizer = optimizers.create(config, device.multi_tensor)
    with tf.name_scope('update'):
        slots = optimizers.create_slots(optimizer, variables)
        updates = []
        for rate, *columns in by_rate(rates, variables, slots, gradients):
            updates += optimizer.update(*columns, rate.learning, rates.step)
        statistics = [average for average, _ in network.batch_norm_statistics]
        values = [value for _, value in network.batch_norm_statistics]
        updates += device.multi_tensor.move(statistics, values, rates.statistics)
    # Through one op: else each of the EMA's hundreds of ops would wait for each of hundreds of
    # updates.
    with tf.control_dependencies([tf.group(*updates)]):
        return update_ema(network.variables, variables + statistics, rates, config, device)


def by_rate(rates, variables, *columns):
    """Lists [rate, variables, *columns]: of the last layer's variables, and of the others."""
    for rate, wanted in ((rates.of_last_layer, True), (rates.of_others, False)):
        chosen = [i for i, v in enumerate(variables) if nets.is_last_layer(v.op.name) == wanted]
        yield [rate] + [[column[i] for i in chosen] for column in (variables, *columns)]


def update_ema(variables, moving, rates, config, device):
    """The averages of `variables`; those of variables that are not `moving` stay what they are."""
    if not config.moving_average_decay:
        return tf.no_op()
    averages = moving_averages.create_ema(variables)
    names = {v.op.name for v in moving}
    moving = [v for v in variables if v.op.name in names]
    averages = [a for a, v in zip(averages, variables) if v.op.name in names]
    with tf.name_scope('ema'):
        moved = []
        for rate, towards, chosen in by_rate(rates, moving, averages):
            moved += device.multi_tensor.move(chosen, towards, rate.ema)
    return tf.group(*moved)
