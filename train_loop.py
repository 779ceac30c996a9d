#!/usr/bin/env python3
"""Trains a MobileNet: a hand-written graph and a plain tf.Session loop, on Ascend NPUs or on a host CPU.

    python train_loop.py --dataset_name digits --image_size 32 --batch_size 64 --max_epoch 10
    python train_loop.py --rank_table hccl_8p.json --dataset_dir /data/imagenet

Read `train` top to bottom: it is the whole run.
"""

import os
import sys
import time

import data
from hccl import launcher
from mobilenet import command, devices, flags, hyperparameters
from mobilenet.devices import npu_options
from mobilenet.errors import UsageError
from mobilenet.stop_signal import StopSignal


def parse(argv):
    """Flags of a training; every value that can be checked without TensorFlow is checked here."""
    parser = flags.Parser(
        prog='train_loop.py',
        allow_abbrev=False,
        description='Train a MobileNet with a plain tf.Session loop.',
    )
    flags.add_model_flags(parser)
    flags.add_data_flags(parser, data.DATASET_NAMES, data.PREPROCESSING_NAMES)
    parser.add_argument(
        '--batch_size', type=flags.count(), default=256, help='images a device, default 256'
    )
    flags.add_schedule_flags(parser)
    flags.add_optimizer_flags(parser)
    flags.add_run_flags(parser)
    flags.add_debug_flags(parser)
    flags.add_fine_tuning_flags(parser)
    flags.add_rank_flags(flags.add_device_flags(parser))
    npu_options.add_flags(parser)
    args = parser.parse_args(argv)
    flags.check_training(args)
    command.resolve_device(args)
    flags.check_debugging(args)
    args.iterations_per_loop = args.iterations_per_loop or devices.ITERATIONS_PER_LOOP[args.device]
    return args


def train(args, rank, world_size, addresses):
    """One rank's training, from the flags to the last checkpoint. Gives the exit status."""
    stop = StopSignal()
    dataset = data.open_dataset(args.dataset_name, args.dataset_dir, 'train', args.on_bad_record)
    hp = hyperparameters.from_flags(args, dataset, world_size, args.device)
    command.make_folder(args.train_dir, '--train_dir')
    tf = devices.import_tensorflow()
    from data import peek
    from mobilenet import checkpoints, ranks, run_files, train_step, training_graph

    if rank == 0 and checkpoints.latest(args.train_dir):
        check_same_run(args)
    pipeline = data.TrainPipeline(
        dataset,
        args.batch_size,
        args.image_size,
        args.preprocessing_name,
        seed=args.seed,
        rank=rank,
        world_size=world_size,
        num_threads=args.data_threads,
        normalize_on=args.normalize_on,
        on_bad_record=args.on_bad_record,
        augment=not args.deterministic,
    )
    logger = run_files.log_to(
        os.path.join(args.train_dir, 'train.log' if rank == 0 else f'train_rank_{rank}.log')
    )
    debugging = open_debugging(args, rank, world_size)
    device = devices.create(args, addresses, rank)
    collectives = make_collectives(args, rank, world_size, addresses)

    with tf.Graph().as_default():
        graph = build_graph(hp, pipeline, device, collectives, to_inspect=bool(debugging))
        state, loop = graph.state, graph.loop
        broadcast = ranks.Broadcast(tf.global_variables(), state.counters, collectives)
        checkpointer = checkpoints.Checkpointer(args.train_dir, args.keep_checkpoints)
        warm_start = fine_tuning_start(args, hp, checkpointer)
        initialize = [tf.global_variables_initializer(), tf.local_variables_initializer()]
        start_ema = train_step.ema_from_variables()
        config = device.session_config(min(args.iterations_per_loop, hp.total_steps), world_size)
        tf.get_default_graph().finalize()

        with tf.Session(device.target, config=config) as sess:
            device.initialize(sess)
            sess.run(initialize)
            if args.deterministic:
                graph.write(sess, training_graph.initial_values(initialize, tf.global_variables()))
            if warm_start:
                warm_start(sess)
            sess.run(start_ema)
            resumed = checkpointer.restore(sess) if rank == 0 else None
            broadcast.run(sess)
            step, skipped = sess.run([state.global_step, state.skipped_steps])
            batches = int(step + skipped)
            graph.seek(sess, batches)

            if rank == 0:
                command.write_config(args.train_dir, args)
                if args.deterministic and not resumed:
                    checkpointer.save(sess, 0)
            reporter = run_files.Reporter(
                args.train_dir,
                rank,
                logger,
                hp.total_steps,
                args.log_every_steps,
                batches,
                quiet=args.step,
            )
            reporter.say(
                '{} on {}, {} images, {:g} steps an epoch, {} steps, batch {} x {}, from {}'.format(
                    args.model_name,
                    args.device,
                    dataset.num_examples,
                    hp.steps_per_epoch,
                    hp.total_steps,
                    args.batch_size,
                    world_size,
                    resumed or args.checkpoint_path or 'new weights',
                )
            )
            debugger = debugging and debugging.attach(
                sess,
                graph,
                reporter,
                total_steps=hp.total_steps,
                longest_loop=min(args.iterations_per_loop, hp.total_steps),
                draw_batch=lambda batch, path: peek.draw(pipeline, batch, path),
                save=lambda: checkpointer.save(sess, int(sess.run(state.global_step))),
                entry=lambda values, batch: metrics_line(values, batch, 1, hp, world_size, 1.0),
            )
            saved_at, halted, quitting, line = batches, False, False, None

            while not stop.agreed:
                if debugger:
                    batches, halted, quitting = debugger.stop(batches, halted, line, stop)
                if quitting or halted or batches >= hp.total_steps:
                    break
                n = min(args.iterations_per_loop, hp.total_steps - batches)
                if debugger:
                    n = debugger.loop_length(batches, n)
                show_images(args, pipeline, reporter, batches, n)
                state.begin_loop(sess, stop.wished)
                started = time.time()
                try:
                    values = debugger.run(sess, batches, n) if debugger else loop.run(sess, n)
                except tf.errors.OpError as error:
                    if (
                        rank == 0
                    ):  # the loop's whole steps are done, the failing one has changed nothing
                        checkpointer.save(sess, int(sess.run(state.global_step)))
                    raise explain(error, pipeline, batches, n)
                batches = int(values['global_step'] + values['skipped_steps'])
                halted = values['halted'] > 0
                line = metrics_line(values, batches, n, hp, world_size, time.time() - started)
                reporter.loop(line, batches)
                stop.agree(values)
                done = batches >= hp.total_steps or stop.agreed or halted
                if rank == 0 and (done or batches - saved_at >= args.save_every_steps):
                    checkpointer.save(sess, int(values['global_step']))
                    saved_at = batches

            nan = None
            if halted and not quitting:
                nan, mine = look_at_nan(args, hp, pipeline, device, graph, sess, batches)
                if world_size > 1:
                    loop.run(
                        sess, 1
                    )  # changes nothing in a halted run; waits for all ranks to have looked
                    time.sleep(
                        0 if mine else 5
                    )  # the launcher reports the first rank that fails: the one with the NaN
            if world_size > 1:
                reporter.say(
                    f'weights sha256 {run_files.digest(sess.run(common_to_all_ranks(tf)))}'
                )
            device.shutdown(sess)

    reporter.close()
    if nan:
        raise FloatingPointError(nan)
    if batches < hp.total_steps:
        reporter.say(
            'stopped after {} of {} steps{}'.format(
                batches,
                hp.total_steps,
                '' if quitting else ' and saved; the same command goes on from there',
            )
        )
    else:
        reporter.say(
            f'done: {batches} steps, weights in {checkpointer.latest()}' if rank == 0 else 'done'
        )
    for place, reason in pipeline.bad_records.items():
        reporter.say(f'skipped {place}: {reason}')
    return 0


