"""Puts the checkout's root on sys.path, and keeps TensorFlow quiet and reproducible in the test process."""

import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('KMP_BLOCKTIME', '0')
