"""Folders, files and classes named in any bytes, under LC_ALL=C and under an ASCII terminal: the
commands take them, and print and write them.
"""

import argparse
import csv
import json
import os
import subprocess
import sys

import pytest

from scripts import check_dataset, predict
from tests.helpers import ROOT, hostile
from tests.helpers.data_files import jpeg, noise

CLASSES = (b'caf\xe9', '你好 кот'.encode(), b"it's [1] $a$")
BAD = b'bad\xff\n\x1b[31m.jpg'  # red, from the next line on
PLACE = hostile.NAME
# Where each command that takes a folder or file meets such a path: here unless another test of
# scripts/ runs it anyway.
ELSEWHERE = {
    'fuzz_decoder.py': 'test_fuzz.py',
    'npu_ops.py': 'test_npu_ops.py',
    'parity.py': 'test_parity.py',
    'plant_faults.py': 'test_parity.py',
    'soak.py': 'test_soak.py',
    'train_full_1p.sh': 'test_reference_run.py',
    'train_full_8p.sh': 'test_reference_run.py',
    'train_performance_1p.sh': 'test_reference_run.py',
    'train_performance_8p.sh': 'test_reference_run.py',
}
TAKE_NO_PATH = {
    *('demo.sh', 'drill.py', 'flags_page.py', 'kill_ranks.py', 'lint.sh', 'mutate.py', 'setup.sh'),
    *('test.sh', 'fuzz_inputs.py', 'mutants.py', 'tool.py'),  # the last three: no commands
    'reference_run.py',  # what the four run scripts start
}


def run(script, *arguments, encoding='', **environment):
    """(stdout, stderr) of a command that has to end with 0 and without a word of Python's."""
    env = hostile.environment(encoding, **environment)
    done = subprocess.run(
        [sys.executable, os.path.join(ROOT, script), *arguments], env=env, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    for word in (b'Traceback', b'Logging error', b'UnicodeEncodeError', b'\x1b'):
        assert word not in done.stderr + done.stdout, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope='module')
def images(tmp_path_factory):
    """A folder of a bad name with classes and files of bad names, one of them no image."""
    place = os.path.join(os.fsencode(str(tmp_path_factory.mktemp('names'))), PLACE)
    for number, name in enumerate(CLASSES):
        os.makedirs(os.path.join(place, name))
        for i in range(6):
            with open(os.path.join(place, name, name + b'%d.jpg' % i), 'wb') as file:
                file.write(jpeg(noise(20, 20, 10 * number + i)))
    with open(os.path.join(place, CLASSES[0], BAD), 'wb') as file:
        file.write(b'no image')
    return place


def test_every_command_is_tried():
    here = os.path.dirname(os.path.abspath(__file__))
    names = set(os.listdir(os.path.join(ROOT, 'scripts'))) - {'bench', 'drills', 'scaling'}
    names = {name for name in names if name.endswith(('.py', '.sh'))} | {'eval_loop.py'}
    sources = {}
    for name in {os.path.basename(__file__), *ELSEWHERE.values()}:
        with open(os.path.join(here, name), encoding='utf-8') as file:
            sources[name] = file.read()
    for name in sorted(names - TAKE_NO_PATH):
        source = sources[ELSEWHERE.get(name, os.path.basename(__file__))]
        assert name in source and 'hostile' in source, f'{name} never meets a hostile path'


@pytest.mark.parametrize('encoding', ['', 'ascii', 'utf-8'])
def test_check_and_convert(images, tmp_path, encoding):
    out = os.path.join(os.fsencode(str(tmp_path)), PLACE)
    cache = {'encoding': encoding, 'XDG_CACHE_HOME': str(tmp_path / 'cache')}
    _, stderr = run('scripts/convert_folder.py', images, out, **cache)
    assert b'skipped ' in stderr and rb'/bad\xff\n\x1b[31m.jpg: ' in stderr
    with open(os.path.join(out, b'labels.txt'), 'rb') as file:
        labels = file.read().decode('utf-8').splitlines()
    assert labels == ['0:caf\\xe9', "1:it's [1] $a$", '2:你好 кот']
    counts = os.path.join(out, b'counts\xe9.csv')
    stdout, _ = run('scripts/check_dataset.py', out, b'--counts_csv=' + counts, **cache)
    assert b'all good' in stdout
    with open(counts, encoding='utf-8', newline='') as file:
        names = [row[1] for row in csv.reader(file)]
    assert names == ['class', 'caf\\xe9', "it's [1] $a$", '你好 кот']


def test_findings_in_a_folder_of_images(images, tmp_path):
    env = dict(os.environ, LC_ALL='C', PYTHONIOENCODING='ascii', XDG_CACHE_HOME=str(tmp_path))
    command = [sys.executable, os.path.join(ROOT, 'scripts/check_dataset.py'), images]
    done = subprocess.run(command + ['--dataset_name=folder'], env=env, capture_output=True)
    assert done.returncode == 1 and rb'bad\xff\n\x1b[31m.jpg: not an image' in done.stdout, (
        done.stderr
    )
    assert b'Traceback' not in done.stderr and b'on_bad_record=skip' in done.stdout
    assert done.stderr.count(b'every 5th image held out') == 1


def test_contact_sheet(images, tmp_path):
    output = os.path.join(os.fsencode(str(tmp_path)), PLACE + b'.png')
    folder = [b'--dataset_dir=' + images, '--dataset_name=folder', '--on_bad_record=skip']
    sheet = ['--batch_size=8', '--image_size=32', b'--output=' + output]
    run('scripts/show_batch.py', *folder, *sheet, encoding='ascii')
    assert os.path.getsize(output) > 1000


