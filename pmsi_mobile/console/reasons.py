"""What an error that nobody foresaw says to a user: one line, with the file it names and what to do where that is
known."""

import errno
import re

from pmsi_mobile.errors import PmsiError
from pmsi_mobile.extras import EXTRAS, how_to_install

_FULL = "free some, or choose another --output"

# Parts of messages of PyTorch and its loader, and what they mean.
_KNOWN = (
    (
        r"out of shared memory|killed by signal: Bus error|unable to open shared memory|unable to \w+ .*torch_",
        "too little shared memory (/dev/shm) for the loader's processes: pass --set data.workers=0, or give more "
        "(docker run --shm-size=2g)",
    ),
    (
        r"received 0 items of ancdata|Too many open files",
        "too many open files: raise the limit (ulimit -n 4096), or pass --set data.workers=0",
    ),
    (
        r"DataLoader worker .*killed by signal: Killed",
        "a loader process was killed, probably because memory ran out: pass --set data.workers=0 or fewer than now",
    ),
    (
        r"(CUDA|MPS|HIP|XPU).*out of memory",
        "the GPU's memory does not suffice: lower the batch size (pmsi-train --set train.batch_size=N, "
        "pmsi-eval --batch-size N)",
    ),
    # PyTorch's own writer notices that its file is shorter than what it has written, and forgets why.
    (r"inline_container\.cc.*unexpected pos|basic_ios::clear", f"no space left on the disk, probably: {_FULL}"),
    (r"DefaultCPUAllocator: .*(can't|not enough)", "memory does not suffice: lower the batch size"),
)


def reason(error: BaseException) -> str:
    """The reason in one line, after the error's class where nothing is known of it; of a loader's process, the reason
    that it had."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" for {error.filename}" if error.filename else ""
        return f"no space left on the disk{where}: {_FULL}"
    if isinstance(error, ModuleNotFoundError) and (missing := str(error.name).partition(".")[0]) in EXTRAS:
        return f"this needs {missing}, which is not installed: {how_to_install(missing)}"
    message = _of_worker(str(error))
    for pattern, meaning in _KNOWN:
        if re.search(pattern, message, re.DOTALL):
            return meaning
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror.lower()}: {error.filename}" if error.filename else error.strerror.lower()
    line = " ".join(message.split())
    return line if isinstance(error, PmsiError) else ": ".join(filter(None, (type(error).__name__, line)))


def _of_worker(message: str) -> str:
    """The last lines of a traceback that PyTorch has made the message of, without the exception's class."""
    if "Original Traceback" not in message:
        return message
    lines = message.rstrip().splitlines()
    last_frame = max(index for index, line in enumerate(lines) if line.startswith("  ") or "Original Traceback" in line)
    return re.sub(r"^[\w.]+: ", "", "\n".join(lines[last_frame + 1 :]))