def build_graph(hp, pipeline, device, collectives, to_inspect):
    """Input, step and loop in the default graph. to_inspect: for the debugger, which fetches tensors of the step."""
    import tensorflow as tf

    from data import preprocess
    from mobilenet import schedules, train_step
    from mobilenet import state as run_state
    from mobilenet.training_graph import TrainingGraph

    tf.set_random_seed(hp.seed)
    start_batch = tf.placeholder(tf.int64, [], 'start_batch')
    iterator = tf.data.make_initializable_iterator(pipeline.dataset(start_batch))
    state = run_state.create(hp.initial_loss_scale, collectives.size, rate_override=hp.step)
    steps = []

    def build_step():
        images, labels = iterator.get_next()
        steps.append(
            train_step.build(preprocess.normalize(images), labels, hp, state, device, collectives)
        )
        return steps[-1].train_op

    def read_values():
        values = state.values()
        last_step = tf.cast(tf.maximum(values['global_step'] - 1, 0), tf.float32)
        values['learning_rate'] = state.learning_rate(schedules.learning_rate(last_step, hp))
        return values

    loop = device.sink(build_step, read_values, to_inspect)
    return TrainingGraph(
        state,
        loop,
        steps[0] if to_inspect or device.fetchable_step else None,
        iterator,
        start_batch,
    )


def open_debugging(args, rank, world_size):
    """What the debugging flags ask for, or None. Importing it is left out where nothing is."""
    if not (
        args.step
        or args.dump_steps
        or args.profile_steps
        or args.norms_every_steps
        or args.histograms_every_steps
    ):
        return None
    from mobilenet.debug import debugging

    return debugging.Debugging(args, rank, world_size)


