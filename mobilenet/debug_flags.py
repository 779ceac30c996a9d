"""The flags that look inside a training. No TensorFlow here."""

from mobilenet.flag_types import boolean, count, flag, names, steps

DEBUG = [
    flag('step', 'stop before the first step and take commands; help lists them', False, boolean),
    flag('step_script', 'as --step, with the commands of a file, or of stdin (-)', metavar='FILE'),
    flag(
        'deterministic',
        'for comparisons: initial weights computed on the host and saved as model.ckpt-0, the '
        'order of the files, no augmentation, no dropout',
        False,
        boolean,
    ),
    flag(
        'dump_steps',
        "write tensors of these steps as .npy; on npu also the device's own dump",
        type=steps,
        metavar='0,10-12',
    ),
    flag(
        'dump_tensors',
        'which, such as act:*,grad:Conv2d_0; default images, weights, activations, losses and '
        'gradients',
        type=names,
        metavar='A,B',
    ),
    flag('dump_dir', 'where to; default TRAIN_DIR/dumps'),
    flag(
        'norms_every_steps',
        'norms of gradients and weights per layer in TensorBoard',
        type=count(),
        metavar='N',
    ),
    flag(
        'histograms_every_steps',
        'histograms of weights, gradients and activations in TensorBoard',
        type=count(),
        metavar='N',
    ),
    flag(
        'profile_steps',
        'a Chrome trace and a table of op types in TRAIN_DIR/profile (npu: --npu_profiling_mode)',
        type=steps,
        metavar='10-12',
        device='host',
    ),
]
