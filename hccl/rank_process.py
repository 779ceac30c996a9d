"""One rank as a process: started in a session of its own, ended with all it started.

Linux only (prctl, process groups), as is TensorFlow with an Ascend device.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time

from hccl import failure, heartbeat

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_ERROR_LINE = re.compile(r'([\w.]*(Error|Exception|Interrupt|Exit)\b.*)|(Fatal .*)|([Ee]rror: .*)')
_LOG_FATAL = re.compile(r'[-\d:. ]+F \S+\.(cc|cpp|h):\d+\] ')  # what a C++ LOG(FATAL) leaves


class Guard:
    """Kills the process groups of the ranks should this process be killed; see hccl/guard.py."""

    def __init__(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'guard.py')
        self._process = subprocess.Popen(
            [sys.executable, '-I', '-S', script],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd='/',
            start_new_session=True,
        )

    def add(self, process):
        self._tell(str(process.pid))

    def close(self):
        self._tell('done')
        try:
            self._process.stdin.close()
        except OSError:
            pass
        self._process.wait()

    def _tell(self, line):
        try:
            self._process.stdin.write(line.encode() + b'\n')
            self._process.stdin.flush()
        except OSError:
            pass  # somebody ended the guard; the ranks run without it


class RankProcess:
    """A running rank. `status` is None while it runs, then its exit status, or minus its signal."""

    def __init__(self, rank, command, env, cores, output_path):
        """output_path: file at whose end stdout and stderr go, or None to leave them (and stdin)
        as they are. env has MOBILENET_ERROR_FILE and MOBILENET_HEARTBEAT_FILE."""
        self.rank, self.output_path = rank, output_path
        self.status = self._ended_at = None
        self._error_path = env['MOBILENET_ERROR_FILE']
        self._beat_path = env['MOBILENET_HEARTBEAT_FILE']
        self._told_at = float('inf')  # time when it was told to end
        launcher = os.getpid()

        def prepare():
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != launcher:  # the launcher died before the line above
                os._exit(1)
            if cores is not None:
                os.sched_setaffinity(0, cores)

        streams = {}
        if output_path is not None:
            output = open(output_path, 'ab')
            self._output_begins = output.tell()
            streams = {'stdin': subprocess.DEVNULL, 'stdout': output, 'stderr': subprocess.STDOUT}
        try:
            self._process = subprocess.Popen(
                command, env=env, preexec_fn=prepare, start_new_session=True, **streams
            )
        finally:
            if output_path is not None:
                output.close()
        self.pid = self._process.pid

    def poll(self):
        """Updates `status`. What the rank has left running is killed the moment it has ended:
        its process id, and so its group's, cannot belong to another before it is waited for."""
        if self.status is None:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is not None:
                self._kill_group()
                self.status, self._ended_at = self._process.wait(), time.time()
        return self.status

    def signal(self, number):
        """Sends a signal to the rank alone, which ends its own helpers in its own way."""
        if self.status is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def end(self, number):
        """It is to end because another rank has failed: sends a signal, if any; SIGKILL to all that
        it has started."""
        self._told_at = min(self._told_at, time.time())
        if number == signal.SIGKILL:
            self._kill_group()
        elif number is not None:
            self.signal(number)

    def _kill_group(self):
        if self.status is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def beat(self):
        """Its heartbeat.Beat while it runs, None before the first."""
        return heartbeat.read(self._beat_path) if self.status is None else None

    def is_stopped(self):
        """Whether a signal (SIGSTOP) has stopped it."""
        try:
            with open(f'/proc/{self.pid}/stat') as f:
                return f.read().rsplit(')', 1)[1].split()[0] == 'T'
        except OSError:
            return False

    def failure(self, server):
        """Its Failure, once its status is not 0."""
        error = failure.read_error(self._error_path)
        beat = heartbeat.read(self._beat_path)
        when, status = error.get('time', self._ended_at), self.status
        if when <= self._told_at < self._ended_at:  # it had failed, and was on its way out
            status = error.get('status', status)
        return failure.Failure(
            rank=self.rank,
            server=server,
            status=status,
            kind=error.get('kind', 'usage' if self.status == 2 else 'error'),
            message=error.get('message') or self._last_words(),
            time=when,
            batch=error.get('batch', beat and beat.batch),
            step=error.get('step', beat and beat.step),
            own=when <= self._told_at,
            output=self.output_path,
        )

    def _last_words(self):
        """The last line of its output that looks like an error; else, where a signal does not
        explain its end, the last line. '' if there is none."""
        lines = self._output_lines()
        for pattern in (_LOG_FATAL, _ERROR_LINE):
            matching = [line for line in lines if pattern.match(line)]
            if matching and self.status != -signal.SIGKILL:
                return matching[-1]
        if self.status == -signal.SIGKILL:
            return 'killed from outside (by hand, or for want of memory: see dmesg)'
        return lines[-1] if lines and self.status >= 0 else ''

    def _output_lines(self):
        """The non-empty lines at the end of what this process has printed."""
        if self.output_path is None:
            return []
        try:
            with open(self.output_path, 'rb') as f:
                f.seek(0, os.SEEK_END)
                f.seek(max(self._output_begins, f.tell() - 65536))
                text = f.read().decode('utf-8', 'replace')
        except OSError:
            return []
        return [line.strip() for line in text.splitlines() if line.strip()]
