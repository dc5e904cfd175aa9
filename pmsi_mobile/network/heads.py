"""The parts that stages' heads are built of."""

from torch import nn


def smooth_conv(kind: str, in_channels: int, width: int, *, last: bool) -> nn.Sequential:
    """The smooth convolution block: [B, in_channels, h, w] -> [B, width, h, w]; half of h and w for `lean` but in the
    last stage."""

    def pointwise(channels: int, out: int) -> nn.Conv2d:
        return nn.Conv2d(channels, out, 1, bias=False)

    def depthwise(channels: int, stride: int) -> nn.Conv2d:
        return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)

    if kind == "released":
        convolutions = [pointwise(in_channels, width // 2), nn.Conv2d(width // 2, width, 3, padding=1, bias=False)]
    elif kind == "separable":
        convolutions = [depthwise(in_channels, 1), pointwise(in_channels, width)]
    else:
        convolutions = [
            pointwise(in_channels, width),
            depthwise(width, 1 if last else 2),
            pointwise(width, width),
        ]
    layers = [
        layer
        for convolution in convolutions
        for layer in (convolution, nn.BatchNorm2d(convolution.out_channels, momentum=0.01), nn.ReLU(inplace=True))
    ]
    return nn.Sequential(*layers)


def classifier(in_features: int, hidden: int, num_classes: int) -> nn.Sequential:
    """A head's classifier: [B, in_features] -> logits [B, num_classes]."""
    return nn.Sequential(
        nn.BatchNorm1d(in_features),
        nn.Linear(in_features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ELU(),
        nn.Linear(hidden, num_classes),
    )
