"""Files of checkpoints, without TensorFlow's: which are there, whole, named, unharmed, how good."""

import hashlib
import os
import subprocess

import pytest

from mobilenet.checkpoints import checksums, names, position
from mobilenet.errors import UsageError

ONE_SHARD = ('.index', '.data-00000-of-00001')


def put(folder, name, suffixes=ONE_SHARD, content=b'x'):
    os.makedirs(str(folder), exist_ok=True)
    prefix = os.path.join(str(folder), name)
    for suffix in suffixes:
        with open(prefix + suffix, 'wb') as f:
            f.write(content + suffix.encode())
    return prefix


def write(path, text):
    with open(str(path), 'w') as f:
        f.write(text)


def test_steps_in_names():
    assert names.step_of('a-3/model.ckpt-120') == 120
    assert names.step_of('a-3/model.ckpt') == -1 and names.step_of('model.ckpt-x') == -1
    assert names.prefix_of('a', 7) == os.path.join('a', 'model.ckpt-7')


def test_files_of_a_checkpoint_and_of_no_other(tmp_path):
    suffixes = ('.data-00000-of-00001', '.eval.json', '.index', '.json', '.meta', '.sha256')
    prefix = put(tmp_path, 'model.ckpt-1', suffixes)
    put(tmp_path, 'model.ckpt-10', suffixes)
    put(tmp_path, 'model.ckpt-1', ('.txt', '.index.bak', '.data-1', '-of'))
    found = [path[len(prefix) :] for path in names.files_of(prefix)]
    assert found == ['.index', '.data-00000-of-00001'] + list(suffixes[1:2] + suffixes[3:])
    assert names.files_of(str(tmp_path / 'nowhere' / 'model.ckpt-1')) == []


def test_files_of_a_checkpoint_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put('.', 'model.ckpt-1')
    assert names.files_of('model.ckpt-1') == ['model.ckpt-1' + suffix for suffix in ONE_SHARD]


@pytest.mark.parametrize(
    'suffixes,whole',
    [
        (ONE_SHARD, True),
        (('.index',), False),
        (('.data-00000-of-00001',), False),
        (('.index', '.data-00000-of-00002'), False),
        (('.index', '.data-00001-of-00002'), False),
        (('.index', '.data-00000-of-00002', '.data-00001-of-00002'), True),
        (('.index', '.data-00000-of-00000'), False),
        (('.index', '.json', '.sha256'), False),
    ],
)
def test_whole_checkpoints(tmp_path, suffixes, whole):
    prefix = put(tmp_path, 'model.ckpt-5', suffixes)
    assert names.is_whole(prefix) is whole
    assert names.in_folder(str(tmp_path)) == ([prefix] if whole else [])


def test_a_folders_checkpoints_in_order_of_step(tmp_path):
    found = [put(tmp_path, name) for name in ('other-2', 'model.ckpt-9', 'model.ckpt-10')]
    assert names.in_folder(str(tmp_path)) == found
    assert names.of_run(str(tmp_path)) == found[1:]
    put(tmp_path, 'mobilenet-of-model.ckpt-3')
    put(tmp_path, 'modelXckpt-3')
    assert names.of_run(str(tmp_path)) == found[1:]


def test_a_runs_own_that_lack_a_part(tmp_path):
    """In order of step; the rest of a deleted one, without index or data, is none of them."""
    no_data = put(tmp_path, 'model.ckpt-20', ('.index', '.json'))
    no_index = put(tmp_path, 'model.ckpt-3', ('.data-00000-of-00001',))
    half = put(tmp_path, 'model.ckpt-100', ('.index', '.data-00001-of-00002'))
    put(tmp_path, 'model.ckpt-4')
    put(tmp_path, 'other-5', ('.index',))
    put(tmp_path, 'model.ckpt-6', ('.json', '.sha256'))
    assert names.torn(str(tmp_path)) == [no_index, no_data, half]
    assert names.torn(str(tmp_path / 'nowhere')) == []


