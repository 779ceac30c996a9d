"""A training that starts from weights that are there: what it is told by, before the graph."""

from mobilenet import checkpoints, weights
from mobilenet.class_labels import IMAGENET
from mobilenet.weights import networks


def with_label_offset(config):
    """The Config of a training with what --label_offset=auto means: 1 for 1,000 classes and weights
    of 1,001, else 0.
    """
    path = checkpoints.latest(config.train_dir) or config.checkpoint_path
    if config.flags['label_offset'] != 'auto' or config.num_classes != IMAGENET or not path:
        return config
    offset = int(_classes(path) == IMAGENET + 1)
    return config.replace(label_offset=offset, num_classes=config.num_classes + offset)


def _classes(path):
    return networks.identify(weights.open_weights(weights.locate(path))).num_classes


def said(config):
    """Lines on what a configuration means that its flags do not show, or that is hardly meant."""
    if config.label_offset:
        last = config.num_classes - 1
        yield f'labels 0 to {last - 1} are outputs 1 to {last} (--label_offset=1)'
    if config.warmup_steps > config.total_steps:
        yield (
            f'the warm-up of {config.warmup_epochs:g} epochs is longer than the run: the learning '
            f'rate stays under {config.learning_rate:g} (--warmup_epochs)'
        )
    for name in ('dump_steps', 'profile_steps', 'summary_images_at_step'):
        steps = getattr(config, name)
        first = min(steps)[0] if isinstance(steps, list) else steps
        if first is not None and first >= config.total_steps:
            yield f'--{name} does nothing: the last step of this run is {config.total_steps - 1}'
