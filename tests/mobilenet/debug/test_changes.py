"""What `set` of the stepper makes of a variable's value."""

import types

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import state
from mobilenet.debug import changes
from mobilenet.debug.names import Item
from mobilenet.errors import UsageError

OLD = np.float32([[1, 2, 3], [4, 5, 6]])
VARIABLE = types.SimpleNamespace(shape=tf.TensorShape([2, 3]))


def changed(text, name='weight:x', old=OLD):
    return changes.change(VARIABLE, name, text)(old)


def same(found, expected):
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert np.array_equal(found, expected)


def test_a_number_and_a_factor():
    same(changed('0.5'), np.full([2, 3], 0.5, np.float32))
    same(changed('-2e3'), np.full([2, 3], -2000, np.float32))
    same(changed('*1.5'), np.float32([[1.5, 3, 4.5], [6, 7.5, 9]]))
    assert np.isnan(changed('nan')).all() and np.isinf(changed('inf')).all()


def test_the_kind_of_number_stays():
    same(changed('2', old=np.int64(7)), np.array(2, np.int64))
    same(changed('*2', old=np.array(7, np.int64)), np.array(14, np.int64))
    same(changed('*2', old=OLD.astype(np.float16)), (2 * OLD).astype(np.float16))


@pytest.mark.parametrize('text', ['', '*', 'x', '*x', 'X5', '0,5', 'schedule', '5*'])
def test_what_is_no_number(text):
    with pytest.raises(UsageError, match='is no number: set NAME 0.5, NAME '):
        changed(text)


def test_a_rate_goes_back_to_its_schedule():
    """The rate that the training step takes for none set: mobilenet/state.py."""
    found = changed('schedule', 'learning_rate', np.float32(0.1))
    assert found.dtype == np.float32 and found == state.SCHEDULED < 0


def test_a_rate_may_be_0_and_a_loss_scale_may_not():
    assert changed('0', 'learning_rate', np.float32(0.1)) == 0
    for text in ('-1', 'inf', 'nan', '1e39', '*inf'):
        with pytest.raises(UsageError, match='learning_rate must be 0 or more, and finite'):
            changed(text, 'learning_rate', np.float32(0.1))
    assert changed('0.5', 'loss_scale', np.float32(8)) == 0.5
    assert changed('*0.125', 'loss_scale', np.float32(8)) == 1
    for text in ('0', '-1', 'inf', 'nan', '*0'):
        with pytest.raises(UsageError, match='loss_scale must be above 0, and finite'):
            changed(text, 'loss_scale', np.float32(8))


def test_an_array_of_a_file(tmp_path):
    path = str(tmp_path / 'new.npy')
    np.save(path, np.float64([[6, 5, 4], [3, 2, 1]]))
    same(changed(path), np.float32([[6, 5, 4], [3, 2, 1]]))
    for array in (np.ones([3, 2]), np.ones(6), np.ones([2, 3, 1])):
        np.save(path, array)
        with pytest.raises(UsageError) as raised:
            changed(path)
        shape = list(array.shape)
        assert str(raised.value) == f'{path}: shape {shape}, weight:x has [2, 3]'
    with pytest.raises(UsageError, match=f'^{tmp_path}/gone.npy: no such file'):
        changed(str(tmp_path / 'gone.npy'))
    np.save(path, np.array([[1, 2, 3], [4, 5, 'x']], object), allow_pickle=True)
    with pytest.raises(UsageError, match=f'^{path}: '):
        changed(path)
    rate = str(tmp_path / 'rate.npy')
    np.save(rate, np.float32(-1))
    variable = types.SimpleNamespace(shape=tf.TensorShape([]))
    with pytest.raises(UsageError, match='learning_rate must be'):
        changes.change(variable, 'learning_rate', rate)(np.float32(0.1))


def test_what_can_be_set():
    items = {
        'weight:a': [Item('weight:a', 'weight', 'a', 'W')],
        'slot:*': [Item('slot:a', 'slot', 'a', 'S'), Item('slot:b', 'slot', 'b', 'T')],
        'act:a': [Item('weight:a', 'weight', 'a', 'W'), Item('act:a', 'act', 'a', 'A')],
    }
    names = types.SimpleNamespace(select=items.__getitem__)
    of_step = types.SimpleNamespace(loss_scale='L', rate_override='R')
    assert changes.settable(names, of_step, 'loss_scale') == [('L', 'loss_scale')]
    assert changes.settable(names, of_step, 'learning_rate') == [('R', 'learning_rate')]
    assert changes.settable(names, of_step, 'weight:a') == [('W', 'weight:a')]
    assert changes.settable(names, of_step, 'slot:*') == [('S', 'slot:a'), ('T', 'slot:b')]
    with pytest.raises(UsageError, match='^act:a is computed: '):
        changes.settable(names, of_step, 'act:a')