def test_the_hint(tmp_path):
    folder = str(tmp_path)
    assert names.hint(folder) == (None, [])
    prefixes = [put(tmp_path, f'model.ckpt-{step}') for step in (1, 2)]
    names.write_hint(folder, prefixes)
    assert names.hint(folder) == (prefixes[1], prefixes)
    assert (tmp_path / 'checkpoint').read_text() == (
        'model_checkpoint_path: "model.ckpt-2"\n'
        'all_model_checkpoint_paths: "model.ckpt-1"\n'
        'all_model_checkpoint_paths: "model.ckpt-2"\n'
    )
    write(tmp_path / 'checkpoint', 'all_model_checkpoint_paths: "a"\n')
    assert names.hint(folder) == (None, [os.path.join(folder, 'a')])
    write(tmp_path / 'checkpoint', '  model_checkpoint_path : "/b\\303\\244/\\"c\\""  \n')
    assert names.hint(folder) == ('/bä/"c"', [])
    for odd in ('model_checkpoint_path: "a', 'model_checkpoint_path: ""', 'x', '\0' * 50):
        write(tmp_path / 'checkpoint', odd)
        assert names.hint(folder) == (None, [])


def test_odd_lines_of_a_hint(tmp_path):
    """The first name counts; what is no string of a path is passed over, and the rest is read."""
    path = tmp_path / 'checkpoint'
    write(path, 'model_checkpoint_path: "a"\nmodel_checkpoint_path: "b"\n')
    assert names.hint(str(tmp_path)) == (str(tmp_path / 'a'), [])
    write(path, 'model_checkpoint_path: "a\\000b"\n')
    assert names.hint(str(tmp_path)) == (None, [])
    write(path, 'all_model_checkpoint_paths: "\\x"\nall_model_checkpoint_paths: "c"\n')
    assert names.hint(str(tmp_path)) == (None, [str(tmp_path / 'c')])


def test_a_hint_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for step in (1, 2, 3):
        put('.', f'model.ckpt-{step}')
    names.write_hint('.', ['model.ckpt-2'])
    assert names.to_resume('.')[0] == ['./model.ckpt-2', './model.ckpt-1']


def test_a_hint_is_read_up_to_a_megabyte(tmp_path):
    line = 'model_checkpoint_path: "a"\n'
    write(tmp_path / 'checkpoint', line + '#' * ((1 << 20) - len(line)))
    assert names.hint(str(tmp_path))[0] == str(tmp_path / 'a')
    write(tmp_path / 'checkpoint', line + '#' * ((1 << 20) - len(line) + 1))
    assert names.hint(str(tmp_path)) == (None, [])


def test_the_newest_goes_on_but_where_a_person_names_an_older_one(tmp_path):
    folder = str(tmp_path)
    assert names.to_resume(folder) == ([], None) and names.latest(folder) is None
    one, two, three = [put(tmp_path, f'model.ckpt-{step}') for step in (1, 2, 3)]
    assert names.to_resume(folder) == ([three, two, one], None)
    names.write_hint(folder, [three])
    assert names.to_resume(folder) == ([three, two, one], None)
    names.write_hint(folder, [two])
    found, reason = names.to_resume(folder)
    assert found == [two, one] and three in reason and 'the file checkpoint' in reason
    assert names.latest(folder) == two
    write(tmp_path / 'checkpoint', 'model_checkpoint_path: "model.ckpt-7"\n')
    assert names.to_resume(folder) == ([three, two, one], None)
    put(tmp_path / 'other', 'model.ckpt-2')
    write(tmp_path / 'checkpoint', 'model_checkpoint_path: "other/model.ckpt-2"\n')
    assert names.latest(folder) == three


def test_paths_of_checkpoints(tmp_path):
    with pytest.raises(UsageError, match=r'^--checkpoint_path=.*: no checkpoint in this folder'):
        names.resolve(str(tmp_path))
    other = put(tmp_path, 'other-3')
    assert names.resolve(str(tmp_path)) == other
    put(tmp_path, 'other-1')
    assert names.resolve(str(tmp_path)) == other
    own = put(tmp_path, 'model.ckpt-1')
    assert names.resolve(str(tmp_path)) == own
    for path in (own, own + '.index', own + '.data-00000-of-00001', own + '.meta', own + '.json'):
        assert names.resolve(path) == own
    with pytest.raises(UsageError, match=r'^--flag=.*model.ckpt-2: no such checkpoint'):
        names.resolve(str(tmp_path / 'model.ckpt-2'), '--flag')
    with pytest.raises(UsageError, match=f'^{tmp_path}.*: no such checkpoint'):
        names.resolve(str(tmp_path / 'model.ckpt-2'), flag=None)


