"""Writing a run's checkpoints, going on from one, and keeping so many of them."""

import os
import shutil

import tensorflow as tf

from mobilenet import state
from mobilenet.checkpoints import alias, checksums, missing, names, position, room
from mobilenet.checkpoints.checksums import Damaged
from mobilenet.errors import Failure, UsageError
from mobilenet.moving_averages import EMA_SUFFIX

# What TensorFlow says of a file that is cut short, flipped or gone. Others are no fault of the
# file.
_UNREADABLE = (
    tf.errors.DataLossError,
    tf.errors.OutOfRangeError,
    tf.errors.NotFoundError,
    tf.errors.InvalidArgumentError,
    ValueError,
)


class SaveError(Failure):
    """A checkpoint could not be written; the message says why. Those of before are as they were."""


class Checkpointer:
    """Saves the run's global variables as `TRAIN_DIR/model.ckpt-STEP`, and restores them.

    A checkpoint is written beside its place, gets its checksums, and is then moved there, the index
    last: a kill at any moment leaves whole checkpoints. Checkpoints that this run did not write are
    never deleted.

    Args:
      train_dir; keep: the newest so many stay; keep_best: so many of the best by evaluation stay on
      top of those; run_id: this run's name in its checkpoints; say: takes a line for the person.
    """

    def __init__(self, train_dir, keep, keep_best=0, run_id=None, say=print):
        self._folder, self._keep, self._keep_best = train_dir, keep, keep_best
        self._run_id, self._say = run_id, say
        self._variables = {v.op.name: v for v in tf.global_variables()}
        self._trainable = {v.op.name for v in tf.trainable_variables()}
        self._prefix, self._save = _save_op(self._variables)
        self._order = []  # of this run's own, the newest last

    @property
    def bytes(self):
        """What the values of a checkpoint take."""
        return sum(v.shape.num_elements() * v.dtype.size for v in self._variables.values())

    def latest(self):
        return names.latest(self._folder)

    def restore(self, sess, may_lack):
        """Restores the checkpoint to go on from, or the one before where it is damaged; gives its
        path, None where there is none. This run's own there count among those it keeps.

        may_lack: slots and averages that the checkpoint has not may stay new (another optimizer).

        Raises UsageError: it is of another network, or every one is damaged.
        """
        found, reason = names.to_resume(self._folder)
        for path in names.torn(self._folder):
            if not found or names.step_of(path) > names.step_of(found[0]):
                self._say(f'{missing.words(path)}; going on without it')
        for number, path in enumerate(found):
            try:
                self._restore(sess, path, may_lack)
            except Damaged as error:
                self._say(f'{error}; going back to the checkpoint before')
                continue
            if reason and not number:
                self._say(f'going on from {path}: {reason}')
            self._begin_order(path)
            return path
        if found:
            raise UsageError(
                f'{self._folder}: every checkpoint there is damaged ({len(found)}, see above): put '
                'a good copy there, or give another --train_dir'
            )
        return None

    def save(self, sess, step, facts=None):
        """Writes model.ckpt-STEP; gives its path. Raises SaveError, and then nothing has changed.

        facts: what position.py has beside a checkpoint.
        """
        prefix = names.prefix_of(self._folder, step)
        folder = os.path.join(self._folder, room.SAVING)
        try:
            written = self._write(sess, folder, os.path.basename(prefix), facts)
            self._publish(written, prefix)
        except (OSError, tf.errors.OpError) as error:
            raise SaveError(f'{prefix} could not be saved: {_reason(error)}')
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._delete_old()
        return prefix

    def _restore(self, sess, path, may_lack):
        """Raises Damaged, and UsageError where it is of another network or optimizer."""
        there = check(path)
        lacking = self._compare(path, there, may_lack)
        sources = {name: name for name in self._variables if name not in lacking}
        for name in lacking:  # an average begins at its variable's value, a slot as a new one
            if name.endswith(EMA_SUFFIX):
                sources[name] = name[: -len(EMA_SUFFIX)]
        found = read(path, set(sources.values()))
        values = {name: found[source] for name, source in sources.items()}
        state.initialize(sess, [self._variables[name] for name in values], values)

    def _compare(self, path, there, may_lack):
        """Names of the variables that a checkpoint with {name: shape} `there` lacks. Raises
        UsageError.
        """
        for name, variable in sorted(self._variables.items()):
            wanted = variable.shape.as_list()
            if name in there and list(there[name]) != wanted:
                raise UsageError(
                    f'{path}: {name} has shape {list(there[name])}, the network wants {wanted}: it '
                    'is a checkpoint of another network or number of classes: give another '
                    '--train_dir'
                )
        lacking = sorted(set(self._variables) - set(there))
        needed = [name for name in lacking if self._is_essential(name)]
        if needed:
            raise UsageError(
                f'{path}: no {needed[0]}: it is a checkpoint of another network: give another '
                '--train_dir'
            )
        if lacking and not may_lack:
            flag = 'moving_average_decay' if lacking[0].endswith(EMA_SUFFIX) else 'optimizer'
            raise UsageError(
                f'{path}: no {lacking[0]}: it was saved with another --{flag}: use that, or '
                f'--allow_changed={flag} to begin it anew'
            )
        return lacking

    def _is_essential(self, name):
        """Whether a variable is more than a slot of the optimizer or an average."""
        statistic = '/moving_' in name and not name.endswith(EMA_SUFFIX)
        return name in self._trainable or statistic or name == 'global_step'

    def _begin_order(self, resumed):
        """The run's own checkpoints, in the order in which they may go: those after the resumed one
        first.
        """
        listed = names.hint(self._folder)[1]
        mine = [p for p in names.of_run(self._folder) if self._is_own(p, listed)]
        step = names.step_of(resumed)
        after = [p for p in mine if names.step_of(p) > step]
        self._order = after + [p for p in mine if names.step_of(p) <= step]

    def _is_own(self, prefix, listed):
        """Whether this run wrote it: its facts say so, or, from before there were facts, the file
        `checkpoint` in its folder.
        """
        facts = position.read(prefix)
        if 'run' in facts:
            return facts['run'] == self._run_id
        return any(names.same(prefix, p) for p in listed)

    def _write(self, sess, folder, name, facts):
        """All files of a checkpoint in a folder of their own, on the disk; gives their prefix."""
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        prefix = os.path.join(folder, name)
        with alias.folder_for_tensorflow(folder) as plain:
            sess.run(self._save, {self._prefix: f'{plain}/{name}'})
        if facts:
            position.write(prefix, dict(facts, run=self._run_id))
        checksums.write(prefix, names.files_of(prefix))
        for path in names.files_of(prefix) + [folder]:
            _sync(path)
        return prefix

    def _publish(self, written, prefix):
        """Moves a checkpoint to its place, after the file `checkpoint` has its name; see
        names.to_resume.
        """
        order = [p for p in self._order if p != prefix and names.is_whole(p)] + [prefix]
        names.write_hint(self._folder, order)
        if not _same_values(written, prefix):
            for path in names.files_of(prefix):
                os.remove(path)  # an older one of this step; its index goes first
            for path in reversed(names.files_of(written)):
                os.rename(path, prefix + path[len(written) :])
            _sync(self._folder)
        self._order = order

    def _delete_old(self):
        """Keeps the newest `keep` and the best `keep_best` of this run's own."""
        good = [(position.top1(p), names.step_of(p), p) for p in self._order]
        good = sorted(entry for entry in good if entry[0] is not None)
        best = {p for _, _, p in good[len(good) - min(self._keep_best, len(good)) :]}
        for prefix in self._order[: -self._keep]:
            if prefix in best:
                continue
            self._order.remove(prefix)
            try:
                for path in names.files_of(prefix):
                    os.remove(path)
            except OSError as error:
                self._say(f'{prefix} could not be removed: {error.strerror}')


