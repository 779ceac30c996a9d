"""The inference network on its way out: frozen graphs, SavedModels, TFLite, ONNX, TF-slim."""
