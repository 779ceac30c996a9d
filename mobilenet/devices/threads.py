"""How many threads, and whose kernels, suit the work of a step on a host CPU. No TensorFlow here.

The rule is from measurements on 2 cores (steps/s; OMP 2, OMP 1, plain kernels), training:

    mobilenet_v1_025, 32 pixels, batch 8     0.007 GMAC      25     57    112
    mobilenet_v1_025, 48 pixels, batch 32    0.060 GMAC      16     35     24
    mobilenet_v1_025, 96 pixels, batch 32    0.24  GMAC      10     18     11
    mobilenet_v1,     96 pixels, batch 32    3.3   GMAC     3.3      -    2.4
    mobilenet_v1,    224 pixels, batch 32    18    GMAC     1.16   0.94     -   (OMP 2: inter_op 1)

(GMAC: multiply-adds of the forward pass over the batch.) A small step is mostly the cost of calling
ops, which oneDNN's layouts and OpenMP's barriers add to; a large one is all convolution. For more
cores it is reasoned: a thread is worth it from a share of a GMAC on, and never more than the cores.
"""

import collections
import os

# omp: OpenMP threads of oneDNN's kernels; inter_op: TensorFlow's ops at once; kernels: see KERNELS.
Threads = collections.namedtuple('Threads', 'omp inter_op kernels')

KERNELS = ('auto', 'onednn', 'plain')
PLAIN_BELOW = 0.02  # GMAC of a step
GMAC_A_THREAD = 0.5

# Millions of multiply-adds of one image at 224x224 (the papers' tables).
_MEGA_MACS = {
    'mobilenet_v1': 569,
    'mobilenet_v1_075': 325,
    'mobilenet_v1_050': 149,
    'mobilenet_v1_025': 41,
    'mobilenet_v2': 300,
    'mobilenet_v2_140': 582,
    'mobilenet_v2_130': 509,
    'mobilenet_v2_075': 209,
    'mobilenet_v2_050': 97,
    'mobilenet_v2_035': 59,
    'mobilenet_v3_large': 219,
    'mobilenet_v3_large_075': 155,
    'mobilenet_v3_large_minimalistic': 209,
    'mobilenet_v3_small': 56,
    'mobilenet_v3_small_075': 44,
    'mobilenet_v3_small_minimalistic': 65,
}


def giga_macs(model_name, image_size, batch_size):
    """Multiply-adds, in billions, of a forward pass over a batch. model_name None: not known."""
    mega = 300 if model_name is None else _MEGA_MACS[model_name]
    return mega * ((image_size or 224) / 224) ** 2 * batch_size / 1000


def kernels_of_environment():
    """'onednn' or 'plain' by TF_DISABLE_MKL, None where it is not set."""
    asked = os.environ.get('TF_DISABLE_MKL', '').lower()
    return None if not asked else 'plain' if asked in ('1', 'true') else 'onednn'


def kernels(model_name, image_size, batch_size):
    """'onednn' or 'plain': the kernels that suit the work of a step."""
    work = giga_macs(model_name, image_size, batch_size)
    return 'plain' if work < PLAIN_BELOW else 'onednn'


def choose(model_name, image_size, batch_size, kernels, cores):
    """The Threads of a process with so many cores; kernels: 'onednn' or 'plain'."""
    work = giga_macs(model_name, image_size, batch_size)
    omp = max(1, min(cores, int(work / GMAC_A_THREAD)))
    # One op at a time fills the cores where all of them work at it.
    inter_op = 1 if omp == cores and kernels == 'onednn' else min(2, cores)
    return Threads(omp, inter_op, kernels)


def set_environment(threads):
    """Says it to TensorFlow, before it is imported. What is set in the environment stays."""
    os.environ.setdefault('OMP_NUM_THREADS', str(threads.omp))
    os.environ.setdefault('KMP_BLOCKTIME', '0')
    if threads.kernels == 'plain':
        os.environ.setdefault('TF_DISABLE_MKL', '1')
