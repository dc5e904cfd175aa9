"""Which model files the arguments of a command mean."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pmsi_export.formats.registry import is_exported
from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.errors import PmsiError


def find_models(paths: Sequence[Path]) -> list[Path]:
    """Model files and checkpoints in the order given, folders replaced by the models in them, of each checkpoint the
    fp32 files first, whose names are the shortest.

    Files that failed their parity gate are left out of a folder, and checkpoints; named one by one they are taken. A
    file given twice is there twice. Raises PmsiError for a path that does not exist or a folder without models.
    """
    return [model for path in paths for model in _models_of(path)]


def short_names(models: Sequence[Path]) -> list[str]:
    """A different name for each, fit to be shown: the file's, the path as given where two files share one, numbered
    from the second time that the same file is given."""
    sharing = Counter(model.name for model in set(models))
    names = [escaped(model.name if sharing[model.name] == 1 else str(model)) for model in models]
    times = [names[:index].count(name) for index, name in enumerate(names, start=1)]
    return [name if time == 1 else f"{name} ({time})" for name, time in zip(names, times, strict=True)]


def _models_of(path: Path) -> list[Path]:
    if not path.exists():
        raise PmsiError(f"{path} does not exist: pass exported model files or a folder of them")
    # A Core ML package is a folder too.
    if path.is_dir() and not is_exported(path):
        models = sorted(
            (child for child in path.iterdir() if is_exported(child) and ".rejected" not in child.suffixes),
            key=lambda model: (model.stem, model.suffix),
        )
        if not models:
            raise PmsiError(
                f"folder {path} has no exported model in it: pmsi-export --output {path} ckpt.pt makes them"
            )
        return models
    return [path]