def test_checksums_are_those_of_sha256sum(tmp_path):
    prefix = put(tmp_path, 'model.ckpt-1', content=b'y' * (3 << 20))
    checksums.write(prefix, names.files_of(prefix))
    done = subprocess.run(
        ['sha256sum', '--check', '--strict', 'model.ckpt-1.sha256'],
        cwd=str(tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.count(': OK') == 2
    assert checksums.verify(prefix) is True
    expected = hashlib.sha256(b'y' * (3 << 20) + b'.index').hexdigest()
    assert checksums.read(prefix)['.index'] == expected


def test_files_of_another_name_keep_their_checksums(tmp_path):
    prefix = put(tmp_path, 'model.ckpt-1')
    checksums.write(prefix, names.files_of(prefix))
    for suffix in ONE_SHARD + ('.sha256',):
        os.rename(prefix + suffix, str(tmp_path / 'best') + suffix)
    assert checksums.verify(str(tmp_path / 'best')) is True
    with open(str(tmp_path / 'best.index'), 'ab') as f:
        f.write(b'1')
    assert refusal(str(tmp_path / 'best')).startswith(f'{tmp_path}/best.index is damaged')


def test_without_checksums_nothing_is_verified(tmp_path):
    prefix = put(tmp_path, 'model.ckpt-1')
    assert checksums.read(prefix) is None and checksums.verify(prefix) is False


def refusal(prefix):
    with pytest.raises(checksums.Damaged) as raised:
        checksums.verify(prefix)
    return str(raised.value)


def test_damage_is_named(tmp_path):
    prefix = put(tmp_path, 'model.ckpt-1')
    checksums.write(prefix, names.files_of(prefix))
    good = (tmp_path / 'model.ckpt-1.sha256').read_text()
    with open(prefix + '.index', 'ab') as f:
        f.write(b'1')
    assert refusal(prefix).startswith(f'{prefix}.index is damaged')
    os.remove(prefix + '.index')
    list_file = tmp_path / 'model.ckpt-1.sha256'
    assert refusal(prefix) == (
        f'{prefix}.index, which {list_file} names: No such file or directory'
    )
    for text in ('', good + 'more\n', 'x' + good, good.replace('  ', ' ', 1)):
        list_file.write_text(text)
        assert refusal(prefix) == f'{list_file} is not a list of checksums', text
    list_file.write_text(good.replace('.index', '.other'))
    assert refusal(prefix) == f'{list_file} has no checksum of the index'
    list_file.unlink()
    list_file.mkdir()
    assert refusal(prefix) == f'{list_file}: Is a directory'


def test_a_list_of_checksums_is_short_text(tmp_path):
    prefix = put(tmp_path, 'model.ckpt-1')
    checksums.write(prefix, names.files_of(prefix))
    list_file = tmp_path / 'model.ckpt-1.sha256'
    good = list_file.read_bytes()
    for content in (b'\xff' + good, good * ((3 << 19) // len(good))):
        list_file.write_bytes(content)
        assert refusal(prefix) == f'{list_file} is not a list of checksums'


FACTS = {'run': 'r', 'step': 3, 'batches': 4, 'records': 32, 'world_size': 1, 'batch_size': 8}


def test_where_a_run_stood(tmp_path):
    prefix = str(tmp_path / 'model.ckpt-3')
    assert position.read(prefix) == {}
    position.write(prefix, FACTS)
    assert os.listdir(str(tmp_path)) == ['model.ckpt-3.json'] and position.read(prefix) == FACTS
    position.write(prefix, dict(FACTS, step=0))
    assert position.read(prefix)['step'] == 0
    for name in ('step', 'batches', 'records', 'world_size', 'batch_size'):
        for wrong in (-1, '3', None, 1.5, True):
            position.write(prefix, dict(FACTS, **{name: wrong}))
            assert position.read(prefix) == {}, (name, wrong)


def test_how_good_it_was(tmp_path):
    prefix = str(tmp_path / 'model.ckpt-3')
    assert position.top1(prefix) is None
    for value, found in ((0.5, 0.5), (1, 1.0), (0, 0.0), ('0.5', None), (True, None)):
        position.mark(prefix, {'top1': value, 'top5': 0.9})
        assert position.top1(prefix) == found
        assert found is None or isinstance(position.top1(prefix), float)
    position.mark(prefix, {'top1': float('nan')})
    assert position.top1(prefix) is None
    assert os.listdir(str(tmp_path)) == ['model.ckpt-3.eval.json']
