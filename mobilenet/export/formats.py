"""Writing each format, and reading it back to be checked.

A format is written by `write_…(folder, …)`, which gives the path, and run by `run_…(path, inputs)`,
which gives logits from what was written.
"""

import os
import sys

import tensorflow as tf

from mobilenet import state
from mobilenet.errors import Failure
from mobilenet.export import inference_graph
from mobilenet.export.inference_graph import CLASS_NAMES, INPUT, LOGITS, PROBABILITIES


def write_frozen(path, graph_def):
    with open(path, 'wb') as file:
        file.write(graph_def.SerializeToString())
    return path


def run_frozen(path, inputs, output=LOGITS):
    graph_def = tf.GraphDef()
    with open(path, 'rb') as file:
        graph_def.ParseFromString(file.read())
    return inference_graph.run(graph_def, inputs, output)


def write_saved_model(path, graph_def, class_names):
    """A SavedModel with the tag `serve` and the signature `serving_default`: images in; logits,
    probabilities and, where there are names, class_names out.
    """
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        tf.import_graph_def(graph_def, name='')
        outputs = [LOGITS, PROBABILITIES] + ([CLASS_NAMES] if class_names else [])
        signature = tf.saved_model.predict_signature_def(
            {'images': graph.get_tensor_by_name(f'{INPUT}:0')},
            {name: graph.get_tensor_by_name(f'{name}:0') for name in outputs},
        )
        builder = tf.saved_model.Builder(path)
        builder.add_meta_graph_and_variables(
            sess, [tf.saved_model.SERVING], {'serving_default': signature}
        )
        builder.save()
    return path


def run_saved_model(path, inputs):
    with tf.Graph().as_default(), tf.Session() as sess:
        model = tf.saved_model.load(sess, [tf.saved_model.SERVING], path)
        signature = model.signature_def['serving_default']
        feeds = {signature.inputs['images'].name: inputs}
        return sess.run(signature.outputs[LOGITS].name, feeds)


def write_tflite(path, graph_def):
    """A float32 TFLite model, by TensorFlow's own converter; batch size 1."""
    with tf.Graph().as_default() as graph, tf.Session() as sess:
        tf.import_graph_def(graph_def, name='')
        tensors = [graph.get_tensor_by_name(f'{name}:0') for name in (INPUT, LOGITS, PROBABILITIES)]
        converter = tf.lite.TFLiteConverter.from_session(sess, tensors[:1], tensors[1:])
        # The converter starts toco_from_protos, which lies beside this Python, by its bare name.
        places = [os.path.dirname(sys.executable), os.environ.get('PATH', '')]
        os.environ['PATH'] = os.pathsep.join(places)
        try:
            model = converter.convert()
        except Exception as error:  # the converter's own process, with pages of text
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise Failure(f'TFLite: {lines[-1]}')
    with open(path, 'wb') as file:
        file.write(model)
    return path


def run_tflite(path, inputs):
    import numpy as np

    interpreter = tf.lite.Interpreter(model_path=path)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    logits = interpreter.get_output_details()[0]
    rows = []
    for image in inputs:
        interpreter.set_tensor(entry['index'], image[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(logits['index']))
    return np.concatenate(rows)


def write_slim(path, trained):
    """A TF-slim checkpoint: weights and statistics, their averages and global_step alone."""
    from mobilenet.moving_averages import EMA_SUFFIX

    weights = trained.weights
    names = [name for name in trained.values if name in weights.shapes]
    names += [n + EMA_SUFFIX for n in names if n + EMA_SUFFIX in weights.shapes]
    values = weights.values(names) if len(names) >= len(trained.values) else trained.values
    with tf.Graph().as_default(), tf.Session() as sess:
        variables = {
            name: tf.get_variable(name, value.shape, tf.float32, use_resource=True)
            for name, value in values.items()
        }
        step = tf.train.create_global_step()
        saver = tf.train.Saver({**variables, 'global_step': step}, save_relative_paths=True)
        state.initialize(sess, variables.values(), values)
        sess.run(step.assign(weights.step or 0))
        saver.save(sess, path, write_meta_graph=False, write_state=False)
    return path


def atc_command(path, entry, soc_version):
    """The command line of the vendor's ATC that makes an offline model of a frozen graph."""
    shape = [entry.batch_size] + (
        [entry.size, entry.size, 3] if entry.layout == 'NHWC' else [3, entry.size, entry.size]
    )
    return (
        f'atc --model={path} --framework=3 --input_format={entry.layout} '
        f'--input_shape="{INPUT}:{",".join(map(str, shape))}" '
        f'--out_nodes="{LOGITS}:0;{PROBABILITIES}:0" '
        f'--output={os.path.splitext(path)[0]} --soc_version={soc_version}'
    )