def test_a_name_is_one_line_of_a_table(capsys):
    best = {'class': 1, 'name': 'c\n\td', 'probability': 0.5}
    predict.print_table([{'image': 'a\nb.jpg', 'top': [best]}])
    assert capsys.readouterr().out == 'a\\nb.jpg\n   50.0%     1  c\\n\\td\n'
    named, unnamed = (argparse.Namespace(class_names=names) for names in (['c\n\td'], None))
    assert check_dataset.class_name(named, 0) == '0 c\\n\\td'
    assert check_dataset.class_name(unnamed, 0) == '0'


OPTIONS = {'encoding': 'ascii'}


@pytest.fixture(scope='module')
def trained(images, tmp_path_factory):
    """The folder of a run of two steps, resumed between them, with a dump of the second."""
    train_dir = os.path.join(os.fsencode(str(tmp_path_factory.mktemp('run'))), PLACE)
    folder = [b'--dataset_dir=' + images, '--dataset_name=folder', '--on_bad_record=skip']
    small = ['--image_size=32', '--batch_size=4', '--preprocessing_name=none']
    for steps in (1, 2):
        flags = ['--model_name=mobilenet_v1_025', f'--max_train_steps={steps}']
        flags += ['--learning_rate_decay_type=fixed', f'--dump_steps={steps - 1}']
        flags += [b'--train_dir=' + train_dir]
        _, stderr = run('train_loop.py', *folder, *small, *flags, **OPTIONS)
    assert b'3 classes' in stderr and b'every 5th image held out' in stderr
    return train_dir


def test_evaluation(images, trained):
    train_dir = trained
    folder = [b'--dataset_dir=' + images, '--dataset_name=folder', '--on_bad_record=skip']
    run('eval_loop.py', b'--checkpoint_path=' + train_dir, '--per_class', *folder, **OPTIONS)
    with open(os.path.join(train_dir, b'per_class-2.csv'), encoding='utf-8', newline='') as file:
        assert [row[1] for row in csv.reader(file)][1:] == ['caf\\xe9', "it's [1] $a$", '你好 кот']
    assert os.path.getsize(os.path.join(train_dir, b'confusion-2.png')) > 1000


def scripts(*commands):
    """Runs [script, argument, …] lists in one process; each has to end with 0. Gives stdout."""
    words = [word for command in commands for word in ['--then', *command]]
    stdout, stderr = run('tests/helpers/scripts_in_one.py', *words, **OPTIONS)
    for script, *_ in commands:
        assert f'{script}: status 0\n'.encode() in stderr, stderr
    assert stderr.count(b': status 0\n') == len(commands), stderr
    return stdout


def test_weights_pictures_and_dumps(images, trained, tmp_path):
    out = os.path.join(os.fsencode(str(tmp_path)), PLACE)
    os.mkdir(out)
    picture = os.path.join(images, CLASSES[0], CLASSES[0] + b'1.jpg')
    names, dumps = os.path.join(out, b'names\xe9.txt'), os.path.join(trained, b'dumps')
    with open(names, 'w') as file:
        file.write('one\ntwo\nthree\n')
    weights = b'--checkpoint_path=' + trained
    frozen = b'--checkpoint_path=' + os.path.join(out, b'exported', b'mobilenet_v1_025_frozen.pb')
    stdout = scripts(
        ['scripts/inspect_checkpoint.py', trained],
        ['scripts/predict.py', picture, weights, b'--sheet=' + os.path.join(out, b'sheet.png')],
        ['scripts/export.py', weights, b'--output_dir=' + os.path.join(out, b'exported')],
        [
            'scripts/predict.py',
            picture,
            frozen,
            '--image_size=32',
            b'--class_names=' + names,
            '--json',
        ],
        ['scripts/plot_run.py', trained, b'--output=' + os.path.join(out, b'run.png')],
        ['scripts/scaling_model.py', '--step_seconds=1', b'--plot=' + os.path.join(out, b's.png')],
        [
            'scripts/compare_dumps.py',
            *(dumps, dumps, b'--csv=' + os.path.join(out, b'dumps.csv')),
            b'--html=' + os.path.join(out, b'dumps.html'),
        ],
    )
    answers = json.JSONDecoder().raw_decode(stdout[stdout.index(b'[\n {') :].decode())[0]
    assert answers[0]['image'] == os.fsdecode(picture)
    assert b'no tensor differs' in stdout and b'mobilenet_v1_025' in stdout and b'three' in stdout
    files = {'sheet.png', 's.png', 'run.png', 'run.html', 'dumps.csv', 'dumps.html', 'exported'}
    assert files <= {name.decode() for name in os.listdir(out) if name.isascii()}


def test_imagenet_and_rank_tables(images, tmp_path):
    place = os.path.join(os.fsencode(str(tmp_path)), PLACE)
    synset = os.path.join(place, b'train', b'n01440764')
    os.makedirs(synset)
    for name in os.listdir(os.path.join(images, CLASSES[1])):
        os.link(os.path.join(images, CLASSES[1], name), os.path.join(synset, b'\xe9' + name))
    conf, table = os.path.join(place, b'hccn.conf'), os.path.join(place, b'table.json')
    merged = os.path.join(place, b'merged.json')
    with open(conf, 'w') as file:
        file.write('address_0=192.168.1.1\n')
    out, make = os.path.join(place, b'out'), 'scripts/make_rank_table.py'
    stdout = scripts(
        [
            *('scripts/convert_imagenet.py', out, '--train_shards=2'),
            b'--train_dir=' + os.path.join(place, b'train'),
        ],
        ['scripts/check_dataset.py', out],
        [make, b'--hccn_conf=' + conf, '--devices=0', '--server_id=10.0.0.1', '-o', table],
        [make, 'merge', table, '-o', merged],
    )
    assert b'train: 6 images of 1 class' in stdout and os.path.getsize(merged) > 100
