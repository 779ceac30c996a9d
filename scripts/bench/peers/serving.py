"""What each side of a benchmark answers: seconds for a number of steps, or its peak memory.

Runs in every environment: standard library only.
"""

import argparse
import os
import re
import sys
import time


def arguments(*choices_of_mode):
    parser = argparse.ArgumentParser()
    parser.add_argument('mode', choices=choices_of_mode)
    parser.add_argument('--model_name', default='mobilenet_v1')
    parser.add_argument('--batch_size', type=int, default=32)
    parser.add_argument('--image_size', type=int, default=224)
    parser.add_argument('--images', help='folder of photographs, for mode pipeline')
    return parser.parse_args()


def serve(run_steps, known=None, others=None):
    """For each line on stdin: a number of steps, which are run and timed; `peak`, in MiB; one of
    what is `known`, {name: number}; or `NAME STEPS`, steps of `others`, {name: run_steps}.
    """
    for line in sys.stdin:
        if line.strip() in (known or {}):
            answer = known[line.strip()]
        elif line.strip() == 'peak':
            with open('/proc/self/status') as f:
                answer = int(re.search(r'VmHWM:\s*(\d+)', f.read()).group(1)) / 1024
        else:
            name, _, steps = line.strip().rpartition(' ')
            run = others[name] if name else run_steps
            start = time.perf_counter()
            run(int(steps))
            answer = time.perf_counter() - start
        print(f'answer {answer}', flush=True)
    sys.stdout.flush()
    os._exit(0)  # threads of TensorFlow do not end by themselves in every state
