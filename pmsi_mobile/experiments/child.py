"""A command in a process that ends as SIGTERM ends it, its state saved, when the process that started it is gone:
`python -m pmsi_mobile.experiments.child MODULE ARGUMENTS`.

Standard input has to be a pipe that the other process holds open: the system closes it however that process ends.
"""

import importlib
import os
import signal
import sys
import threading


def main() -> None:
    """Run `main` of the module that the first argument names."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    importlib.import_module(sys.argv.pop(1)).main()


def _end_with_parent() -> None:
    os.read(0, 1)  # Nothing is ever written: it returns at the end of the pipe.
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
