"""The debugger's hooks: which steps a device dumps by itself."""

import os

import pytest

from mobilenet import checkpoints
from mobilenet.debug import plugin
from mobilenet.devices import npu, npu_options


@pytest.mark.parametrize('done,steps', [(0, '0|10-12'), (5, '5-7'), (11, '0-1'), (13, None)])
def test_dump_steps_are_the_devices_own_dump_too(tmp_path, monkeypatch, done, steps):
    """By the adapter's keys; a resumed process's first step is its step 0."""
    monkeypatch.setattr(checkpoints, 'latest', lambda folder: 'a checkpoint' if done else None)
    monkeypatch.setattr(checkpoints, 'batches_of', lambda path: done)
    options = npu_options.NpuOptions({'precision_mode': 'allow_mix_precision'}, None, False)
    device = object.__new__(npu.NpuDevice)  # not __init__: it imports the adapter
    device.options = options
    ranges = plugin.steps_of_process([[0, 0], [10, 12]], str(tmp_path))
    device.dump_steps(str(tmp_path / 'device'), ranges)
    found = options.parameters
    if steps is None:
        assert 'enable_dump' not in found
    else:
        assert (found['enable_dump'], found['dump_step'], found['dump_mode']) == (
            True,
            steps,
            'output',
        )
        assert found['dump_path'] == os.path.realpath(str(tmp_path / 'device')) and os.path.isdir(
            found['dump_path']
        )
