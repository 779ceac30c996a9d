"""train_loop.py --step on the digits: the same text twice, the same bits as without, and what each
command shows against numpy.
"""

import os
import re

import numpy as np
import pytest

from tests.helpers import runs

PLAIN = runs.environment()
SCRIPT = """\
# A NaN halts a loop of three; put right, the same batches come again.
set weight:Logits/Conv2d_1c_1x1/biases nan
loop 3
set weight:Logits/Conv2d_1c_1x1/biases 0
watch norm(grad:Logits)
next 2
print act:Conv2d_1_pointwise grad:Conv2d_0/weights weight:Conv2d_0/gamma loss
top grads 3
top weights 2
top activations 2
batch
repeat
loop 5
print act:Conv2d_0 "MobilenetV1/Conv2d_0/Conv2D:0"
repeat
dump dumped act:* weight:Conv2d_0
until global_step == 10
print weight:Conv2d_1_pointwise/weights ema:Conv2d_0/gamma
save
next 2
continue
"""


def step(folder, script, *arguments, env=None, status=0):
    """Runs the commands of a script in `folder`; gives the finished process."""
    path = os.path.join(str(folder), 'commands.txt')
    with open(path, 'w') as f:
        f.write(script)
    flags = ['--train_dir=run', '--step_script=commands.txt', '--max_train_steps=12']
    flags = [*runs.SMALL, *flags, *arguments]
    done = runs.served('train_loop.py', flags, env or PLAIN, timeout=500, cwd=folder)
    assert done.returncode == status, done.stderr
    return done


@pytest.fixture(scope='module')
def on_host(tmp_path_factory):
    """(folder, the finished process) of SCRIPT on the host."""
    folder = tmp_path_factory.mktemp('host')
    return folder, step(folder, SCRIPT)


def test_stepping_on_the_host(on_host, tmp_path):
    """One test: its checks are of the same run."""
    folder, done = on_host
    runs.train(tmp_path, '--max_train_steps=12', '--iterations_per_loop=12', env=PLAIN)
    runs.assert_same_bits(runs.weights(folder / 'run', 12), runs.weights(tmp_path, 12))
    for check in (
        repeats_give_the_same_loss,
        losses_are_those_of_the_metrics,
        a_printed_weight_is_that_of_the_checkpoint,
        a_printed_activation_is_that_of_the_dump,
        a_halted_loop_is_said,
        until_runs_single_steps,
    ):
        check(done.stdout, folder)
    assert 'Traceback' not in done.stderr


def test_stepping_on_the_simulated_npu_prints_the_same_text(on_host, tmp_path):
    folder, done = on_host
    device = ['--device=npu', '--precision_mode=must_keep_origin_dtype']
    on_npu = step(tmp_path, SCRIPT, *device, env=runs.environment(PYTHONPATH=runs.NPU_SIM))
    runs.assert_same_bits(runs.weights(folder / 'run', 12), runs.weights(tmp_path / 'run', 12))
    assert on_npu.stdout == done.stdout  # the same text twice, and more: from another device


def repeats_give_the_same_loss(text, folder):
    assert text.count('the same loss, bit for bit') == 2 and 'another loss' not in text
    lines = re.findall(r'^batch \d+  .*$', text, re.M)
    assert lines[3] == lines[2]  # after the first repeat


def losses_are_those_of_the_metrics(text, folder):
    """A line a loop in metrics.jsonl; what was repeated or looked at is not in it twice."""
    metrics = runs.metrics(folder / 'run')
    assert [m['step'] for m in metrics] == [0, 1, 2, 7, 8, 9, 10, 11, 12]
    shown = re.findall(r'^batch \d+  global_step (\d+)  loss (\S+)', text, re.M)
    by_step = {m['step']: m['loss'] for m in metrics}
    for number, loss in shown[1:]:
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


def a_halted_loop_is_said(text, folder):
    assert re.search(r'^batch 0  global_step 0  loss nan ', text, re.M)
    assert 'gradient of batch 0 is not finite: the step has changed nothing' in text


def test_a_wrong_command_of_a_script_ends_the_run(tmp_path):
    """Status 2, the line named; what follows is not run, and nothing is saved."""
    script = '# comment\n\nnext 2\nset loss_scale 0\nnext\nsave\n'
    done = step(tmp_path, script, status=2)
    last = done.stderr.strip().splitlines()[-1]
    assert last == 'train_loop.py: commands.txt, line 4: loss_scale must be above 0, and finite'
    assert done.stdout.splitlines()[-2:] == [
        '(step) set loss_scale 0',
        f'error: {last.split(": ", 2)[2]}',
    ]
    assert len(runs.metrics(tmp_path / 'run')) == 2
    assert not list((tmp_path / 'run').glob('model.ckpt*'))


def test_set(tmp_path):
    """A rate of 0 keeps the weights; a factor is a factor; what is set stays set in a repeat; the
    end without `save` keeps nothing.
    """
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
    assert [m['step'] for m in runs.metrics(folder / 'run')][3:7] == [7, 8, 9, 10]
