"""Feeds damaged JPEGs, PNGs and TFRecord files to the input pipeline's own reading and decoding.

    python scripts/fuzz_decoder.py --count 20000 --seed 1

Each input either decodes or is refused in good order (the pipeline names a bad record). It runs in
processes of its own: one that crashes, hangs or raises anything else is caught, its input saved to
--output, and the fuzzing goes on behind it. Exit status: 0 all in order, 1 otherwise.
"""

import collections
import functools
import os
import signal
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np

from data import workers
from data.progress import Progress
from mobilenet import devices, flag_types
from mobilenet.errors import UsageError
from scripts import tool

INPUTS_A_TASK = 250
SECONDS_AN_INPUT = 60
IMAGE_SIZE = 32
# The window differs: random, central, the whole image, and squares.
PIPELINES = (('inception_v2', True), ('inception_v2', False), ('none', False), ('vgg', True))

Task = collections.namedtuple('Task', 'seed start stop')
_state = {}


def make_parser():
    parser = flag_types.Parser(prog='fuzz_decoder.py', description=__doc__.split('\n\n')[0])
    parser.add_argument(
        '--count', type=flag_types.count(), default=20000, help='inputs, default 20000'
    )
    parser.add_argument('--seed', type=flag_types.number(0, kind=int), default=0, help='default 0')
    parser.add_argument(
        '--output',
        default='results/fuzz_findings',
        help='folder for inputs that fail, default results/fuzz_findings',
    )
    tool.add_process_flag(parser)
    return parser


class _OneRecord:
    """A data set whose every record is the one that is set: lets one pipeline, built once, decode
    all inputs.
    """

    num_examples, num_classes, class_names, errors = 1 << 20, 10, None, []

    def __init__(self):
        self.read_now = None

    def read(self, record):
        return self.read_now()

    def will_read(self, record):
        pass

    def locate(self, record):
        return 'input', record


def _prepare():
    """Once a process: TensorFlow, the inputs' corpus, a pipeline of each kind."""
    from data import EvalPipeline, TrainPipeline
    from scripts import fuzz_inputs

    devices.import_tensorflow()
    # libjpeg and libpng tell of each damage.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    dataset = _OneRecord()
    options = {'batch_size': 1, 'image_size': IMAGE_SIZE, 'num_threads': 1}
    pipelines = [
        (TrainPipeline if training else EvalPipeline)(dataset, preprocessing_name=name, **options)
        for name, training in PIPELINES
    ]
    _state.update(
        corpus=fuzz_inputs.make_corpus(),
        dataset=dataset,
        folder=tempfile.mkdtemp(),
        pipelines=pipelines,
    )
    os.environ['XDG_CACHE_HOME'] = _state['folder']  # the index of each damaged file goes there
    for index in range(len(PIPELINES)):  # the first use may compile; that is no hang
        if _decode_image(_state['corpus']['jpeg'][0], index):
            raise RuntimeError('the pipeline refuses a good JPEG')


def decode_inputs(task):
    """In a worker. Before each input yields (its number, None); behind it (its number, outcome)."""
    from scripts import fuzz_inputs

    if not _state:
        _prepare()
    for index in range(task.start, task.stop):
        yield index, None
        signal.alarm(SECONDS_AN_INPUT)  # its default is to end the process
        fuzz_input = fuzz_inputs.make_input(_state['corpus'], task.seed, index)
        try:
            refused = (
                _decode_file(fuzz_input.data, index)
                if fuzz_input.kind == 'record'
                else _decode_image(fuzz_input.data, index)
            )
            outcome = 'refused' if refused else 'decoded'
        except Exception as error:
            outcome = f'{type(error).__name__}: {error}'
        signal.alarm(0)
        yield index, outcome


def _decode_image(encoded, index):
    """Whether the image was refused."""
    from data.example_proto import NO_BOXES, Record

    return _check(lambda: Record(encoded, 1, NO_BOXES), index)


