"""The parts that stages' heads are built of."""

from torch import nn


def smooth_conv(kind: str, in_channels: int, width: int) -> nn.Sequential:
    """The smooth convolution block: [B, in_channels, h, w] -> [B, width, h, w]."""

    def norm(channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, momentum=0.01)

    if kind == "released":
        first = nn.Conv2d(in_channels, width // 2, 1, bias=False)
        second = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
    else:
        first = nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False)
        second = nn.Conv2d(in_channels, width, 1, bias=False)
    return nn.Sequential(
        first, norm(first.out_channels), nn.ReLU(inplace=True), second, norm(width), nn.ReLU(inplace=True)
    )


def classifier(in_features: int, hidden: int, num_classes: int) -> nn.Sequential:
    """A head's classifier: [B, in_features] -> logits [B, num_classes]."""
    return nn.Sequential(
        nn.BatchNorm1d(in_features),
        nn.Linear(in_features, hidden),
        nn.BatchNorm1d(hidden),
        nn.ELU(),
        nn.Linear(hidden, num_classes),
    )
