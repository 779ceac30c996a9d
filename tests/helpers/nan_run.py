"""train_loop.py with a NaN in the pixels of record NAN_RECORD of the digits: nan_run.py FLAGS…"""

import io
import os
import sys

import numpy as np
from PIL import Image

import data
from mobilenet import command, devices
import train_loop

train_loop.__file__ = __file__  # what the launcher starts as a rank
devices.import_tensorflow()


def main(record, argv):
    from data import preprocess

    encoded = data.open_dataset('digits', None, 'train').read(record)[0]
    marked = np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB')).tobytes()
    render = preprocess.render

    def poisoned(image, size, flip, colour, out):
        render(image, size, flip, colour, out=out)
        if image.tobytes() == marked:
            out[3, 4, 1] = np.nan
        return out

    preprocess.render = poisoned
    return train_loop.main(argv)


if __name__ == '__main__':
    command.leave(
        command.status_of(
            'train_loop.py', lambda: main(int(os.environ['NAN_RECORD']), sys.argv[1:])
        )
    )
