"""Arithmetic on all weights, by TensorFlow's ops and by ours, against numpy to the bit."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from mobilenet import multi_tensor, native

# The last is long enough for several threads, whose borders lie within it and others.
SHAPES = [(), (3,), (3, 3, 5, 1), (2, 0), (17,), (257, 1031)]
RATE = np.float32(0.0137)
DECAYS = [0.0, 0.3, 4e-5, 0.1, 0.0, 4e-5]


@pytest.fixture(params=['stock', 'compiled'])
def arithmetic(request):
    return multi_tensor.Stock() if request.param == 'stock' else compiled()


def compiled():
    ops = native.load()
    if not ops:
        assert not shutil.which('g++'), 'scripts/setup.sh has not compiled the kernels'
        pytest.skip('no g++')
    return multi_tensor.Compiled(ops)


@pytest.fixture
def session():
    with tf.Graph().as_default(), tf.Session() as session:
        yield session


def normal(seed, shapes=SHAPES):
    rng = np.random.RandomState(seed)
    return [np.asarray(rng.normal(size=s), np.float32) for s in shapes]


def make_variables(prefix, values):
    return [
        tf.get_variable(f'{prefix}{i}', initializer=value, use_resource=True)
        for i, value in enumerate(values)
    ]


def assert_equal(got, expected):
    assert len(got) == len(expected)
    for one, other in zip(got, expected):
        assert one.dtype == np.float32 == other.dtype
        np.testing.assert_array_equal(one, other)


def test_gradients_are_unscaled_and_decayed(arithmetic, session):
    gradients, weights = normal(0), normal(1)
    variables = make_variables('v', weights)
    fed = [tf.placeholder(tf.float32, g.shape) for g in gradients]
    scale = tf.placeholder(tf.float32, [])  # x / 3.0 would be optimized to x * 0.333…
    results = arithmetic.unscale_and_decay(fed, scale, variables, DECAYS)
    assert [r.shape for r in results] == [v.shape for v in variables]
    for result, variable, decay in zip(results, variables, DECAYS):  # as dumps name them
        name = result.op.name
        assert name == f'decayed/{variable.op.name}' if decay else name.startswith('unscaled/')
    session.run(tf.global_variables_initializer())
    got, kept = session.run([results, fed], {scale: 3.0, **dict(zip(fed, gradients))})
    three, decays = np.float32(3), np.float32(DECAYS)
    assert_equal(
        got,
        [
            np.float32(g / three + d * w) if d else np.float32(g / three)
            for g, w, d in zip(gradients, weights, decays)
        ],
    )
    assert_equal(kept, gradients)  # in place only where nobody else reads them
    assert_equal(session.run(variables), weights)


def test_decay_is_the_gradient_of_l2_in_the_loss(arithmetic, session):
    variables = make_variables('v', normal(2))
    loss = tf.reduce_sum(tf.stack([tf.reduce_sum(tf.sin(v)) for v in variables]))
    l2 = tf.reduce_sum(tf.stack([d * tf.nn.l2_loss(v) for v, d in zip(variables, DECAYS)]))
    ours = arithmetic.unscale_and_decay(
        tf.gradients(loss * 8.0, variables), tf.constant(8.0), variables, DECAYS
    )
    session.run(tf.global_variables_initializer())
    assert_equal(*session.run([ours, tf.gradients(loss + l2, variables)]))


@pytest.mark.parametrize('bad', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('where', ['nowhere', 'first', 'end', 'border', 'twice'])
def test_one_element_that_is_not_finite_is_found(arithmetic, session, where, bad):
    tensors = normal(3)
    tensors[-1] *= 1e30  # far from 1, and from what a sum of them cannot hold
    places = {
        'nowhere': [],
        'first': [(0, ())],
        'end': [(-1, (256, 1030))],
        'border': [(-1, (0, 0))],
        'twice': [(1, 2), (-1, (100, 7))],
    }[where]
    for sign, (i, place) in zip((1, -1), places):  # +inf and -inf, which do not cancel
        tensors[i][place] = sign * bad
    fed = [tf.placeholder(tf.float32, t.shape) for t in tensors]
    finite = arithmetic.all_finite(fed)
    assert finite.shape == () and finite.dtype == tf.bool
    assert session.run(finite, dict(zip(fed, tensors))) == (where == 'nowhere')


@pytest.mark.parametrize('momentum', [0.9, 0.0])
def test_weights_move_by_momentum(arithmetic, session, momentum):
    weights, gradients = normal(4), normal(5)
    accums = [np.zeros_like(w) for w in weights]
    variables, slots = make_variables('v', weights), make_variables('m', accums)
    update = arithmetic.apply_momentum(
        variables, slots, list(map(tf.constant, gradients)), tf.constant(RATE), momentum
    )
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(update)
        accums = [np.float32(a * np.float32(momentum) + g) for a, g in zip(accums, gradients)]
        weights = [np.float32(w - a * RATE) for w, a in zip(weights, accums)]
    assert_equal(session.run(variables), weights)
    assert_equal(session.run(slots), accums)


@pytest.mark.parametrize('of', ['variables', 'tensors'])
def test_averages_move(arithmetic, session, of):
    starts, values = normal(6), normal(7)
    averages = make_variables('a', starts)
    towards = make_variables('v', values) if of == 'variables' else list(map(tf.constant, values))
    moved = arithmetic.move(averages, towards, 1.0 - tf.constant(RATE))
    session.run(tf.global_variables_initializer())
    rate = np.float32(1) - (np.float32(1) - RATE)
    expected = starts
    for _ in range(3):
        session.run(moved)
        expected = [np.float32(a - (a - v) * rate) for a, v in zip(expected, values)]
    assert_equal(session.run(averages), expected)
    assert_equal(session.run(towards), values)


def test_of_nothing_there_are_no_ops(arithmetic, session):
    assert list(arithmetic.unscale_and_decay([], tf.constant(1.0), [], [])) == []
    assert list(arithmetic.apply_momentum([], [], [], tf.constant(1.0), 0.9)) == []
    assert list(arithmetic.move([], [], tf.constant(0.9))) == []


def changes(variable, other):
    """One that changes `variable`, of each kind."""
    half = tf.constant(0.5)
    return {
        'move': lambda: compiled().move([variable], [other], half),
        'momentum': lambda: compiled().apply_momentum(
            [variable], [other], [tf.ones([5])], half, 0.9
        ),
    }


@pytest.mark.parametrize('kind', ['move', 'momentum'])
def test_who_read_a_variable_before_keeps_what_it_was(session, kind):
    """Two variables that share the memory of their value, and a read in the same run."""
    start = np.arange(5, dtype=np.float32)
    variable, sharing, other = make_variables('v', [start, start, np.zeros(5, np.float32)])
    session.run(tf.global_variables_initializer())
    session.run(sharing.assign(variable.read_value()))
    before = variable.read_value()
    with tf.control_dependencies([before]):
        changed = changes(variable, other)[kind]()
    with tf.control_dependencies(changed):
        after = variable.read_value()
    read = session.run([before, after, sharing])
    expected = start / 2 if kind == 'move' else start - np.float32(0.5)
    assert_equal(read, [start, expected, start])


@pytest.mark.parametrize('kind', ['move', 'momentum'])
@pytest.mark.parametrize('which', ['shape', 'integers', 'empty'])
def test_variables_that_do_not_fit_end_the_run(session, kind, which):
    start = np.ones(5, np.float32)
    fits, shape, integers, empty = make_variables(
        'v', [start, np.ones(4, np.float32), np.ones(5, np.int32), start]
    )
    session.run([fits.initializer, shape.initializer, integers.initializer])
    wrong = {'shape': shape, 'integers': integers, 'empty': empty}[which]
    for pair in ((fits, wrong), (wrong, fits)):
        with pytest.raises(tf.errors.OpError):
            session.run(changes(*pair)[kind]())
    assert session.run(fits).tolist() == start.tolist()


def test_a_gradient_of_another_shape_than_its_weight_ends_the_run(session):
    (variable,) = make_variables('v', [np.ones(5, np.float32)])
    session.run(variable.initializer)
    gradient = tf.placeholder(tf.float32)
    decayed = compiled().unscale_and_decay([gradient], tf.constant(1.0), [variable], [0.1])
    with pytest.raises(tf.errors.InvalidArgumentError, match='another shape'):
        session.run(decayed, {gradient: np.ones(4)})