def _check(read, index):
    """Whether the record was refused. Raises where the two ways to an image are not the same."""
    from data import jpeg
    from data.tfrecord import BadRecord

    _state['dataset'].read_now = read
    batches = _state['pipelines'][index % 7 % len(PIPELINES)].batches
    images, done = np.empty([1, IMAGE_SIZE, IMAGE_SIZE, 3], np.float32), [False]
    try:
        done = jpeg.finish([batches.reader.read(index)], batches.recoloured, images)
        shown = batches.show(index)[0]
    except BadRecord:
        if done[0]:
            raise ValueError('the op refuses what its decoder takes')
        return True
    if done[0] and not np.array_equal(images[0], shown):
        raise ValueError('the op decodes to other pixels than its decoder')
    return False


def _decode_file(content, index):
    """Whether any record, or the file, was refused."""
    from data.slim_dataset import TFRecordDataset

    path = os.path.join(_state['folder'], 'train-00000-of-00001')
    with open(path, 'wb') as file:
        file.write(content)
    try:
        dataset = TFRecordDataset(_state['folder'], 'train', on_bad_record='skip')
    except UsageError:
        return True
    refused = [
        _check(functools.partial(dataset.read, record), index + record)
        for record in range(dataset.num_examples)
    ]
    return any(refused) or bool(dataset.errors)


def fuzz(function, seed, count, num_processes, progress):
    """Runs `function` (decode_inputs) over all inputs. Returns ({outcome: count}, [(input, what
    happened)]).
    """
    tasks = [
        Task(seed, start, min(start + INPUTS_A_TASK, count))
        for start in range(0, count, INPUTS_A_TASK)
    ]
    outcomes, failures = collections.Counter(), []
    while tasks:
        left = []
        for event in workers.run(function, tasks, min(num_processes, len(tasks))):
            if isinstance(event, workers.Died):
                index, outcome = event.last or (event.task.start, None)
                if outcome is None:
                    what = 'hang' if event.exit_code == -signal.SIGALRM else 'crash'
                    failures.append((index, f'{what} (exit status {event.exit_code})'))
                    outcomes[what] += 1
                    progress.update(1)
                left.append(event.task._replace(start=index + 1))
            elif isinstance(event, workers.Report) and event.value[1] is not None:
                index, outcome = event.value
                if outcome not in ('decoded', 'refused'):
                    failures.append((index, outcome))
                    outcome = 'exception'
                outcomes[outcome] += 1
                progress.update(1)
        tasks = [task for task in left if task.start < task.stop]
    return outcomes, sorted(failures)


def save_failures(folder, seed, failures):
    """Writes the inputs that failed, made again from the seed. Yields a line for each."""
    from scripts import fuzz_inputs

    corpus = fuzz_inputs.make_corpus()
    os.makedirs(folder, exist_ok=True)
    for index, what in failures:
        fuzz_input = fuzz_inputs.make_input(corpus, seed, index)
        suffix = fuzz_inputs.suffix(fuzz_input.kind)
        path = os.path.join(folder, f'seed{seed}-input{index}{suffix}')
        with open(path, 'wb') as file:
            file.write(fuzz_input.data)
        yield f'{path}: {what}'


def summary_line(seed, count, outcomes):
    from scripts import fuzz_inputs

    kinds = collections.Counter(map(fuzz_inputs.kind_of, range(count)))
    return (
        f'{count} inputs ({kinds["jpeg"]} JPEG, {kinds["png"]} PNG, {kinds["record"]} TFRecord '
        f'files; seed {seed}): {outcomes["decoded"]} decoded, {outcomes["refused"]} refused, '
        f'{outcomes["crash"]} crashes, {outcomes["hang"]} hangs, {outcomes["exception"]} exceptions'
    )


def main():
    args = make_parser().parse_args()
    with tempfile.TemporaryDirectory() as folder, Progress(args.count, 'fuzz', 'input') as progress:
        os.environ['TMPDIR'] = folder  # a process that crashes tidies nothing up
        outcomes, failures = fuzz(
            decode_inputs, args.seed, args.count, args.num_processes, progress
        )
    for line in save_failures(args.output, args.seed, failures) if failures else ():
        print(line)
    print(summary_line(args.seed, args.count, outcomes))
    return 1 if failures else 0


if __name__ == '__main__':
    tool.run(main)