def look_at_nan(args, hp, pipeline, device, graph, sess, batch):
    """Runs the step that was not finite once more, to be looked at; gives (the line that tells of it, whether it was this rank)."""
    import tensorflow as tf

    from data import contact_sheet
    from hccl import collectives
    from mobilenet.debug import post_mortem

    if graph.step:
        return post_mortem.look(args, pipeline, graph, sess, batch, contact_sheet.write)
    values = graph.read(sess)
    with (
        tf.Graph().as_default()
    ):  # on a host the step is inside the loop, where nothing can be fetched
        again = build_graph(hp, pipeline, device, collectives.SingleRank(), to_inspect=True)
        with tf.Session(config=tf.ConfigProto(allow_soft_placement=True)) as other:
            other.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
            again.write(other, values)
            return post_mortem.look(args, pipeline, again, other, batch, contact_sheet.write)


def common_to_all_ranks(tf):
    """{name: variable}: weights, their slots and averages, counters. Batch norm statistics are each rank's own."""
    return {v.op.name: v for v in tf.global_variables() if '/moving_' not in v.op.name}


def make_collectives(args, rank, world_size, addresses):
    """What this rank does together with the others, by the device's engine."""
    from hccl import collectives

    if world_size == 1:
        return collectives.SingleRank()
    if args.device == 'npu':
        return collectives.HcclCollectives(rank, world_size)
    return collectives.HostCollectives(rank, addresses)


def fine_tuning_start(args, hp, checkpointer):
    """A function that loads --checkpoint_path, or None: not given, or this run has checkpoints of its own."""
    from mobilenet import checkpoints

    if not args.checkpoint_path:
        return None
    path = checkpoints.resolve(args.checkpoint_path)
    if checkpointer.latest():
        return None
    saver = checkpoints.warm_start(
        path, args.model_name, hp.checkpoint_exclude_scopes, args.ignore_missing_vars
    )
    return lambda sess: saver.restore(sess, path)


def check_same_run(args):
    """A resumed run keeps what decides its numbers. Raises UsageError."""
    before = command.read_config(args.train_dir)
    for name in ('model_name', 'dataset_name', 'batch_size', 'seed', 'deterministic'):
        if name in before and before[name] != getattr(args, name):
            raise UsageError(
                f'--{name}={getattr(args, name)}, but {args.train_dir} holds a run with --{name}={before[name]}: use that, or another --train_dir'
            )


def metrics_line(values, batches, n, hp, world_size, seconds):
    """A line of metrics.jsonl: means over the loop's good steps (None in the file where there was none)."""
    good = float(values['good_sum'])
    mean = (lambda total: float(total) / good) if good else (lambda total: float('nan'))
    return {
        'step': int(values['global_step']),
        'epoch': batches / hp.steps_per_epoch,
        'loss': mean(values['loss_sum']),
        'total_loss': mean(values['total_loss_sum']),
        'accuracy': mean(values['right_sum']),
        'learning_rate': float(values['learning_rate']),
        'loss_scale': float(values['loss_scale']),
        'skipped_steps': int(values['skipped_steps']),
        'images_per_sec': n * hp.batch_size * world_size / seconds,
        'time': time.time(),
    }


def show_images(args, pipeline, reporter, batches, n):
    """--summary_images_at_step: writes the batch of that step, if it is in the coming loop."""
    step = args.summary_images_at_step
    if reporter.main and step is not None and batches <= step < batches + n:
        from data import peek

        images, labels = peek.read_batch(pipeline, step)
        reporter.images(step, images[:16], labels[:16])


def explain(error, pipeline, batches, n):
    """A session's error as what the person can act on: the record that cannot be read, or the error itself."""
    bad = pipeline.find_bad_record(batches, n + 2)  # the pipeline reads ahead
    if bad:
        return UsageError(
            '{}: {} (--on_bad_record=skip goes on without it; scripts/check_dataset.py finds all)'.format(
                *bad
            )
        )
    return error


def run_rank(args):
    """Trains as the one rank, or as the rank that the environment says."""
    if not launcher.is_rank(os.environ):
        return train(args, 0, 1, None)
    rank, world_size, addresses = launcher.rank_of(os.environ)
    if args.step and world_size > 1:
        raise UsageError(f'--step is for one device, and RANK_SIZE is {world_size}')
    if args.device == 'host' and world_size > 1 and not addresses:
        raise UsageError(
            f'RANK_ID={rank} of {world_size}, but MOBILENET_RANK_ADDRESSES is not set: the host:port of every rank in order, '
            'with commas; --rank_table without RANK_ID sets all of them'
        )
    return train(args, rank, world_size, addresses)


def run(argv):
    """Trains here, or starts the ranks of --rank_table, which come here with RANK_ID set."""
    args = parse(argv)
    if args.rank_table and not launcher.is_rank(os.environ):
        command.make_folder(args.train_dir, '--train_dir')
        return launcher.launch(
            args.rank_table,
            [os.path.abspath(__file__)] + argv,
            server_id=args.server_id,
            bind_cores=args.bind_cores,
            log_dir=args.train_dir,
            base_port=args.base_port,
        )
    return run_rank(args)


if __name__ == '__main__':
    command.leave(command.status_of('train_loop.py', lambda: run(sys.argv[1:])))
