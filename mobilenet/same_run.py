"""A folder holds one run: what decides its numbers stays; config.json has the flags as used."""

from mobilenet import checkpoints, command
from mobilenet.errors import UsageError
from mobilenet.hooks import Hook

DECIDING = ('model_name', 'dataset_name', 'batch_size', 'seed', 'deterministic')


class SameRun(Hook):
    """Rank 0's check before anything is built; config.json once the run has begun."""

    def before_graph(self, run):
        if run.is_main and checkpoints.latest(run.config.train_dir):
            check(run.config)

    def session_ready(self, run):
        if run.is_main:
            command.write_config(run.config.train_dir, run.config)


def check(config):
    """Raises UsageError where a flag that decides the numbers differs from the run's."""
    before = command.read_config(config.train_dir)
    for name in DECIDING:
        now = getattr(config, name)
        if name in before and before[name] != now:
            raise UsageError(
                f'--{name}={now}, but {config.train_dir} holds a run with --{name}={before[name]}: '
                'use that, or another --train_dir'
            )
