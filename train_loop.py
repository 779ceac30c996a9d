#!/usr/bin/env python3
"""Trains a MobileNet: a hand-written graph and a plain tf.Session loop, on Ascend NPUs or on a host
CPU.

    python train_loop.py --dataset_name digits --image_size 32 --batch_size 64 --max_epoch 10
    python train_loop.py --rank_table hccl_8p.json --dataset_dir /data/imagenet

Read `train` top to bottom: it is the whole run. What attaches to it is listed in `make_hooks`.
"""

import os
import sys
import time

import data
from hccl import heartbeat, launcher, rank_table
from mobilenet import command, configuration, devices, flags
from mobilenet.errors import UsageError


def parse(argv):
    """The Config of a training; what can be checked without TensorFlow is checked here."""
    groups = flags.training(data.DATASET_NAMES, data.PREPROCESSING_NAMES, data.AUGMENTATIONS)
    return configuration.resolve(
        'train_loop.py', 'Train a MobileNet with a plain tf.Session loop.', groups, argv
    )


def train(config, rank, world_size, addresses):
    """One rank's training, from the flags to the last checkpoint. Gives the exit status."""
    dataset = data.open_split(config, 'train')
    config = configuration.for_training(config, dataset, world_size)
    command.make_folder(config.train_dir, '--train_dir')
    devices.import_tensorflow(config)
    from hccl import collectives
    from mobilenet import fine_tuning
    from mobilenet.run import TrainingRun

    config = fine_tuning.with_label_offset(config)
    run = TrainingRun(
        config,
        dataset,
        make_pipeline(config, dataset, rank, world_size),
        devices.create(config, addresses, rank),
        collectives.create(config.device, rank, world_size, addresses),
        make_hooks(config),
    )
    with run.open() as sess:  # the graph is built, its variables initialised or restored
        while True:
            n = (
                run.next_loop()
            )  # steps: --iterations_per_loop, less where a hook asks for it, 0 at the end
            if n == 0:
                break
            started = time.monotonic()
            values = run.around_loop(n, lambda n: run.graph.loop.run(sess, n))
            run.advance(n, values, time.monotonic() - started)
    return 0


def make_pipeline(config, dataset, rank, world_size):
    """This rank's batches."""
    return data.TrainPipeline(
        dataset,
        config.batch_size,
        config.image_size,
        config.preprocessing_name,
        seed=config.seed,
        rank=rank,
        world_size=world_size,
        num_threads=config.data_threads,
        normalize_on=config.normalize_on,
        on_bad_record=config.on_bad_record,
        augment=not config.deterministic,
        augmentation=config.augment,
    )


def open_validation(config):
    """The validation split and a pipeline of every image of it once, for --eval_every_epochs."""
    dataset = data.open_split(config, 'validation')
    return dataset, data.EvalPipeline.of(config, dataset, min(config.batch_size, 64))


def make_hooks(config):
    """What is attached to the run, from the outside in; at the end they are called the other way
    round.
    """
    from data import contact_sheet, peek
    from mobilenet import (
        agreement,
        digest,
        evaluating,
        input_errors,
        metrics,
        nan_stop,
        run_lock,
        same_run,
        saving,
        step_timeout,
        summary_images,
    )

    hooks = [
        step_timeout.StepTimeout(config.step_timeout, heartbeat.of_this_rank(os.environ)),
        run_lock.RunLock(),
        same_run.SameRun(data.fingerprint),
        agreement.Agreement(data.fingerprint),
        metrics.Metrics(),
        input_errors.InputErrors(),
        digest.WeightsDigest(),
        saving.Saving(),
        evaluating.Evaluating(open_validation),
        nan_stop.NanStop(peek.raw_batches, contact_sheet.write),
    ]
    if config.inspects:
        from mobilenet.debug import plugin

        hooks.append(plugin.Debug(peek))
    return hooks + [summary_images.SummaryImages(peek.read_batch)]


def run_rank(config):
    """Trains as the one rank, or as the rank that the environment says."""
    if not launcher.is_rank(os.environ):
        launcher.check_alone(os.environ)
        return train(config, 0, 1, None)
    heartbeat.begin(os.environ)
    rank, world_size, addresses = launcher.rank_of(os.environ)
    needs_table = devices.rules(config.device).NEEDS_RANK_TABLE
    rank_table.check_environment(
        os.environ, config.rank_table, needs_table, config.rank_table_timeout
    )
    if config.step and world_size > 1:
        raise UsageError(f'--step is for one device, and RANK_SIZE is {world_size}')
    if world_size > 1 and devices.rules(config.device).NEEDS_ADDRESSES and not addresses:
        raise UsageError(
            f'RANK_ID={rank} of {world_size}, but MOBILENET_RANK_ADDRESSES is not set: the '
            'host:port of every rank in order, with commas; --rank_table without RANK_ID sets '
            'all of them'
        )
    return train(config, rank, world_size, addresses)


def main(argv):
    """Trains here, or starts the ranks of --rank_table, which come here with RANK_ID set."""
    config = parse(argv)
    if config.rank_table and not launcher.is_rank(os.environ):
        command.make_folder(config.train_dir, '--train_dir')
        table = rank_table.load(config.rank_table, config.rank_table_timeout)
        for line in rank_table.notes(table) + launcher.idle_flags(config, table):
            print(line, file=sys.stderr)
        return launcher.launch(
            config.rank_table,
            [os.path.abspath(__file__)] + argv,
            server_id=config.server_id,
            bind_cores=config.bind_cores,
            log_dir=config.train_dir,
            base_port=config.base_port,
            max_restarts=config.max_restarts,
            step_timeout=None if config.step_timeout == 'auto' else config.step_timeout,
        )
    return run_rank(config)


if __name__ == '__main__':
    command.leave(command.status_of('train_loop.py', lambda: main(sys.argv[1:])))
