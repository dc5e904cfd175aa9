"""What an export says of itself: the contract of a checkpoint in a format."""

from datetime import UTC, datetime

from pmsi_export.contract.schema import Contract, InputSpec, ModelSummary, OutputSpec, Parity, PreprocessingSpec
from pmsi_export.formats.registry import Format
from pmsi_export.graph.variant import Variant
from pmsi_mobile.checkpoint import Checkpoint
from pmsi_mobile.provenance import versions


def describe(
    checkpoint: Checkpoint,
    digest: str,
    known: Format,
    parity: Parity,
    precision: str = "fp32",
    variant: Variant = Variant(),  # noqa: B008 (frozen)
) -> Contract:
    """The contract of `checkpoint` (its file's SHA-256 is `digest`) in a format."""
    config, classes = checkpoint.config, checkpoint.classes
    crop = config.preprocessing.crop
    interactive = config.staged
    confidence = checkpoint.confidence_of(variant.head)
    if not variant.unknown_score:
        confidence = confidence.model_copy(update={"unknown": None})
    return Contract.model_validate(
        {
            "format": known.name,
            "precision": precision,
            "minimum_runtime": known.precisions[precision],
            "model": ModelSummary(
                method=config.method,
                backbone=config.model.backbone,
                stages=config.model.stages if interactive else None,
                heads=config.model.heads if interactive else None,
                width=config.model.width if interactive else None,
                head=variant.head if interactive else None,
            ),
            "input": InputSpec(
                layout=known.layout,
                shape=(1, crop, crop, 3) if known.layout == "NHWC" else (1, 3, crop, crop),
                dtype="uint8" if precision == "int8" else "float32",
            ),
            "output": OutputSpec(
                shape=(1, variant.top_k or len(classes)),
                top_k=variant.top_k,
                unknown_score="negative of the largest logit" if variant.unknown_score else None,
            ),
            "classes": classes,
            "preprocessing": PreprocessingSpec(**config.preprocessing.model_dump()),
            "mix": config.model.mix if interactive else None,
            "checkpoint_sha256": digest,
            "tools": versions(*dict.fromkeys(("torch", *known.convert_needs, *known.run_needs))),
            "created": datetime.now(UTC),
            "parity": parity,
            "confidence": confidence.model_dump() if confidence.photos else None,
            "metrics": checkpoint.metrics,
        }
    )
