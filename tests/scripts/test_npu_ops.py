"""npu_ops.py on a host: counts, and what a list lacks."""

import json
import os
import subprocess

from mobilenet import text
from mobilenet.devices import npu_op_list
from tests.helpers import hostile, runs


def test_counts_and_what_is_not_on_the_list(tmp_path):
    path = os.path.join(hostile.folder(tmp_path), 'ops.json')
    with open(path, 'w') as file:
        json.dump({'Conv2D': {'isGray': False}, 'Relu6': {}}, file)
    done = subprocess.run(
        runs.command('scripts/npu_ops.py', *runs.SMALL, '--ops_list', path),
        env=hostile.environment(whole_network=True),
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


def test_a_list_is_found_beside_links_that_lead_back_up(tmp_path, monkeypatch):
    """Three of them in one folder have 3^40 paths."""
    place = tmp_path / 'a'
    place.mkdir()
    for name in ('up', 'up_2', 'up_3'):
        (place / name).symlink_to('..')
    monkeypatch.setenv('ASCEND_OPP_PATH', str(tmp_path))
    assert npu_op_list.find_list() is None
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / npu_op_list.NAME).write_text('{}')
    opp = tmp_path / 'opp'
    opp.mkdir()
    (opp / 'linked').symlink_to(tmp_path / 'elsewhere')
    monkeypatch.setenv('ASCEND_OPP_PATH', str(opp))
    assert npu_op_list.find_list() == str(opp / 'linked' / npu_op_list.NAME)
    monkeypatch.setenv('ASCEND_OPP_PATH', str(tmp_path / 'none'))
    assert npu_op_list.find_list() is None
