#!/usr/bin/env python3
"""Writes a trained network for others: SavedModel, frozen graph, ATC, TFLite, ONNX, TF-slim.

    python scripts/export.py --checkpoint_path results/train --output_dir results/exported
    python scripts/export.py --checkpoint_path model.ckpt-5000 --output_dir results/exported \\
        --format frozen,atc,tflite --fold

What is written is read back and run on random images: its logits must be the checkpoint's, to 1e-5
of the largest (folded, TFLite and ONNX: 1e-4), else status 1.
"""

import os
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import data
from mobilenet import (
    class_labels,
    command,
    devices,
    flag_types,
    flags,
    json_files,
    text,
    weight_flags,
)
from mobilenet.errors import Failure
from scripts import tool

FORMATS = ('saved_model', 'frozen', 'atc', 'tflite', 'onnx', 'slim')
IMAGE_FLAGS = ('preprocessing_name', 'image_size')
IMAGES = 4
TOLERANCE, LOOSE = 1e-5, 1e-4


def formats(text):
    """'frozen,onnx' -> ['frozen', 'onnx']."""
    import argparse

    chosen = flag_types.names(text)
    for name in chosen or ['']:
        if name not in FORMATS:
            known = ', '.join(FORMATS)
            raise argparse.ArgumentTypeError(f'{name!r} is no format: use some of {known}')
    return chosen


OUTPUT = [
    flag_types.flag('output_dir', 'where to; made if it is not there', 'results/exported'),
    flag_types.flag(
        'format',
        f'which, of {",".join(FORMATS)}',
        ['saved_model', 'frozen'],
        formats,
        metavar='A,B',
    ),
    flag_types.flag(
        'fold', 'batch norm within the weights, for all but slim', False, flag_types.boolean
    ),
    flag_types.flag(
        'input',
        'of saved_model and frozen: float in -1..1, uint8, or bytes of JPEG or PNG files, decoded, '
        'cut and resized within',
        'float',
        choices=('float', 'uint8', 'bytes'),
    ),
    flag_types.flag('atc_batch_size', 'of atc, whose shapes are static', 1, flag_types.count()),
    flag_types.flag('atc_layout', 'of atc: of its input', 'NHWC', choices=('NHWC', 'NCHW')),
    flag_types.flag('soc_version', 'of atc: the chip, as its command line names it', 'Ascend310'),
    flag_types.flag(
        'onnx_env',
        'of onnx: folder of the environment for tf2onnx and onnxruntime, made by pip at the first '
        'use',
        text.cache_dir('onnx'),
    ),
]


def parse(argv):
    parser = flag_types.Parser(
        prog='export.py', description=__doc__.split('\n\n')[0], allow_abbrev=False
    )
    flag_types.add_group(parser, 'model', weight_flags.WEIGHTS)
    table = [f for f in flags.data_flags((), data.PREPROCESSING_NAMES) if f.name in IMAGE_FLAGS]
    flag_types.add_group(parser, 'images', table)
    flag_types.add_group(parser, 'output', OUTPUT)
    return tool.parse_with_trained(parser, argv, IMAGE_FLAGS)


