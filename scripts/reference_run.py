#!/usr/bin/env python3
"""One run as the reference implementation's test scripts make it: training, evaluation, a block of
figures.

    scripts/train_performance_1p.sh --data_path=/data/imagenet
    scripts/train_full_8p.sh --data_path=/data/imagenet --precision_mode=allow_mix_precision

The four scripts call this one. Any further flag goes to train_loop.py, such as
--dataset_name=digits.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from hccl import rank_table as tables
from mobilenet import command as commands
from mobilenet import devices, flag_types, run_record
from mobilenet.errors import UsageError
from scripts import tool

ROOT = sys.path[0]

NAME = os.environ.get('REFERENCE_SCRIPT', 'reference_run.py')

# The reference's learning rate is for 8 devices; one has an eighth of the batch.
RECIPES = {('full', 1): ['--learning_rate=0.05'], ('full', 8): ['--learning_rate=0.4']}
RECIPES['performance', 1] = RECIPES['full', 1] + ['--max_train_steps=1000']
RECIPES['performance', 8] = RECIPES['full', 8] + ['--max_train_steps=1000']
# Flags that a later one of the same meaning takes the place of.
LENGTHS = ('--max_train_steps', '--max_epoch')


def parse(argv):
    parser = flag_types.Parser(
        prog=NAME,
        description=__doc__.split('\n\n')[0],
        epilog='Any further flag goes to train_loop.py.',
        allow_abbrev=False,
        usage='%(prog)s --data_path=DIR [options] [flags of train_loop.py]',
    )
    parser.add_argument(
        '--case', choices=('full', 'performance'), required=True, help=argparse.SUPPRESS
    )
    parser.add_argument('--ranks', type=int, choices=(1, 8), required=True, help=argparse.SUPPRESS)
    add = parser.add_argument
    add('--data_path', metavar='DIR', help='the data set; digits and synthetic need none')
    add('--precision_mode', help='as train_loop.py --precision_mode')
    switch = {'type': flag_types.boolean, 'nargs': '?', 'const': True, 'default': False}
    add('--over_dump', metavar='True|False', help='npu: dump the ops that overflow', **switch)
    add('--over_dump_path', metavar='DIR', help='where to; default OUTPUT/overflow_dump')
    add('--data_dump_flag', metavar='True|False', help='dump the tensors of some steps', **switch)
    add('--data_dump_step', default='10', help='which, such as 0|5|10; default 10')
    add('--data_dump_path', metavar='DIR', help='where to; default OUTPUT/dumps')
    add('--profiling', metavar='True|False', help='profile some steps', **switch)
    add('--profiling_path', metavar='DIR', help='npu: where to; default OUTPUT/profiling')
    add('--bind_core', metavar='True|False', help='cores of its own for each rank', **switch)
    add('--rank_table', metavar='FILE', help='default: RANK_TABLE of the environment, or made')
    add('--train_dir', metavar='OUTPUT', help='default results/CASE_RANKSp')
    add('--device', default='auto', choices=('auto',) + devices.NAMES, help='default auto')
    args, rest = parser.parse_known_args(argv)
    args.device = devices.choose(args.device)
    commands.refuse_tilde(args.train_dir or '', '--train_dir')
    args.train_dir = os.path.abspath(args.train_dir or f'results/{args.case}_{args.ranks}p')
    if args.data_path and not os.path.isdir(args.data_path):
        raise UsageError(f'--data_path={args.data_path}: no such folder')
    return args, rest


def training_flags(args, rest):
    """The flags of train_loop.py."""
    recipe = RECIPES[args.case, args.ranks]
    if any(word.split('=')[0] in LENGTHS for word in rest):
        recipe = [flag for flag in recipe if flag.split('=')[0] not in LENGTHS]
    flags = [f'--device={args.device}', f'--train_dir={args.train_dir}'] + recipe
    if args.data_path:
        flags.append(f'--dataset_dir={os.path.abspath(args.data_path)}')
    if args.precision_mode:
        flags.append(f'--precision_mode={args.precision_mode}')
    if args.ranks > 1 or args.rank_table:
        binding = 'auto' if args.bind_core else 'none'
        flags += [f'--rank_table={rank_table(args)}', f'--bind_cores={binding}']
    flags += looking_flags(args) + rest
    if not any(flag.startswith('--dataset_') for flag in flags):
        raise UsageError('--data_path is missing: give the folder of the data set')
    return flags


def looking_flags(args):
    """Dumps and profiles. Raises UsageError for what only an NPU has."""
    flags, npu = [], args.device == 'npu'
    if args.over_dump and not npu:
        raise UsageError('--over_dump is for NPUs: a host stops at a NaN and dumps it by itself')
    if args.over_dump:
        folder = args.over_dump_path or os.path.join(args.train_dir, 'overflow_dump')
        folder = made(folder, '--over_dump_path')
        flags += ['--npu_enable_dump_debug', f'--npu_dump_path={folder}']
        flags += ['--npu_dump_debug_mode=all']
    if args.data_dump_flag:
        folder = args.data_dump_path or os.path.join(args.train_dir, 'dumps')
        steps = args.data_dump_step.replace('|', ',')
        flags += [f'--dump_steps={steps}', f'--dump_dir={os.path.abspath(folder)}']
    if args.profiling and npu:
        folder = args.profiling_path or os.path.join(args.train_dir, 'profiling')
        folder = made(folder, '--profiling_path')
        options = {'output': folder, 'task_trace': 'on', 'aicpu': 'on'}
        flags += ['--npu_profiling_mode', f'--npu_profiling_options={json.dumps(options)}']
    elif args.profiling:
        if args.profiling_path:
            raise UsageError('--profiling_path is for NPUs: a host writes OUTPUT/profile')
        flags += ['--profile_steps=10-12']
    return flags


def made(folder, flag):
    folder = os.path.abspath(folder)
    commands.make_folder(folder, flag)
    return folder


def rank_table(args):
    """--rank_table; RANK_TABLE; else one of this server's devices; a host's ready table."""
    given = args.rank_table or os.environ.get('RANK_TABLE')
    if given:
        tell_other_size(args, given)
        return given
    if args.device != 'npu':
        return 'hccl_8p.json'
    table = os.path.join(made(args.train_dir, '--train_dir'), 'hccl_8p.json')
    make = [sys.executable, os.path.join(ROOT, 'scripts', 'make_rank_table.py')]
    status = subprocess.call(make + ['--devices', '0-7', '-o', table])
    if status:
        raise UsageError('no rank table could be made: set RANK_TABLE to one')
    return table


def tell_other_size(args, path):
    """A line where a table has not as many ranks as the recipe is for."""
    try:
        size = tables.load(path).world_size
    except tables.NotReady:
        return  # the training waits for it
    if size != args.ranks:
        rate = RECIPES['full', args.ranks][0]
        print(
            f'{NAME}: {path} has {size} rank{"s" * (size > 1)}, the recipe is for {args.ranks}: '
            f'another {rate} may suit it better',
            file=sys.stderr,
        )


def command(script, *arguments):
    """Runs a command of the checkout; gives its exit status."""
    argv = [sys.executable, os.path.join(ROOT, script), *arguments]
    with tool.child(subprocess.Popen(argv)) as process:
        return process.wait()


def lines_of(path):
    """The JSON objects of a file with one a line; [] where it is not there."""
    try:
        with open(path) as f:
            return [json.loads(line) for line in f if line.strip()]
    except (OSError, ValueError):
        return []


def figures(args, seconds):
    """[(name, value)] of the block, from metrics.jsonl, eval.jsonl and config.json."""
    lines = lines_of(os.path.join(args.train_dir, 'metrics.jsonl'))
    evaluations = lines_of(os.path.join(args.train_dir, 'eval.jsonl'))
    with open(os.path.join(args.train_dir, 'config.json')) as f:
        config = json.load(f)
    speed = [line['images_per_sec'] for line in lines[1:] or lines]  # the first loop compiles
    rate = statistics.median(speed) if speed else float('nan')
    ranks = run_record.read(args.train_dir)['world_size']  # of the table that was given
    batch = config['batch_size'] * ranks
    precision = 'fp32' if config['precision_mode'] == 'must_keep_origin_dtype' else 'mix'
    case = 'acc' if args.case == 'full' else 'perf'
    accuracy = evaluations[-1]['top1'] if evaluations else lines[-1]['accuracy'] if lines else None
    network = config['model_name']
    return [
        ('Network', network),
        ('RankSize', ranks),
        ('BatchSize', config['batch_size']),
        ('DeviceType', platform.machine()),
        ('CaseName', f'{network}_bs{config["batch_size"]}_{ranks}p_{precision}_{case}'),
        ('ActualFPS', f'{rate:.2f}'),
        ('TrainingTime', f'{batch * 1000 / rate:.2f}'),
        ('ActualLoss', lines[-1]['loss'] if lines else None),
        ('TrainAccuracy', accuracy),
        ('E2ETrainingTime', round(seconds)),
    ]


def report(args, seconds):
    """Prints the block, and writes it to OUTPUT/CASENAME.log."""
    rows = figures(args, seconds)
    value = dict(rows)
    block = [
        '------------------ Final result ------------------',
        f'Final Performance images/sec : {value["ActualFPS"]}',
        f'Final Train Accuracy : {value["TrainAccuracy"]}',
        f'Final Train Loss : {value["ActualLoss"]}',
        f'E2E Training Duration sec : {value["E2ETrainingTime"]}',
        f'Device count : {value["RankSize"]}',
    ]
    print('\n'.join(block), flush=True)
    with open(os.path.join(args.train_dir, f'{value["CaseName"]}.log'), 'w') as f:
        f.write(''.join(f'{name} = {shown}\n' for name, shown in rows))
        f.write('\n'.join(block) + '\n')


def main():
    args, rest = parse(sys.argv[1:])
    started = time.time()
    status = command('train_loop.py', *training_flags(args, rest))
    if status == 0 and args.case == 'full':
        status = command(
            'eval_loop.py', f'--checkpoint_path={args.train_dir}', f'--device={args.device}'
        )
    if status == 0:
        report(args, time.time() - started)
    return status


if __name__ == '__main__':
    tool.run(main, NAME, stopped='the same command goes on where it was')
