"""Files of tensors that others made, read without running code."""

import argparse
import pickle
import re
from pathlib import Path
from typing import Any

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.tensor_check import check_tensors


def read_tensors(path: Path) -> Any:
    """What a torch file or a .safetensors file holds, on the CPU; the content decides, not the suffix.

    Tensors and plain values only. Raises PmsiError with a plain reason when there is no such file or it is none.
    """
    head = check_tensors(path)
    import torch

    try:
        if head[8:9] == b"{":
            from safetensors.torch import load_file

            return load_file(path)
        # Training scripts store their options beside the weights; a Namespace holds nothing but values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # PyTorch's own message advises to load the file with code and all.
        found = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        if found:
            raise PmsiError(
                f"{path} holds Python objects besides tensors ({found[1]}), which could run code: in the program that "
                "made it, save the weights alone with torch.save(model.state_dict(), FILE)"
            ) from None
        raise _corrupt(path) from None
    except Exception:
        raise _corrupt(path) from None


def _corrupt(path: Path) -> PmsiError:
    return PmsiError(f"{path} cannot be read: it is cut off or corrupt; copy or download it again")
