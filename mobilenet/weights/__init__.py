"""Weights from elsewhere, and ours: TF-slim checkpoints, frozen graphs, SavedModels.

weights = open_weights(path)                        # names, shapes, values, step
fit = networks.identify(weights)                    # which of our networks they are of
values = matching.network_values(weights, 'mobilenet_v1', 1001)
folded = folding.fold(values)                       # batch norm within the weights
"""

from mobilenet.weights.sources import BrokenWeights, locate, open_weights

__all__ = ['BrokenWeights', 'locate', 'open_weights']
