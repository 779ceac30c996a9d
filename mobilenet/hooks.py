"""The one interface by which things attach to a TrainingRun: what watches, saves, stops, looks or
reports.
"""


class Hook:
    """Does nothing; a hook overrides what it needs. `run` is the TrainingRun.

    Hooks are called in the order of the run's list, and `end` in the reverse one. What the ranks do
    together has to be
    done alike by all of them: the list is the same on every rank.
    """

    def before_graph(self, run):
        """Before anything is built: data set, pipeline, device and collectives are there. May raise
        UsageError.
        """

    def session_open(self, run):
        """The session is open, no variable is initialised: ranks can `gather` already."""

    def session_ready(self, run):
        """Variables are initialised, restored and broadcast, the position is known."""

    def before_loop(self, run, n):
        """Gives how many of the next n steps go into the coming loop, alike on all ranks. n is 0 at
        the run's end.
        """
        return n

    def around_loop(self, run, n, proceed):
        """Runs the loop by `proceed(n)` and gives its values. The first hook of the list is the
        outermost.
        """
        return proceed(n)

    def after_loop(self, run, n, values, seconds):
        """n steps have run: run.batch, run.step and run.halted are those after them."""

    def end(self, run, error):
        """Always, once `before_graph` has been called; the session may not be open yet. error: what
        ended the run, or None.

        What it raises ends the run as well, after the other hooks have been called.
        """
