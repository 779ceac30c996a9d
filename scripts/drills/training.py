"""One start of train_loop.py in a drill: small, on the digits, watched from outside."""

import json
import os
import select
import subprocess
import sys
import threading
import time
import uuid

from drills import processes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STEPS = 40
KEPT = 3
PATIENCE = 240.0  # seconds that a start may take; longer is a hang
FLAGS = [
    '--device=host',
    '--dataset_name=digits',
    '--preprocessing_name=none',
    '--image_size=32',
    '--batch_size=8',
    '--model_name=mobilenet_v1_025',
    '--learning_rate_decay_type=fixed',
    '--learning_rate=0.05',
    '--warmup_epochs=0',
    '--data_threads=1',
    '--iterations_per_loop=2',
    '--save_every_steps=4',
    f'--keep_checkpoints={KEPT}',
    f'--max_train_steps={STEPS}',
    '--save_retries=2:0.2',
]


def environment(mark, **extra):
    env = {k: v for k, v in os.environ.items() if not k.startswith(('RANK_', 'MOBILENET_'))}
    # Plain kernels: a start takes half as long, and small convolutions are faster.
    env.update({'TF_CPP_MIN_LOG_LEVEL': '2', 'TF_DISABLE_MKL': '1', processes.MARK: mark})
    return dict(env, **extra)


class Training:
    """A running train_loop.py. `folder`: --train_dir; ranks: 1 without a launcher, else by one."""

    def __init__(self, folder, ranks=1, flags=(), env=None, prefix=(), stderr=None):
        self.mark, self._folder, self._stderr = uuid.uuid4().hex, folder, b''
        self._metrics, self.begun = os.path.join(folder, 'metrics.jsonl'), time.monotonic()
        table = [f'--rank_table=hccl_{ranks}p.json'] if ranks > 1 else []
        command = [*prefix, sys.executable, os.path.join(ROOT, 'train_loop.py')] + FLAGS
        self.process = subprocess.Popen(
            command + table + list(flags) + [f'--train_dir={folder}'],
            env=environment(self.mark, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if stderr is None else stderr,
        )
        self._reader = None
        if stderr is None:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self):
        for line in self.process.stderr:
            self._stderr += line

    def stderr(self):
        return self._stderr.decode('utf-8', 'replace')

    def last_line(self):
        return (self.stderr().strip().splitlines() or [''])[-1]

    def last_metrics(self):
        """The last whole line of metrics.jsonl; {} without any."""
        try:
            with open(self._metrics, 'rb') as f:
                return dict(json.loads(f.read().splitlines()[-1]))
        except (OSError, ValueError, IndexError, TypeError):
            return {}

    def steps(self):
        """The last step that metrics.jsonl tells of; 0 without any."""
        return self.last_metrics().get('step', 0)

    def wait_for_step(self, step):
        """Waits until so many steps are done, or the process has ended. Raises TimeoutError."""
        while self.steps() < step and self.process.poll() is None:
            self._check_time(f'step {step}')
            time.sleep(0.005)

    def wait_until_gone(self, seconds):
        """Seconds that it and all it started took to end; None: more than these."""
        began = time.monotonic()
        while self.process.poll() is None or processes.marked(self.mark):
            if time.monotonic() - began > seconds:
                return None
            time.sleep(0.02)
        return time.monotonic() - began

    def rank_process(self, rank):
        """Process id of a rank, as soon as it has one; None where the launcher has ended. Raises
        TimeoutError.
        """
        while self.process.poll() is None:
            self._check_time(f'rank {rank}')
            for pid, env in processes.marked(self.mark).items():
                launched = processes.parent_of(pid) == self.process.pid
                if launched and env.get('RANK_ID') == str(rank):
                    return pid
            time.sleep(0.1)
        return None

    def first_byte(self, descriptor):
        """Waits until it has written something there. Raises TimeoutError."""
        while not select.select([descriptor], [], [], 1.0)[0]:
            self._check_time('output')
        return os.read(descriptor, 1)

    def _check_time(self, what):
        if time.monotonic() - self.begun > PATIENCE:
            raise TimeoutError(f'no {what} {PATIENCE:.0f} s after its start: {self.last_line()}')

    def finish(self):
        """The exit status; None where it hung and had to be killed. Nothing is left running."""
        try:
            status = self.process.wait(max(PATIENCE - (time.monotonic() - self.begun), 1))
        except subprocess.TimeoutExpired:
            status = None
        lingers = status is not None and self.wait_until_gone(10) is None
        self.left_running = len(processes.marked(self.mark)) if lingers else 0
        self.end()
        return status

    def end(self):
        processes.kill_all(self.mark)
        self.process.kill()
        self.process.wait(PATIENCE)
        if self._reader:
            self._reader.join(5)  # all who could write have ended
