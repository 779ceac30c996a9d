"""npu_ops.py on a host: counts, and what a list lacks."""

import json
import subprocess

from tests.helpers import runs


def test_counts_and_what_is_not_on_the_list(tmp_path):
    path = tmp_path / 'ops.json'
    path.write_text(json.dumps({'Conv2D': {'isGray': False}, 'Relu6': {}}))
    done = subprocess.run(
        runs.command('scripts/npu_ops.py', *runs.SMALL, '--ops_list', str(path)),
        env=runs.environment(),
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
    assert last.endswith(f'types are not on {path}') and f'of {len(rows)} types' in last
