"""RMG-PMSI: progressive multi-stage interactive training with a recursive mosaic generator."""

__version__ = "0.1.0"
