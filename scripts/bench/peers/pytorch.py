"""A training step, or a forward pass, of MobileNetV1 1.0 in PyTorch, channels last.

Modes: train, forward; train_compiled, forward_compiled: by torch.compile.
"""

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


def main():
    args = serving.arguments('train', 'train_compiled', 'forward', 'forward_compiled')
    torch.manual_seed(0)
    model = mobilenet_v1().to(memory_format=torch.channels_last)
    images = torch.rand(args.batch_size, 3, args.image_size, args.image_size) * 2 - 1
    images = images.to(memory_format=torch.channels_last)
    labels = torch.arange(args.batch_size) % 1000
    network = torch.compile(model) if args.mode.endswith('compiled') else model
    if args.mode.startswith('forward'):
        network.eval()
        with torch.no_grad():
            serving.serve(lambda n: [network(images) for _ in range(n)])
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=4e-5)

    def steps(n):
        for _ in range(n):
            optimizer.zero_grad(set_to_none=True)
            criterion(network(images), labels).backward()
            optimizer.step()

    serving.serve(steps)


main()
