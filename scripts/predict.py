#!/usr/bin/env python3
"""Prints the five most probable classes of images.

    python scripts/predict.py --checkpoint_path results/train photo.jpg
    python scripts/predict.py --checkpoint_path graph.pb --class_names labels.txt --json *.jpg

The weights are a checkpoint, a frozen graph or a SavedModel. Images are cut and resized as in an
evaluation. Class is the index of the network's output: with 1,001 outputs 0 is the background.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import data
from mobilenet import cores, devices, flag_types, flags, text, weight_flags
from mobilenet.errors import UsageError
from scripts import tool

TOP = 5


def make_parser():
    parser = flag_types.Parser(
        prog='predict.py', description=__doc__.split('\n\n')[0], allow_abbrev=False
    )
    parser.add_argument('images', nargs='+', metavar='IMAGE', help='JPEG, PNG or what Pillow reads')
    # Switches without a value: the word behind one is an image.
    flag_types.add_group(parser, 'model', [f for f in weight_flags.WEIGHTS if f.name != 'no_ema'])
    parser.add_argument('--no_ema', action='store_true', help='the raw weights, not their averages')
    wanted = ('preprocessing_name', 'image_size')
    table = [f for f in flags.data_flags((), data.PREPROCESSING_NAMES) if f.name in wanted]
    flag_types.add_group(parser, 'images', table)
    group = parser.add_argument_group('output')
    group.add_argument('--batch_size', type=flag_types.count(), default=16, help='default 16')
    group.add_argument(
        '--json', action='store_true', help='a list with an object an image, instead of a table'
    )
    group.add_argument('--sheet', metavar='OUT.png', help='also the images with their answers')
    return parser


def parse(argv):
    """The arguments. Image size and preprocessing are those of the training, where its config.json
    is beside the weights.
    """
    parser = make_parser()
    args = tool.parse_with_trained(parser, argv, ('preprocessing_name', 'image_size'))
    if args.sheet:
        tool.check_output(args.sheet, '--sheet', '.png')
    return args


def probabilities(args, trained):
    """(float32 [images, outputs], float32 [images, size, size, 3] as the network sees them)."""
    import numpy as np
    import tensorflow as tf

    from data.image_list import ImageList
    from mobilenet import input_errors
    from mobilenet.weights import network

    batch_size = min(args.batch_size, len(args.images))
    pipeline = data.EvalPipeline(
        ImageList([(path, 0) for path in args.images]),
        batch_size,
        args.image_size,
        args.preprocessing_name,
        num_threads=cores.count(),
    )
    found = []
    with tf.Graph().as_default(), tf.Session() as sess:
        iterator = tf.data.make_initializable_iterator(pipeline.dataset())
        images = iterator.get_next()[0]
        logits, assign = network.build(trained, images, fold='convolutions')
        answers = tf.nn.softmax(logits)
        assign(sess)
        sess.run(iterator.initializer)
        for number in range(pipeline.num_batches):
            try:
                found.append(sess.run([answers, images]))
            except tf.errors.OpError as error:
                bad = input_errors.explained(error, pipeline, number, input_errors.READ_AHEAD + 1)
                raise UsageError(str(bad).split(' (--on_bad')[0])
    return [np.concatenate(column)[: len(args.images)] for column in zip(*found)]


def best(row, names):
    """[{'class', 'name' where there are names, 'probability'}] of the most probable outputs."""
    import numpy as np

    order = np.argsort(-row, kind='stable')[:TOP]
    return [
        {'class': int(i), **({'name': names[i]} if names else {}), 'probability': float(row[i])}
        for i in order
    ]


def print_table(answers):
    for answer in answers:
        print(text.printable(answer['image']))
        for entry in answer['top']:
            name = text.printable(entry.get('name', ''))
            print(f'  {entry["probability"]:6.1%}  {entry["class"]:>4}  {name}'.rstrip())


def caption(entry):
    name = entry.get('name', entry['class'])
    return f'{entry["probability"]:.0%} {str(name).split(",")[0]}'


def main():
    args = parse(sys.argv[1:])
    devices.import_tensorflow()
    from mobilenet.weights import network

    trained = network.load(args.checkpoint_path, args.model_name, not args.no_ema, args.class_names)
    rows, images = probabilities(args, trained)
    answers = [{'image': p, 'top': best(row, trained.names)} for p, row in zip(args.images, rows)]
    if args.json:
        print(json.dumps(answers, indent=1))
    else:
        print_table(answers)
    if args.sheet:
        from data import contact_sheet

        title = f'{trained.model_name}, {trained.weights.path}'
        captions = [caption(answer['top'][0]) for answer in answers]
        contact_sheet.write(args.sheet, images, captions, title)
        print(f'wrote {args.sheet}', file=sys.stderr)
    return 0


if __name__ == '__main__':
    tool.run(main)
