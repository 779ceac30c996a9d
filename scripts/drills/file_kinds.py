"""Drills on files and disks: lost, damaged, left over, changed, full, read-only."""

import os
import shutil
import subprocess

from data import digits
from drills.kinds import kind


def flip(drill, path):
    with open(path, 'r+b') as f:
        place = drill.dice.randrange(os.path.getsize(path))
        f.seek(place)
        byte = f.read(1)[0] ^ (1 << drill.dice.randrange(8))
        f.seek(place)
        f.write(bytes([byte]))


@kind()
def lost_hint(drill):
    """The file `checkpoint` is gone, empty, cut short, garbage, or names another folder's."""
    drill.half()
    path = os.path.join(drill.folder, 'checkpoint')
    with open(path, 'rb') as f:
        text = f.read()
    os.remove(path)
    elsewhere = b'model_checkpoint_path: "/gone/model.ckpt-4"\n'
    change = drill.dice.choice([None, b'', text[: len(text) // 3], os.urandom(99), elsewhere])
    if change is not None:
        with open(path, 'wb') as f:
            f.write(change)
    drill.finish()


@kind()
def edited_hint(drill):
    """A person names an older checkpoint in the file `checkpoint`: it goes on from there."""
    drill.half()
    step = drill.dice.choice(drill.steps()[:-1] or drill.steps())
    with open(os.path.join(drill.folder, 'checkpoint'), 'w') as f:
        f.write(f'model_checkpoint_path: "model.ckpt-{step}"\n')
    drill.finish(resumed=step)


@kind()
def flipped(drill):
    """A bit of the newest checkpoint is flipped: named, and the one before is taken."""
    drill.half()
    path = drill.dice.choice(drill.files(drill.newest()))
    flip(drill, path)
    drill.finish(f'{os.path.basename(path)} is damaged', resumed=drill.newest(but=1))


@kind()
def truncated(drill):
    """A file of the newest checkpoint is cut short."""
    drill.half()
    path = drill.dice.choice(drill.files(drill.newest()))
    os.truncate(path, drill.dice.randrange(os.path.getsize(path)))
    drill.finish(f'{os.path.basename(path)} is damaged', resumed=drill.newest(but=1))


@kind()
def vanished(drill):
    """A file of the newest checkpoint is gone."""
    drill.half()
    before = drill.newest(but=1)
    os.remove(drill.dice.choice(drill.files(drill.newest())))
    drill.finish('; going on without it', resumed=before)


@kind()
def odd_files(drill):
    """config.json, run.json and metrics.jsonl hold something else."""
    drill.half()
    for name in ('config.json', 'run.json'):
        text = drill.dice.choice(['null', '[]', '[' * 50000, '', '{"seed"', '{"batch_size": {}}'])
        if name == 'config.json' and 'batch_size' in text:
            text = '7'
        with open(os.path.join(drill.folder, name), 'w') as f:
            f.write(text)
    with open(os.path.join(drill.folder, 'metrics.jsonl'), 'ab') as f:
        f.write(drill.dice.choice([b'null\n', b'\xff\xfe\n', b'{"step": "', b'[' * 50000 + b'\n']))
    drill.finish('config.json')


@kind()
def leftovers(drill):
    """Half-written files of a killed save are removed."""
    drill.half()
    newest = drill.newest()
    os.makedirs(os.path.join(drill.folder, '.saving'), exist_ok=True)
    for name in (
        f'model.ckpt-{newest + 4}.data-00000-of-00001.tempstate1234567',
        f'model.ckpt-{newest + 4}.index.tempstate1234567',
        '.saving/model.ckpt-8.index',
        'config.json.tmp',
    ):
        with open(os.path.join(drill.folder, name), 'wb') as f:
            f.write(os.urandom(1000))
    drill.finish()


@kind()
def other_flags(drill):
    """Resumed with another learning rate, seed or average: refused, naming both values."""
    drill.half()
    name, value = drill.dice.choice(
        [('learning_rate', '0.06'), ('seed', '7'), ('moving_average_decay', '0.0'),
         ('optimizer', 'adam'), ('weight_decay', '0.5'), ('image_size', '40')]
    )  # fmt: skip
    refused = drill.start(flags=[f'--{name}={value}'])
    drill.expect(refused, 2, f'--{name}={value}, but .*--{name}=')
    drill.finish()


@kind()
def file_limit(drill):
    """Files may not grow beyond a limit (ulimit -f): said at the start, or when saving."""
    size = int(drill.dice.choice([0.001, 0.04, 0.15, 0.35]) * drill.checkpoint_bytes)

    # Not by preexec_fn: Python code in a fork of threads may wait for a lock for ever.
    training = drill.start(prefix=['prlimit', f'--fsize={size}:'])
    drill.expect(training, (1, 2), 'ulimit -f|File too large')
    drill.finish()


@kind()
def full_disk(drill):
    """The disk of the folder is full, from the start or soon; then there is room again."""
    size = int(drill.dice.choice([0.03, 0.4, 1.1, 2.3]) * drill.checkpoint_bytes)
    if not mount(drill.folder, f'size={size}'):
        file_limit(drill)
        return
    try:
        training = drill.start()
        drill.expect(training, (1, 2), 'No space left on device|are free: make room')
        mount(drill.folder, 'remount,size=200m')
        drill.finish()
    finally:
        unmount(drill.folder)


@kind()
def read_only(drill):
    """The folder is made read-only while it trains, or before it goes on; then writable again."""
    if not mount(drill.folder, 'size=200m'):
        leftovers(drill)
        return
    try:
        if drill.dice.random() < 0.5:
            drill.half()
            mount(drill.folder, 'remount,ro')
            drill.expect(drill.start(), 2, 'Read-only file system')
        else:
            training = drill.start()
            training.wait_for_step(drill.moment())
            mount(drill.folder, 'remount,ro')
            drill.expect(training, (0, 1), 'Read-only file system|done: ')
        mount(drill.folder, 'remount,rw')
        drill.finish()
    finally:
        unmount(drill.folder)


@kind()
def corrupted_record(drill):
    """A record of the data set is damaged: named with file and number; mended, it goes on."""
    folder = os.path.join(drill.scratch, 'digits')
    shutil.copytree(digits.ensure(), folder)
    # As imagenet: a folder of the data set digits is mended by itself.
    drill.flags = ['--dataset_name=imagenet', f'--dataset_dir={folder}']
    shard = os.path.join(folder, sorted(n for n in os.listdir(folder) if n.startswith('train-'))[0])
    with open(shard, 'rb') as f:
        whole = f.read()
    training = drill.start()
    training.wait_for_step(drill.moment())
    training.end()
    with open(shard, 'r+b') as f:
        for place in range(len(whole) // 3, len(whole), 400):
            f.seek(place)
            f.write(bytes([whole[place] ^ 1]))
    drill.expect(drill.start(), 2, f'{os.path.basename(shard)}')
    with open(shard, 'wb') as f:
        f.write(whole)
    drill.finish()


def mount(folder, options):
    """Mounts a tmpfs there, or changes it; gives whether that may be done here."""
    command = ['mount', '-t', 'tmpfs', '-o', options, 'none', folder]
    return subprocess.call(command, stderr=subprocess.DEVNULL, timeout=60) == 0


def unmount(folder):
    """Takes it off at once, whoever still has a file open there."""
    subprocess.check_call(['umount', '--lazy', folder], timeout=60)
