"""One rank as a process: started in a session of its own, ended with all it started.

Linux only (prctl, process groups), as is TensorFlow with an Ascend device.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys

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
        self._tell('%d' % process.pid)

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

    def __init__(self, rank, command, env, cores, output_path, error_path):
        """output_path: file for stdout and stderr, or None to leave them (and stdin) as they are.

        error_path: the file into which the rank writes its error before it fails, in a line.
        """
        self.rank, self.output_path, self.error_path = rank, output_path, error_path
        self.status = None
        launcher = os.getpid()

        def prepare():
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != launcher:  # the launcher died before the line above
                os._exit(1)
            if cores is not None:
                os.sched_setaffinity(0, cores)

        streams = {}
        if output_path is not None:
            output = open(output_path, 'wb')
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
                self.signal(signal.SIGKILL)
                self.status = self._process.wait()
        return self.status

    def signal(self, number):
        """Sends a signal: SIGKILL to all the rank has started, others to the rank alone, which
        then ends its own helpers in its own way."""
        if self.status is not None:
            return
        try:
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            pass

    def error_time(self):
        """When the rank wrote down its error (seconds since the epoch), None if it did not."""
        try:
            return os.stat(self.error_path).st_mtime if _read(self.error_path) else None
        except OSError:
            return None

    def describe_end(self):
        """How it ended, in words."""
        if self.status >= 0:
            return 'exit status %d' % self.status
        try:
            return f'signal {signal.Signals(-self.status).name}'
        except ValueError:
            return 'signal %d' % -self.status

    def error(self):
        """Its error in one line: as it wrote it down, else the last line of its output that looks
        like one; else, where a signal does not explain it, the last line. '' if there is none."""
        lines = _read(self.error_path)
        if lines:
            return lines[0]
        lines = _read(self.output_path) if self.output_path else []
        for pattern in (_LOG_FATAL, _ERROR_LINE):
            matching = [line for line in lines if pattern.match(line)]
            if matching and self.status != -signal.SIGKILL:
                return matching[-1]
        return lines[-1] if lines and self.status >= 0 else ''


def _read(path, tail=65536):
    """The non-empty lines at the end of a text file, [] where it cannot be read."""
    try:
        with open(path, 'rb') as f:
            f.seek(0, os.SEEK_END)
            f.seek(max(0, f.tell() - tail))
            text = f.read().decode('utf-8', 'replace')
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
