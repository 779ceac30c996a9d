"""A pool of processes that report while they work, and that never outlives or outwaits anyone.

Not `multiprocessing.Pool`, which waits for ever when a worker is killed (out of memory, a crash in
a decoder), nor `ProcessPoolExecutor`, which cannot stop work under way and whose workers stay when
the parent is killed. Each worker here holds one end of a pipe of its own: the end of either side is
the end of the pipe, and is noticed.

Workers are spawned, not forked: they may import TensorFlow whatever the parent has running.
"""

import collections
import multiprocessing
import multiprocessing.connection
import signal

Report = collections.namedtuple('Report', 'task value')
Finished = collections.namedtuple('Finished', 'task')
Died = collections.namedtuple('Died', 'task exit_code last')
"""A worker ended by itself within `task`; `last` is the value it reported last (None: none)."""


def run(function, tasks, num_processes):
    """Calls `function(task)`, a generator at a module's top level, for each task over processes.

    Yields a Report for each value the function yields, and Finished or Died once a task; tasks of
    different processes interleave. Where the function raises, so does this, and everything is
    ended. A worker that died is replaced.
    """
    context = multiprocessing.get_context('spawn')
    waiting = collections.deque(tasks)
    workers = {}
    try:
        while waiting or workers:
            while waiting and len(workers) < num_processes:
                worker = _Worker(context, function)
                worker.start(waiting.popleft())
                workers[worker.connection] = worker
            for connection in multiprocessing.connection.wait(list(workers)):
                worker = workers[connection]
                try:
                    kind, value = connection.recv()
                except (EOFError, OSError):
                    del workers[connection]
                    worker.process.join()
                    yield Died(worker.task, worker.process.exitcode, worker.last)
                    continue
                if kind == 'error':
                    raise value
                if kind == 'report':
                    worker.last = value
                    yield Report(worker.task, value)
                    continue
                yield Finished(worker.task)
                if waiting:
                    worker.start(waiting.popleft())
                else:
                    del workers[connection]
                    worker.stop()
    finally:
        for worker in workers.values():
            worker.process.terminate()
        for worker in workers.values():
            worker.stop()


class _Worker:
    def __init__(self, context, function):
        self.connection, far_end = context.Pipe()
        self.process = context.Process(target=_work, args=(far_end, function), daemon=True)
        self.process.start()
        far_end.close()
        self.task = self.last = None

    def start(self, task):
        self.task, self.last = task, None
        try:
            self.connection.send((task,))
        except OSError:
            pass  # it died; the read that follows says so

    def stop(self):
        self.connection.close()
        self.process.join()


def _work(connection, function):
    # Ctrl-C goes to the whole group; the parent ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            (task,) = connection.recv()
            try:
                for value in function(task):
                    connection.send(('report', value))
            except (BrokenPipeError, EOFError):
                raise
            except Exception as error:
                connection.send(('error', error))
                return
            connection.send(('finished', None))
    except (BrokenPipeError, EOFError, ConnectionResetError):
        pass  # the parent is done, or gone
