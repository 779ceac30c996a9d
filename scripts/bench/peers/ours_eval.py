"""eval_loop.py's evaluation of a folder of photographs: its pipeline, graph and session."""

import os
import sys
import types

import serving

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 3))

import numpy as np

import data
from mobilenet import cores, devices


def main():
    args = serving.arguments('pipeline')
    config = types.SimpleNamespace(device='host', kernels='onednn', **vars(args))
    devices.import_tensorflow(config)
    from mobilenet import evaluation
    from mobilenet.weights import networks

    dataset = data.open_dataset('folder', args.images, 'validation')
    pipeline = data.EvalPipeline(
        dataset, args.batch_size, args.image_size, 'inception_v2', num_threads=cores.count()
    )
    running = evaluation.Evaluation(dataset, pipeline, devices.create(config), '0')
    running.open(args.model_name, 1000)
    random = np.random.RandomState(0)
    shapes = networks.variables_of(args.model_name, 1000)
    values = {
        name: random.uniform(0.01, 0.02, shape).astype(np.float32) for name, shape in shapes.items()
    }
    running.load(values)
    serving.serve(lambda n: [running.next_batch() for _ in range(n)])


main()
