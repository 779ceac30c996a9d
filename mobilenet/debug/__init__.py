"""Looking inside a training step: stopping between steps, tensors of a step as files, and two such
dumps compared.
"""
