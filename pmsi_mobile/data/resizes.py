"""The ways in which the programs that use a model make a photo smaller."""

from typing import Literal, get_args

Resize = Literal["antialias", "bilinear", "nearest", "area"]
"""Bilinear with antialias (PIL, torchvision), plain bilinear (Android's createScaledBitmap, GPU textures), nearest
pixel, mean of the covered area (OpenCV's INTER_AREA)."""
RESIZES: tuple[Resize, ...] = get_args(Resize)
