"""Where initial weights come from, by the name that a user gives; without PyTorch."""

from pathlib import Path

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors


def check_source(source: str) -> None:
    """Raise PmsiError for what is neither `imagenet`, `none`, a model of the hub, nor a file that may hold weights."""
    path = Path(source)
    if source in ("imagenet", "none") or (hub_name(source) and not path.exists()):
        return
    if not path.exists():
        raise PmsiError(
            f"weights file {path} does not exist (--weights takes a file, imagenet, none, or hf-hub:OWNER/NAME)"
        )
    check_tensors(path)


def hub_name(name: str) -> str | None:
    """`OWNER/NAME` of a name that timm's users write for a model of the hub; None for any other."""
    for prefix in ("hf-hub:", "hf_hub:"):
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name if name.startswith("timm/") else None
