"""MobileNet training and evaluation with TensorFlow 1.15, by hand: networks, training step,
devices.
"""
