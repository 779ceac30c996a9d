"""The numbers of augmentation, bit by bit: a run that is resumed must find them again."""

import hashlib

import numpy as np

from data import augment

FROZEN = '797095c789835603e0884ac1ee6d028b7f852b98878dcc49a0db2d6713ae7759'
FROZEN_SMALL = 'fdcb31e295d08421d1ef50a1950832966e0ffc5f33ccd295bb0e1ea2068cf99c'
BOXES = [
    np.zeros([0, 4], np.float32),
    np.array([[0.1, 0.6, 0.3, 0.8]], np.float32),
    np.array([[0.5, 0.5, 0.5, 0.7], [-1, 0, 0.2, 0.2], [0, 0.9, 0.05, 2]], np.float32),
]


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
    assert augment.below(value, 3, 0) == 0


def test_the_numbers_are_frozen():
    """A run that is resumed with a later version must find its windows and colours again."""
    whole = hashlib.sha256()
    for name in ('inception_v2', 'vgg', 'none'):
        for training in (True, False):
            for height, width in ((375, 500), (60, 400), (500, 90), (9, 7), (1, 1), (224, 224)):
                for i in range(60):
                    value = key(i % 4, i // 7, i)
                    window, flip, colour = augment.plan(
                        name, 224 - i, value, height, width, BOXES[i % 3], training
                    )
                    whole.update(window.tobytes() + bytes([flip]) + colour.tobytes())
    assert whole.hexdigest() == FROZEN


def test_the_windows_of_small_images_are_frozen():
    """Where every pixel that is rounded another way shows."""
    sizes = [(height, width) for height in range(1, 10) for width in range(1, 10)]
    sizes += [(40, 2), (2, 40)] * 5
    whole = hashlib.sha256()
    for i, (height, width) in enumerate(sizes * 3):
        boxes = BOXES[i // len(sizes)]
        for name in ('inception_v2', 'vgg'):
            planned = augment.plan(name, 8 + i % 30, key(5, 0, i), height, width, boxes, True)
            whole.update(planned[0].tobytes())
    assert whole.hexdigest() == FROZEN_SMALL


def test_a_window_of_exactly_5_percent_is_taken():
    pixel = np.array([[0.5, 0.4, 0.75, 0.6]], np.float32)  # row 2, column 2 of 4 x 5
    windows = [
        augment.plan('inception_v2', 224, key(0, 0, i), 4, 5, pixel, True)[0].tolist()
        for i in range(300)
    ]
    assert [2, 2, 1, 1] in windows
    assert all(y <= 2 < y + h and x <= 2 < x + w for y, x, h, w in windows)


def test_a_box_ends_with_its_image():
    for beyond in ([0, 0, 1, 1.9], [0, 0, 1.9, 1], [-0.9, 0, 1, 1], [0, -0.9, 1, 1]):
        for i in range(30):
            same = [
                augment.plan('inception_v2', 224, key(1, 0, i), 30, 40, boxes, True)[0].tolist()
                for boxes in (BOXES[0], np.array([beyond], np.float32))
            ]
            assert same[0] == same[1]


def test_the_100th_attempt_is_the_last():
    """A small box in a corner, and the records whose 100th and 101st windows are the first to
    show some of it.
    """
    corner = np.array([[0, 0, 0.01, 0.01]], np.float32)
    for record, window in ((296, [2, 3, 476, 493]), (64, [0, 0, 500, 500])):
        planned = augment.plan('inception_v2', 224, key(0, 0, record), 500, 500, corner, True)
        assert planned[0].tolist() == window


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
