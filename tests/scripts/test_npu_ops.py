"""npu_ops.py on a host: counts, and what a list lacks."""

import json
import os
import subprocess

from mobilenet import text
from tests.helpers import hostile, runs


def test_counts_and_what_is_not_on_the_list(tmp_path):
    path = os.path.join(hostile.folder(tmp_path), 'ops.json')
    with open(path, 'w') as file:
        json.dump({'Conv2D': {'isGray': False}, 'Relu6': {}}, file)
    done = subprocess.run(
        runs.command('scripts/npu_ops.py', *runs.SMALL, '--ops_list', path),
        env=hostile.environment(),
        capture_output=True,
        text=True,
    )
    *rows, last = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    found = {row.split()[1].rstrip(':'): row for row in rows}
    # V1 has a first convolution, 13 pointwise ones and the classifier's; relu6 but for the last.
    assert found['Conv2D'].split()[0] == '15' and 'not on' not in found['Conv2D']
    assert found['Relu6'].split()[0] == '27' and 'not on' not in found['Relu6']
    depthwise = found['DepthwiseConv2dNative']
    assert depthwise.split()[0] == '13'
    assert 'MobilenetV1/Conv2d_1_depthwise' in depthwise and 'nets/layers.py:' in depthwise
    assert 'not on' not in found['Const']
    shown = path.encode('ascii', text.ESCAPES).decode()
    assert last.endswith(f'types are not on {shown}') and f'of {len(rows)} types' in last
