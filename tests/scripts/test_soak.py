"""A short soak: nothing grows with the steps."""

import os
import re
import subprocess
import sys

from tests.helpers import ROOT, hostile


def test_memory_grows_by_less_than_a_kilobyte_a_step(tmp_path):
    """On oneDNN's kernels, which keep something of each op that runs: see devices/memory.py. One
    arena of malloc: else a thread's first use of its own looks like growth.
    """
    folder = hostile.folder(tmp_path)
    out = subprocess.run(
        [*(sys.executable, 'scripts/soak.py', '--steps=3000'), f'--out={folder}'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=hostile.environment(whole_network=True, MALLOC_ARENA_MAX='1'),
        timeout=1000,
    )
    slopes = {name: float(value) for name, value in re.findall(r'slope (\w+) (\S+)', out.stdout)}
    assert out.returncode == 0, out.stdout
    assert slopes['memory_bytes'] < 1024
    assert abs(slopes['open_files']) < 1e-6 and abs(slopes['threads']) < 1e-6
    assert 0 < slopes['log_bytes'] < 200
    assert os.path.getsize(os.path.join(folder, 'soak.png')) > 1000
