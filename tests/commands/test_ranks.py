"""Training over ranks, in real processes: the same weights on all, the same bits on both devices,
one decision.
"""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from hccl import ports
from tests.helpers import runs

PRECISION = '--precision_mode=must_keep_origin_dtype'  # the NPU's own default is float16


def environment(device, **extra):
    extra['PYTHONPATH'] = os.pathsep.join([runs.ROOT] + ([runs.NPU_SIM] if device == 'npu' else []))
    return runs.environment(**extra)


def train(folder, device, *arguments, **extra):
    return runs.train(
        folder,
        '--device=' + device,
        PRECISION,
        *arguments,
        env=environment(device, **extra),
        timeout=550,
    )


LATE = """
import os
if os.environ.get('RANK_ID') == '1':
    import time
    from mobilenet.devices import host
    run, slept = host.Loop.run, []
    def run_late(self, sess, n):
        slept or slept.append(time.sleep(8))
        return run(self, sess, n)
    host.Loop.run = run_late
"""


def test_a_rank_that_is_late_at_the_first_loop_is_waited_for(tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(LATE)
    env = runs.environment(PYTHONPATH=os.pathsep.join([str(tmp_path), runs.ROOT]))
    arguments = ['--rank_table=hccl_2p.json', '--max_train_steps=4', '--iterations_per_loop=2']
    runs.train(tmp_path / 'run', *arguments, env=env)
    assert runs.digests(tmp_path / 'run', 2) == [runs.digest_of_checkpoint(tmp_path / 'run', 4)] * 2


def test_four_ranks_end_with_the_same_weights(tmp_path):
    """On the host; eight on the simulated NPU: tests/scripts/test_reference_run.py."""
    table = ['--rank_table=hccl_4p.json', '--iterations_per_loop=2', '--moving_average_decay=0']
    train(tmp_path, 'host', *table, '--max_train_steps=4')
    assert runs.digests(tmp_path, 4) == [runs.digest_of_checkpoint(tmp_path, 4)] * 4
    assert runs.metrics(tmp_path)[-1]['epoch'] == pytest.approx(4 * 4 * 8 / 1438)


@pytest.mark.parametrize(
    'ranks,kernels,on_npu,mode',
    [(1, 'plain', [], 'inf_nan'), (2, 'onednn', ['--relu6_gradient=host'], 'saturate')],
)
def test_the_simulated_npu_gives_the_hosts_bits(tmp_path, ranks, kernels, on_npu, mode):
    """Loops of 3, 3 and 2 iterations on the NPU, of 8 on the host; the same kernels on both, with
    oneDNN's the host's ops in place of the NPU's own Relu6Grad. A saturating NPU has every op
    watched, which may not change bits.
    """
    host, npu = tmp_path / 'host', tmp_path / 'npu'
    flags = ['--max_train_steps=8'] + [f'--rank_table=hccl_{ranks}p.json'] * (ranks > 1)
    mkl = {'TF_DISABLE_MKL': '01'[kernels == 'plain']}
    train(host, 'host', *flags, **mkl)
    on_npu = ['--iterations_per_loop=3', *on_npu]
    train(npu, 'npu', *flags, *on_npu, NPU_SIM_OVERFLOW=mode, **mkl)
    runs.assert_same_bits(runs.weights(host, 8), runs.weights(npu, 8))
    if ranks > 1:
        digest = runs.digest_of_checkpoint(host, 8)
        assert runs.digests(host, 2) == runs.digests(npu, 2) == [digest] * 2


def test_sigterm_to_the_launcher_stops_all_ranks_at_one_step_and_the_same_command_goes_on(tmp_path):
    stopped, through = tmp_path / 'stopped', tmp_path / 'through'
    arguments = [
        '--rank_table=hccl_2p.json',
        '--max_train_steps=2000',
        '--iterations_per_loop=2',
        '--learning_rate_decay_type=fixed',
        '--moving_average_decay=0',
    ]
    process = subprocess.Popen(
        runs.command('train_loop.py', *runs.SMALL, f'--train_dir={stopped}', *arguments),
        env=environment('host'),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
    )
    end = time.time() + 500
    while not os.path.exists(str(stopped / 'metrics.jsonl')) or len(runs.metrics(stopped)) < 2:
        assert process.poll() is None and time.time() < end, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=500)
    assert process.returncode == 0, stderr
    steps = [
        int(re.search(r'stopped after (\d+) of 2000 steps', runs.log_of(stopped, rank)).group(1))
        for rank in range(2)
    ]
    assert steps[0] == steps[1] == runs.metrics(stopped)[-1]['step'] < 2000
    assert runs.digests(stopped, 2) == [runs.digest_of_checkpoint(stopped, steps[0])] * 2

    last = steps[0] + 6  # the learning rate is fixed: it does not depend on the length of the run
    for folder in (stopped, through):
        runs.train(folder, *arguments, f'--max_train_steps={last}', env=environment('host'))
    runs.assert_same_bits(
        runs.weights(stopped, last), runs.weights(through, last), but=runs.OF_THE_RANK
    )
    assert (
        runs.digests(stopped, 2)
        == runs.digests(through, 2)
        == [runs.digest_of_checkpoint(through, last)] * 2
    )


def start_cases(folder, device, rank, addresses):
    env = environment(
        device,
        RANK_ID=str(rank),
        RANK_SIZE=str(len(addresses)),
        OMP_NUM_THREADS='1',
        MOBILENET_RANK_ADDRESSES=','.join(addresses),
        RANK_TABLE_FILE=os.path.join(runs.ROOT, 'hccl', f'hccl_{len(addresses)}p.json'),
    )
    return subprocess.Popen(
        [
            sys.executable,
            os.path.join(runs.ROOT, 'tests', 'helpers', 'rank_cases.py'),
            device,
            str(folder / f'{rank}_of_{len(addresses)}.npz'),
        ],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
    )


