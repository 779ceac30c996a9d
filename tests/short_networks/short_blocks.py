"""Networks of a few blocks of each kind: how the module of each is shortened."""


def shorten_v1(module):
    module._SEPARABLE_LAYERS = ((2, 128),)


def shorten_v2(module):
    module._STAGES = ((1, 16, 1, 1), (6, 24, 2, 2))


def shorten_v3(module):
    """Of each kind of block one: relu, added back, 5x5 with squeeze, hard-swish, both."""
    kinds = {'large': (0, 1, 2, 3, 6, 10), 'small': (0, 1, 2, 3, 4)}
    module._VARIANTS = {
        name: ([blocks[i] for i in kinds[name.split('_')[0]]], *widths)
        for name, (blocks, *widths) in module._VARIANTS.items()
    }


SHORTENED = {
    'mobilenet.nets.mobilenet_v1': shorten_v1,
    'mobilenet.nets.mobilenet_v2': shorten_v2,
    'mobilenet.nets.mobilenet_v3': shorten_v3,
}
