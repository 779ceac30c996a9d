"""Datasets, TFRecord files, preprocessing and the input pipeline.

Importing this package, its names and `open_dataset` needs no TensorFlow; the pipelines do.
"""

from mobilenet import environment

environment.require()

from data.datasets import DATASET_NAMES, fingerprint, open_dataset, open_split  # noqa: E402

__all__ = (
    'AUGMENTATIONS',
    'DATASET_NAMES',
    'EvalPipeline',
    'PREPROCESSING_NAMES',
    'TrainPipeline',
    'fingerprint',
    'open_dataset',
    'open_split',
)
PREPROCESSING_NAMES = ('inception_v2', 'vgg', 'none')
AUGMENTATIONS = ('auto', 'inception', 'flip', 'none')


def __getattr__(name):
    if name in ('TrainPipeline', 'EvalPipeline'):
        from data import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
