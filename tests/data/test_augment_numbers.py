"""The numbers of augmentation, bit by bit: a run that is resumed must find them again."""

import hashlib

import numpy as np

from data import augment

FROZEN = '797095c789835603e0884ac1ee6d028b7f852b98878dcc49a0db2d6713ae7759'


def key(seed, epoch, record):
    return np.uint64(augment.key_of(seed, epoch, record))


def test_the_hash_is_splitmix64():
    """The first outputs of the published generator from the seed 1234567."""
    states = [np.uint64((1234567 + (i + 1) * int(augment.GOLDEN)) % 2**64) for i in range(3)]
    assert [int(augment.mix(state)) for state in states] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_a_number_below_a_limit():
    value = key(0, 0, 0)
    for limit in (1, 2, 7, 100):
        drawn = [augment.below(value, draw, limit) for draw in range(50 * limit)]
        assert set(drawn) == set(range(limit))
    assert augment.below(value, 3, 0) == 0 and augment.below(value, 3, -4) == 0


def test_the_numbers_are_frozen():
    """A run that is resumed with a later version must find its windows and colours again."""
    boxes = [
        np.zeros([0, 4], np.float32),
        np.array([[0.1, 0.6, 0.3, 0.8]], np.float32),
        np.array([[0.5, 0.5, 0.5, 0.7], [-1, 0, 0.2, 0.2], [0, 0.9, 0.05, 2]], np.float32),
    ]
    whole = hashlib.sha256()
    for name in ('inception_v2', 'vgg', 'none'):
        for training in (True, False):
            for height, width in ((375, 500), (60, 400), (500, 90), (9, 7), (1, 1), (224, 224)):
                for i in range(60):
                    value = key(i % 4, i // 7, i)
                    window, flip, colour = augment.plan(
                        name, 224 - i, value, height, width, boxes[i % 3], training
                    )
                    whole.update(window.tobytes() + bytes([flip]) + colour.tobytes())
    assert whole.hexdigest() == FROZEN


def test_windows_of_an_evaluation_by_hand():
    none = np.zeros([0, 4], np.float32)

    def window(name, height, width, size=224):
        return augment.plan(name, size, key(0, 0, 0), height, width, none, False)[0].tolist()

    # tf.image.central_crop(image, 0.875): (h - h * 0.875) / 2, whole pixels, on both sides
    assert window('inception_v2', 375, 500) == [23, 31, 329, 438]
    # 224 of 256 pixels of the smaller side, from the middle
    assert window('vgg', 375, 500) == [23, 86, 328, 328]
    assert window('vgg', 500, 375) == [86, 23, 328, 328]
    assert window('vgg', 100, 100, 112) == [6, 6, 88, 88]
    assert window('none', 375, 500) == [0, 0, 375, 500]