def of_case(result, case):
    return {
        name.split(' ', 1)[1]: value
        for name, value in result.items()
        if name.startswith(case + ' ')
    }


@pytest.fixture(scope='module', params=['host', 'npu'])
def cases(request, tmp_path_factory):
    """(results of a run alone, [those of each of two ranks]): {'CASE VARIABLE': array}; see
    rank_cases.py.
    """
    folder = tmp_path_factory.mktemp('cases')
    pair = [f'127.0.0.1:{port}' for port in ports.free_ports(2)]
    started = [start_cases(folder, request.param, 0, ['127.0.0.1:1'])]
    started += [start_cases(folder, request.param, rank, pair) for rank in range(2)]
    logs = [process.communicate(timeout=500)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], '\n'.join(logs)
    alone, *both = [
        dict(np.load(str(folder / name))) for name in ('0_of_1.npz', '0_of_2.npz', '1_of_2.npz')
    ]
    return alone, both


def test_gradients_and_decisions_over_two_ranks(cases):
    """One test, so that the processes are started once."""
    alone, both = cases
    check_broadcast(alone, both)
    check_gradients(alone, both)
    check_skipped(both)


def check_broadcast(alone, both):
    """Rank 1 began with other weights, and with a counter of its own that no float32 holds."""
    starts = [of_case(result, 'start') for result in [alone] + both]
    assert starts[0]['global_step'] == 2**40 + 12345
    for start in starts[1:]:
        runs.assert_same_bits(starts[0], start)


def check_gradients(alone, both):
    """On the same batch those of one rank, bit for bit; on different ones the mean of both."""
    for result in both:
        runs.assert_same_bits(of_case(alone, 'same'), of_case(result, 'same'))
    runs.assert_same_bits(of_case(both[0], 'own'), of_case(both[1], 'own'))
    first, second = of_case(alone, 'own'), of_case(alone, 'other')
    for name, got in of_case(both[0], 'own').items():
        assert not np.array_equal(first[name], second[name])
        mean = (first[name].astype(np.float64) + second[name]) / 2
        np.testing.assert_allclose(
            got, mean, rtol=1e-6, atol=1e-6 * np.abs(mean).max(), err_msg=name
        )


def check_skipped(both):
    """An overflow under rank 1's loss scale, and a NaN in its images: both ranks skip, and go on
    alike.
    """
    for rank, result in enumerate(both):
        before = of_case(result, 'start')
        for case, skipped, scale in (('overflow', 1, 1.5e38 if rank else 512), ('nan', 2, 512)):
            after = of_case(result, case)
            assert after.pop('skipped_steps') == skipped and after.pop('loss_scale') == np.float32(
                scale
            )
            runs.assert_same_bits(after, {name: before[name] for name in after})
    good = [of_case(result, 'good') for result in both]
    runs.assert_same_bits(*good, but=runs.OF_THE_RANK)
    assert good[0]['global_step'] == 2**40 + 12346 and good[0]['skipped_steps'] == 2
    name = 'MobilenetV1/Conv2d_0/weights'
    assert not np.array_equal(good[0][name], before[name])


def test_rank_id_without_the_launcher_is_that_rank(tmp_path):
    """As under a cluster's own launcher: each rank is started with its environment, with or without
    --rank_table.
    """
    addresses = ','.join(f'127.0.0.1:{port}' for port in ports.free_ports(2))
    processes = [
        subprocess.Popen(
            runs.command(
                'train_loop.py',
                *runs.SMALL,
                f'--train_dir={tmp_path}',
                '--max_train_steps=2',
                *(['--rank_table=hccl_2p.json'] if rank else []),
            ),
            env=environment(
                'host', RANK_ID=str(rank), RANK_SIZE='2', MOBILENET_RANK_ADDRESSES=addresses
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            universal_newlines=True,
        )
        for rank in (1, 0)
    ]
    outputs = [process.communicate(timeout=500) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0] == ('', '')  # rank 1 writes its log alone
    assert runs.digests(tmp_path, 2) == [runs.digest_of_checkpoint(tmp_path, 2)] * 2
    assert runs.metrics(tmp_path)[-1]['epoch'] == pytest.approx(2 * 2 * 8 / 1438)


@pytest.mark.parametrize(
    'env,said',
    [
        ({'RANK_ID': '0', 'RANK_SIZE': '2'}, 'MOBILENET_RANK_ADDRESSES is not set'),
        ({'RANK_ID': '2', 'RANK_SIZE': '2'}, 'the ranks of that size are 0 to 1'),
        ({'RANK_ID': '1'}, 'the ranks of that size are 0 to 0'),
        ({'RANK_ID': '0', 'RANK_SIZE': '0'}, 'RANK_SIZE=0: there is at least one rank'),
        ({'RANK_SIZE': '2'}, 'RANK_SIZE=2 in the environment, but RANK_ID is not set'),
        ({'RANK_ID': '', 'RANK_SIZE': '2'}, 'RANK_ID is not set'),
        ({'RANK_ID': 'one', 'RANK_SIZE': '2'}, 'RANK_ID=one'),
        ({'RANK_ID': '0', 'RANK_SIZE': '2', 'MOBILENET_RANK_ADDRESSES': 'a:1'}, 'has 1 addresses'),
    ],
)
def test_a_wrong_rank_environment_is_one_line(tmp_path, env, said):
    done = runs.train(tmp_path, env=runs.environment(**env), check=False)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
