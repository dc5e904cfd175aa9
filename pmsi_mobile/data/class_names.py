"""Names of classes as they come from folders: in Unicode's composed form (NFC), one line, told apart by eye."""

import unicodedata
from collections.abc import Iterable, Sequence

from pmsi_mobile.console.terminal import escaped
from pmsi_mobile.errors import PmsiError

# Control characters, lone surrogates, line and paragraph separators: labels.txt has a line per class, in UTF-8.
_NO_LABEL = frozenset({"Cc", "Cs", "Zl", "Zp"})


def class_name(folder: str) -> str:
    """The class of a folder: macOS and Linux write the same name with different code points, and spaces get lost."""
    return unicodedata.normalize("NFC", folder).strip(" ")


def appearance(name: str) -> str:
    """Equal for names that look the same: without invisible characters, any space as one space."""
    visible = (char for char in unicodedata.normalize("NFC", name) if unicodedata.category(char) != "Cf")
    return " ".join("".join(visible).split())


def check_names(folders: Iterable[str]) -> None:
    """Raise PmsiError for a name that no list of labels can carry, and for two that look the same."""
    seen: dict[str, str] = {}
    for folder in folders:
        looks = appearance(folder)
        if not looks:
            raise PmsiError(f"a class has an empty name ({escaped(repr(folder))}): rename its folder")
        unfit = next((char for char in folder if unicodedata.category(char) in _NO_LABEL), None)
        if unfit:
            raise PmsiError(
                f"class {escaped(folder)} has {escaped(unfit)} in its name, which a list of labels cannot carry: "
                "rename the folder"
            )
        if looks in seen:
            first, second = (ascii(name) for name in (seen[looks], folder))
            raise PmsiError(
                f"two classes look the same ({first} and {second}): rename one, or put their photos together"
            )
        seen[looks] = folder


def matched(names: Iterable[str], classes: Sequence[str]) -> dict[str, str]:
    """Each of `names` in the spelling of the class that looks the same, or as it is."""
    spelled = {appearance(name): name for name in classes}
    return {name: spelled.get(appearance(name), name) for name in names}