class Export:
    """A trained network on its way out. A method a format writes it and gives (path, logits of
    what was written, those wanted, tolerance).
    """

    def __init__(self, args, trained, names, scratch):
        import numpy as np

        from mobilenet.export.inference_graph import Input

        self.args, self.trained, self.names, self.scratch = args, trained, names, scratch
        self._made = os.path.join(scratch, 'made')
        os.makedirs(self._made, exist_ok=True)
        size = args.image_size
        self.pixels = np.random.RandomState(0).randint(0, 256, [IMAGES, size, size, 3], np.uint8)
        self.images = self.pixels.astype(np.float32) * np.float32(2 / 255.0) - np.float32(1)
        self.plain = Input('float', size, None, 'NHWC', None)
        self.tolerance = LOOSE if args.fold else TOLERANCE
        self.wanted = self.logits(self.images)

    def freeze(self, entry, names=None):
        from mobilenet.export import inference_graph

        return inference_graph.freeze(self.trained, entry, self.args.fold, names)

    def logits(self, images):
        """The checkpoint's own, without folding."""
        from mobilenet.export import inference_graph

        graph = inference_graph.freeze(self.trained, self.plain, fold=False)
        return inference_graph.run(graph, images)

    def path(self, suffix):
        """Where a format is made and checked: any name of --output_dir would not do, TensorFlow's
        writers take paths in UTF-8 alone.
        """
        return os.path.join(self._made, self.trained.model_name + suffix)

    def final(self, path):
        return os.path.join(self.args.output_dir, os.path.basename(path))

    def put_in_place(self):
        """Moves what was made to --output_dir."""
        for name in os.listdir(self._made):
            target = self.final(name)
            if os.path.isdir(target):
                shutil.rmtree(target)
            shutil.move(os.path.join(self._made, name), target)

    def chosen_input(self):
        """(Input of --input, what to check it with, the logits wanted, tolerance)."""
        entry = self.plain._replace(kind=self.args.input)
        if self.args.input == 'float':
            return entry, self.images, self.wanted, self.tolerance
        if self.args.input == 'uint8':
            return entry, self.pixels, self.wanted, self.tolerance
        from data import serving

        name = self.args.preprocessing_name
        entry = entry._replace(preprocess=serving.preprocessor(name))
        paths = write_pngs(self.scratch, self.pixels)
        files = [open(path, 'rb').read() for path in paths]
        return entry, files, self.logits(preprocessed(paths, self.args)), LOOSE

    def saved_model(self):
        from mobilenet.export import formats

        entry, inputs, wanted, tolerance = self.chosen_input()
        path = self.path('_saved_model')
        formats.write_saved_model(path, self.freeze(entry, self.names), self.names)
        write_config(path, self.args)
        return path, formats.run_saved_model(path, inputs), wanted, tolerance

    def frozen(self):
        from mobilenet.export import formats

        entry, inputs, wanted, tolerance = self.chosen_input()
        path = formats.write_frozen(self.path('_frozen.pb'), self.freeze(entry, self.names))
        return path, formats.run_frozen(path, inputs), wanted, tolerance

    def atc(self):
        import numpy as np

        from mobilenet.export import formats

        batch_size, layout = self.args.atc_batch_size, self.args.atc_layout
        entry = self.plain._replace(batch_size=batch_size, layout=layout)
        path = formats.write_frozen(self.path('_atc.pb'), self.freeze(entry))
        images = np.resize(self.images, (batch_size,) + self.images.shape[1:])
        wanted = self.logits(images)
        inputs = images if layout == 'NHWC' else images.transpose(0, 3, 1, 2)
        print(formats.atc_command(self.final(path), entry, self.args.soc_version))
        return path, formats.run_frozen(path, inputs), wanted, self.tolerance

    def tflite(self):
        from mobilenet.export import formats

        one = self.plain._replace(batch_size=1)
        path = formats.write_tflite(self.path('.tflite'), self.freeze(one))
        return path, formats.run_tflite(path, self.images), self.wanted, LOOSE

    def onnx(self):
        from mobilenet.export import formats, onnx

        python = onnx.environment(self.args.onnx_env)
        graph = os.path.join(self.scratch, 'graph.pb')
        formats.write_frozen(graph, self.freeze(self.plain))
        path = onnx.write(self.path('.onnx'), graph, python)
        return path, onnx.run(path, self.images, python, self.scratch), self.wanted, LOOSE

    def slim(self):
        from mobilenet.export import formats
        from mobilenet.weights import network

        path = formats.write_slim(self.path('.ckpt'), self.trained)
        again = network.load(path, self.trained.model_name, not self.args.no_ema)
        other = Export(self.args, again, None, self.scratch)
        return path, other.wanted, self.wanted, TOLERANCE


def write_config(folder, args):
    """Beside what is written, how its images are made: predict.py and eval_loop.py look there. A
    run's own config.json stays.
    """
    if 'train_dir' not in command.read_config(folder):
        values = {name: getattr(args, name) for name in IMAGE_FLAGS}
        json_files.write_object(os.path.join(folder, 'config.json'), values)


def write_pngs(folder, pixels):
    from PIL import Image

    paths = []
    for i, image in enumerate(pixels):
        paths.append(os.path.join(folder, f'{i}.png'))
        Image.fromarray(image).save(paths[-1])
    return paths


def preprocessed(paths, args):
    """float32 [n, size, size, 3]: image files as an evaluation gives them to the network."""
    import tensorflow as tf

    from data.image_list import ImageList

    size, name = args.image_size, args.preprocessing_name
    pipeline = data.EvalPipeline(ImageList([(path, 0) for path in paths]), len(paths), size, name)
    with tf.Graph().as_default(), tf.Session() as sess:
        iterator = tf.data.make_initializable_iterator(pipeline.dataset())
        images = iterator.get_next()[0]
        sess.run(iterator.initializer)
        return sess.run(images)


def check(path, logits, wanted, tolerance):
    """Prints how far what was written is from the checkpoint. Raises Failure if too far."""
    import numpy as np

    error = float(np.abs(logits - wanted).max() / max(np.abs(wanted).max(), 1e-30))
    if not error < tolerance:
        raise Failure(
            f'{path}: its logits differ from the checkpoint by {error:.1e} of the largest, more '
            f'than {tolerance:.0e}: it is not written'
        )
    print(f'{path}: logits as of the checkpoint to {error:.1e} of the largest', flush=True)


def main():
    args = parse(sys.argv[1:])
    devices.import_tensorflow()
    from data import examples
    from mobilenet.weights import network

    trained = network.load(args.checkpoint_path, args.model_name, not args.no_ema, args.class_names)
    command.make_folder(args.output_dir, '--output_dir')
    write_config(args.output_dir, args)
    # A graph's strings are UTF-8.
    names = trained.names and [text.printable(name) for name in trained.names]
    if names:
        path = os.path.join(args.output_dir, class_labels.LABELS_FILE)
        text.write_text(path, examples.labels_text(names))
    averaged = 'averages (EMA)' if trained.averaged else 'raw weights'
    print(
        f'{trained.weights.path}: {trained.model_name}, {trained.num_classes} classes, {averaged}'
    )
    with tempfile.TemporaryDirectory() as scratch:
        export = Export(args, trained, names, scratch)
        for name in args.format:
            path, *logits = getattr(export, name)()
            check(export.final(path), *logits)
            export.put_in_place()
    return 0


if __name__ == '__main__':
    tool.run(main)
