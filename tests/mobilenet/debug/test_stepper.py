"""train_loop.py --step on the digits: the same text twice, the same bits as without, and what each command shows against numpy."""

import os
import pty
import re
import select
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.helpers import runs

SCRIPT = """\
nonsense
print act:Conv2d_99
print act:Conv2d_0
repeat
next 0
next many
until loss >
until nothing > 3
watch __import__('os')
watch norm(grad:Logits)
next 2
print act:Conv2d_3_pointwise grad:Conv2d_0/weights weight:Conv2d_0/gamma loss
top grads 3
top weights 2
top activations 2
batch
repeat
set loss_scale -1
set act:Conv2d_0 0
set weight:Conv2d_0/gamma missing.npy
compare nowhere
dump
loop 5
print act:Conv2d_0 "MobilenetV1/Conv2d_0/Conv2D:0"
repeat
dump dumped act:* weight:Conv2d_0
until global_step == 10
print weight:Conv2d_1_pointwise/weights ema:Conv2d_0/gamma
save
next 2
next
continue
"""
NUM_ERRORS = 15


def step(folder, script, *arguments, env=None):
    """Runs the commands of a script in `folder`; gives the finished process."""
    path = os.path.join(str(folder), 'commands.txt')
    with open(path, 'w') as f:
        f.write(script)
    done = subprocess.run(
        runs.command(
            'train_loop.py',
            *runs.SMALL,
            '--train_dir=run',
            '--max_train_steps=12',
            '--step_script=commands.txt',
            *arguments,
        ),
        env=env or runs.environment(),
        cwd=str(folder),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_stepping_on_the_host_and_on_the_simulated_npu(tmp_path):
    """One test: its checks are of the same two runs."""
    folders = [tmp_path / name for name in ('host', 'npu', 'unstepped')]
    for folder in folders:
        folder.mkdir()
    done = step(folders[0], SCRIPT)
    on_npu = step(
        folders[1],
        SCRIPT,
        '--device=npu',
        '--precision_mode=must_keep_origin_dtype',
        env=runs.environment(PYTHONPATH=runs.NPU_SIM),
    )
    runs.train(folders[2], '--max_train_steps=12', '--iterations_per_loop=12')
    unstepped = runs.weights(folders[2], 12)
    runs.assert_same_bits(runs.weights(folders[0] / 'run', 12), unstepped)
    runs.assert_same_bits(runs.weights(folders[1] / 'run', 12), unstepped)
    assert on_npu.stdout == done.stdout  # the same text twice, and more: from another device
    for check in (
        repeats_give_the_same_loss,
        losses_are_those_of_the_metrics,
        a_printed_weight_is_that_of_the_checkpoint,
        a_printed_activation_is_that_of_the_dump,
        errors_are_one_line_each,
        until_runs_single_steps,
    ):
        check(done.stdout, folders[0])
    assert 'Traceback' not in done.stderr


def repeats_give_the_same_loss(text, folder):
    assert text.count('the same loss, bit for bit') == 2 and 'another loss' not in text
    lines = re.findall(r'^batch \d+  .*$', text, re.M)
    assert lines[2] == lines[1]  # after the first repeat


def losses_are_those_of_the_metrics(text, folder):
    """A line a loop in metrics.jsonl; what was repeated or looked at is not in it twice."""
    metrics = runs.metrics(folder / 'run')
    assert [m['step'] for m in metrics] == [1, 2, 7, 8, 9, 10, 11, 12]
    shown = re.findall(r'^batch \d+  global_step (\d+)  loss (\S+)', text, re.M)
    by_step = {m['step']: m['loss'] for m in metrics}
    for number, loss in shown:
        assert float(loss) == pytest.approx(by_step[int(number)], rel=1e-8)


def figures_after(text, name):
    """{figure: value} of what `print` says of a tensor."""
    line = re.search(rf'^{re.escape(name)} .*\n    (.*)$', text, re.M).group(1)
    return {k: float(v) for k, v in re.findall(r'(mean|std|min|max) (\S+)', line)}


def a_printed_weight_is_that_of_the_checkpoint(text, folder):
    saved = runs.weights(folder / 'run', 10)
    value = saved['MobilenetV1/Conv2d_1_pointwise/weights'].astype(np.float64)
    shown = figures_after(text, 'weight:Conv2d_1_pointwise/weights')
    assert shown == pytest.approx(
        {'mean': value.mean(), 'std': value.std(), 'min': value.min(), 'max': value.max()}, rel=1e-5
    )
    average = saved['MobilenetV1/Conv2d_0/BatchNorm/gamma/ExponentialMovingAverage']
    assert figures_after(text, 'ema:Conv2d_0/BatchNorm/gamma')['mean'] == pytest.approx(
        average.mean(), rel=1e-5
    )


def a_printed_activation_is_that_of_the_dump(text, folder):
    """act:Conv2d_0 after `loop 5`, against the .npy that `dump` wrote, read by numpy."""
    (path,) = (folder / 'dumped').glob('MobilenetV1_Conv2d_0_Relu6.0.*.npy')
    value = np.load(str(path)).astype(np.float64)
    assert figures_after(text, 'act:Conv2d_0') == pytest.approx(
        {'mean': value.mean(), 'std': value.std(), 'min': value.min(), 'max': value.max()}, rel=1e-5
    )


def errors_are_one_line_each(text, folder):
    """One line each; that they leave the run as it was, its weights show."""
    errors = re.findall(r'^error: (.*)$', text, re.M)
    assert len(errors) == NUM_ERRORS, errors
    assert 'is it' in errors[1] and 'act:Conv2d_9' in errors[1]
    assert 'no step to look at yet' in errors[2] and 'no steps left' in errors[-1]
    assert 'Traceback' not in text


def test_set(tmp_path):
    """A rate of 0 keeps the weights; a factor is a factor; what is set stays set in a repeat; the end without `save` keeps nothing."""
    done = step(
        tmp_path,
        '\n'.join(
            [
                'next',
                'save',
                'set learning_rate 0',
                'set loss_scale 256',
                'next',
                'print weight:Conv2d_0/weights',
                'set weight:Conv2d_0/weights *2',
                'print weight:Conv2d_0/weights',
                'set learning_rate schedule',
                'repeat',
                'next',
            ]
        )
        + '\n',
        env=runs.environment(**runs.PLAIN_KERNELS),
    )
    text = done.stdout
    before, after = re.findall(r'^weight:Conv2d_0/weights .*\n.* std (\S+)', text, re.M)
    saved = runs.weights(tmp_path / 'run', 1)['MobilenetV1/Conv2d_0/weights'].astype(np.float64)
    assert float(before) == pytest.approx(saved.std(), rel=1e-5)
    assert float(after) == pytest.approx(2 * saved.std(), rel=1e-5)
    lines = re.findall(r'^batch .*learning_rate (\S+)  loss_scale (\S+)', text, re.M)
    assert [rate == '0' for rate, _ in lines] == [False, True, False, False]
    assert [scale for _, scale in lines] == ['1', '256', '256', '256']
    assert 'another loss' in text  # batch norm takes the factor away, but for its epsilon
    assert 'end of the commands' in text and not os.path.exists(
        str(tmp_path / 'run' / 'model.ckpt-3.index')
    )


def until_runs_single_steps(text, folder):
    assert re.search(r'until global_step == 10\nbatch 9  global_step 10 ', text)
    assert [m['step'] for m in runs.metrics(folder / 'run')][2:6] == [7, 8, 9, 10]


def test_a_terminal_has_completion_and_ctrl_c_comes_back_to_the_prompt(tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        runs.command(
            'train_loop.py',
            *runs.SMALL,
            '--train_dir=run',
            '--max_train_steps=4000',
            '--step',
            '--iterations_per_loop=5',
        ),
        env=runs.environment(
            TERM='dumb', XDG_CACHE_HOME=os.path.join(str(tmp_path), 'cache'), **runs.PLAIN_KERNELS
        ),
        cwd=str(tmp_path),
        stdin=slave,
        stdout=slave,
        stderr=subprocess.DEVNULL,
        close_fds=True,
    )
    os.close(slave)
    seen = ['']

    def expect(pattern, seconds=300, meanwhile=lambda: None):
        end, last = time.time() + seconds, 0.0
        while not re.search(pattern, seen[0]):
            assert time.time() < end and process.poll() is None, seen[0]
            if time.time() - last > 5:
                last = time.time()
                meanwhile()
            if select.select([master], [], [], 0.5)[0]:
                seen[0] += os.read(master, 4096).decode('utf-8', 'replace')
        found, seen[0] = seen[0], ''
        return found

    def send(text):
        os.write(master, text.encode())

    expect(r'\(step\) ')
    send('print weight:Conv2d_13_pointwise/w\t\n')
    assert 'weight:Conv2d_13_pointwise/weights' in expect(
        r'float16: .*\(step\) |underflow[^$]*\(step\) '
    )
    send('continue\n')
    metrics = tmp_path / 'run' / 'metrics.jsonl'
    end = time.time() + 300
    while not (metrics.exists() and len(runs.metrics(tmp_path / 'run')) > 1):
        assert time.time() < end and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert 'interrupted' in expect(r'batch \d+[^$]*\(step\) ')
    # Python looks at signals where readline's wait is interrupted: one that comes just before the wait is seen with the next.
    assert 'terminated; saved' in expect(
        r'saved \S+ckpt-\d+', meanwhile=lambda: process.send_signal(signal.SIGTERM)
    )
    assert process.wait(60) == 0
    os.close(master)
