"""Checkpoints: saving and finding them. What they hold for others is mobilenet/weights/."""

from mobilenet.checkpoints.checksums import Damaged
from mobilenet.checkpoints.names import in_folder, is_whole, latest, resolve, step_of
from mobilenet.checkpoints.store import Checkpointer, SaveError, batches_of, check

__all__ = [
    'Checkpointer',
    'Damaged',
    'SaveError',
    'batches_of',
    'check',
    'in_folder',
    'is_whole',
    'latest',
    'resolve',
    'step_of',
]
