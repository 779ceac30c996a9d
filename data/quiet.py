"""TensorFlow without its deprecation notices, for the tools whose output a person reads."""

import os
import warnings


def import_tensorflow():
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    warnings.simplefilter('ignore', FutureWarning)
    import tensorflow as tf

    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    return tf
