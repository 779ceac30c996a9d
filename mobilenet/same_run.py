"""A folder holds one run: what decides its numbers stays, or is changed on purpose."""

from mobilenet import checkpoints, command, json_files, run_record
from mobilenet.checkpoints import position, room
from mobilenet.errors import UsageError
from mobilenet.hooks import Hook


class SameRun(Hook):
    """Rank 0's checks of --train_dir before anything is built; config.json and run.json after.

    fingerprint(dataset): a dict that tells one data set from another, with `class_names`.
    """

    def __init__(self, fingerprint):
        self._fingerprint = fingerprint

    def before_graph(self, run):
        if not run.is_main:
            return
        config = run.config
        room.check_writable(config.train_dir)
        for name in room.remove_leftovers(config.train_dir):
            run.logger.info('removed %s, which a killed run had half written', name)
        before = known_before(config.train_dir)
        self._record = run_record.make(before, run.world_size, self._fingerprint(run.dataset))
        run.run_id = self._record['run']
        check_names(config)
        if checkpoints.latest(config.train_dir):
            for line in check(config, before, self._record):
                run.say(line)

    def session_ready(self, run):
        if run.is_main:
            room.check_room(run.config.train_dir, run.checkpointer.bytes)
            self._write(run.config)

    def after_loop(self, run, n, values, seconds):
        if run.is_main and not run_record.is_there(run.config.train_dir):
            try:
                self._write(run.config)  # deleted, perhaps with the folder: see run_lock.py
            except OSError:
                pass  # tried again after the next loop

    def _write(self, config):
        command.write_config(config.train_dir, config)
        run_record.write(config.train_dir, self._record)


def known_before(folder):
    """run.json of the run in a folder. Where it is damaged, the run's name at least, by the
    checkpoint it goes on from: else its older checkpoints would pass for another run's, and stay.
    """
    record, latest = run_record.read(folder), checkpoints.latest(folder)
    if 'run' not in record and latest and run_record.is_there(folder):
        return dict(record, run=position.read(latest).get('run'))
    return record


def check_names(config):
    """Raises UsageError where --allow_changed names what it cannot."""
    allowed = run_record.allowed_names(config.flags)
    for name in config.allow_changed:
        if name not in allowed:
            raise UsageError(f'--allow_changed={name}: no such name; use of {", ".join(allowed)}')


def check(config, before, record):
    """Compares a run with the one in its --train_dir; gives lines that tell of allowed changes.

    before, record: run_record's of then and now. Raises UsageError where something that decides the
    numbers differs and --allow_changed does not name it.
    """
    flags = command.read_config(config.train_dir)
    lines = []
    if not flags:
        lines.append(
            f'{config.train_dir} has no config.json that can be read: going on with the flags '
            'given, whatever they were before'
        )
    for difference in run_record.differences(flags, config.flags, before, record):
        words = f'{difference.now}, but {config.train_dir} holds a run with {difference.before}'
        if not set(difference.names) & set(config.allow_changed):
            raise UsageError(
                f'{words}: use that, another --train_dir, or --allow_changed={difference.names[0]} '
                'where you mean it'
            )
        lines.append(f'{words}: changed, as --allow_changed says')
    if before.get('code_version') not in (None, record['code_version']):
        lines.append(
            f'the program is another version ({record["code_version"]}) than the one this run '
            f'began with ({before["code_version"]})'
        )
    ranks = before.get('world_size')
    if json_files.is_count(ranks) and ranks != record['world_size']:
        lines.append(f'{record["world_size"]} ranks, before {ranks}: the images go on in order')
    return lines
