"""A training step, or the evaluation of a folder, by MobileNetV1 1.0 in PyTorch, channels last.

Modes: train; pipeline (a DataLoader with two workers and Pillow, as torchvision's transforms do);
train_compiled, pipeline_compiled: by torch.compile.
"""

import glob
import os

import numpy as np
from PIL import Image
import serving
import torch
from torch import nn

LAYERS = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (1, 512),
    (2, 1024),
    (1, 1024),
)


def block(inputs, outputs, kernel, stride, groups=1):
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.0003),
        nn.ReLU6(inplace=True),
    ]


def mobilenet_v1():
    layers, channels = block(3, 32, 3, 2), 32
    for stride, filters in LAYERS:
        layers += block(channels, channels, 3, stride, channels) + block(channels, filters, 1, 1)
        channels = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000)]
    return nn.Sequential(*layers)


class Photographs(torch.utils.data.Dataset):
    """What torchvision's ImageFolder with Resize(256), CenterCrop(224), ToTensor and Normalize
    gives, float32 [3, size, size], by the same calls of Pillow and PyTorch.
    """

    def __init__(self, folder, size):
        self._paths = sorted(glob.glob(os.path.join(folder, 'validation', '*', '*.jpg')))
        self._size = size

    def __len__(self):
        return len(self._paths)

    def __getitem__(self, i):
        size = self._size
        image = Image.open(self._paths[i]).convert('RGB')
        scale = size * 256 // 224 / min(image.size)
        width, height = [round(side * scale) for side in image.size]
        image = image.resize((width, height), Image.BILINEAR)
        left, top = (width - size) // 2, (height - size) // 2
        pixels = np.array(image.crop((left, top, left + size, top + size)))
        tensor = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return tensor.sub_(0.5).div_(0.5)


def batches(args):
    """Endless float32 batches of photographs."""
    loader = torch.utils.data.DataLoader(
        Photographs(args.images, args.image_size),
        args.batch_size,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
    )
    while True:
        for images in loader:
            yield images.to(memory_format=torch.channels_last)


def serve_evaluation(args, network):
    network.eval()
    stream = batches(args)
    with torch.no_grad():
        serving.serve(lambda n: [network(next(stream)) for _ in range(n)])


def serve_training(args, model, network):
    images = torch.rand(args.batch_size, 3, args.image_size, args.image_size) * 2 - 1
    images = images.to(memory_format=torch.channels_last)
    labels = torch.arange(args.batch_size) % 1000
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=4e-5)

    def steps(n):
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            criterion(network(images), labels).backward()
            optimizer.step()

    serving.serve(steps)


def main():
    args = serving.arguments('train', 'train_compiled', 'pipeline', 'pipeline_compiled')
    torch.manual_seed(0)
    model = mobilenet_v1().to(memory_format=torch.channels_last)
    network = torch.compile(model) if args.mode.endswith('compiled') else model
    if args.mode.startswith('pipeline'):
        serve_evaluation(args, network)
    else:
        serve_training(args, model, network)


main()
