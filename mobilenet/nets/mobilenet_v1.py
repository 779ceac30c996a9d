"""MobileNetV1 (Howard et al., 2017, arXiv:1704.04861, table 1), named as TF-slim's mobilenet_v1."""

from mobilenet.nets import layers

# (stride of the depthwise convolution, filters of the pointwise convolution) of layers 1 to 13.
_SEPARABLE_LAYERS = (
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
_MIN_DEPTH = 8


def mobilenet_v1(images, mode, depth_multiplier):
    """Network up to its pooled features [batch, 1, 1, channels], and its end points.

    Args:
      images: float32 [batch, height, width, 3] in [-1, 1].
      mode: layers.Mode.
      depth_multiplier: scales all widths, which are cut to an integer and at least 8.
    """

    def depth(filters):
        return max(int(filters * depth_multiplier), _MIN_DEPTH)

    end_points, channels = layers.EndPoints(), depth(32)
    net = layers.conv_block(images, mode, 'Conv2d_0', 3, channels, kernel_size=3, stride=2)
    end_points.add('Conv2d_0', net, channels)
    for i, (stride, filters) in enumerate(_SEPARABLE_LAYERS, start=1):
        name = f'Conv2d_{i}_depthwise'
        net = layers.depthwise_block(net, mode, name, channels, stride=stride)
        end_points.add(name, net, channels)
        name = f'Conv2d_{i}_pointwise'
        net = layers.conv_block(net, mode, name, channels, depth(filters))
        channels = depth(filters)
        end_points.add(name, net, channels)
    net = end_points['global_pool'] = layers.global_pool(net, channels)
    return net, end_points
