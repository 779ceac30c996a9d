"""What --step, --dump_steps, --profile_steps and the summaries put around the loop of train_loop.py."""

from tensorflow.core.protobuf import config_pb2


class Debugger:
    """Decides how long the next loop is, runs it, and hands what was fetched to those who look.

    inspection: runs the loops; observers: see observers.py; stepper: a Stepper, or None.
    """

    def __init__(self, inspection, observers, stepper=None):
        self._inspection, self._observers, self._stepper = inspection, observers, stepper

    def stop(self, batch, halted, entry, stop_signal):
        """With a stepper: takes commands where it is its turn. Gives (batch, halted, whether to quit)."""
        if self._stepper is None:
            return batch, halted, False
        return self._stepper.stop(batch, halted, entry, stop_signal)

    def loop_length(self, batch, n):
        """How many of the n steps that could be next run in one loop."""
        if self._stepper:
            n = self._stepper.loop_length(n)
        if self._at(batch):
            return 1
        return next((m for m in range(1, n) if self._at(batch + m)), n)

    def _at(self, batch):
        return [o for o in self._observers if o.looks_at(batch)]

    def run(self, sess, batch, n):
        """Runs n steps; gives the loop's values."""
        observers = self._at(batch)
        options = next((o.options for o in observers if o.options), None)
        metadata = config_pb2.RunMetadata() if options else None
        before = (
            sess.run({i.name: i.source for o in observers for i in o.variables})
            if observers
            else {}
        )
        items = [i for o in observers for i in o.items] + (
            self._stepper.items() if self._stepper else []
        )
        values = self._inspection.run(batch, n, items, options, metadata)
        arrays = dict(self._inspection.arrays, **before)
        for observer in observers:
            observer.see(batch, arrays, metadata)
        return values