def check(path):
    """{name: shape} of a checkpoint whose files are those that were saved. Raises Damaged."""
    checksums.verify(path)
    try:
        with alias.readable(path) as plain:
            return dict(tf.train.list_variables(plain))
    except _UNREADABLE as error:
        raise Damaged(f'{path}.index is damaged: {_reason(error)}')


def read(path, wanted):
    """{name: value} of these of a checkpoint's tensors, wherever it lies. Raises Damaged."""
    try:
        with alias.readable(path) as plain:
            reader = tf.train.load_checkpoint(plain)
            return {name: reader.get_tensor(name) for name in wanted}
    except _UNREADABLE as error:
        raise Damaged(f'{path}.data-* is damaged: {_reason(error)}')


def batches_of(path):
    """Batches that the run of a checkpoint had taken, skipped ones included."""
    counts = read(path, ['global_step', 'skipped_steps'])
    return int(sum(counts.values()))


def _save_op(variables):
    """(placeholder of the prefix, op that writes {name: variable} there): tf.train.Saver's, without
    the ops that restore, hundreds of them.
    """
    prefix = tf.placeholder(tf.string, [], 'checkpoint_prefix')
    ordered = sorted(variables)
    graph = tf.get_default_graph()
    tensors = [graph.as_graph_element(variables[name]) for name in ordered]
    return prefix, tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=ordered, shape_and_slices=[''] * len(ordered), tensors=tensors
    )


def _same_values(written, prefix):
    """Whether the checkpoint `prefix` is there, undamaged, with the values of `written`: then it is
    not touched.
    """
    try:
        old, new = checksums.read(prefix) or {}, checksums.read(written)
        values = [suffix for suffix in new if suffix.startswith(('.data-', '.index'))]
        return all(old.get(s) == new[s] for s in values) and checksums.verify(prefix)
    except Damaged:
        return False


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error):
    """The one thing an error says: an OSError's text, or what stands behind the path in
    TensorFlow's.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [''])[0].split('; ')[-1]
