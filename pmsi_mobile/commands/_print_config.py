"""`--print-config`: all keys of a configuration with their values and what they mean, as YAML that `--config` reads."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pmsi_mobile.config import Config

_WIDTH = 110


def as_commented_yaml(config: Config) -> str:
    """The configuration as YAML, each value under a comment that says what it is."""
    return "\n".join(_lines(config, "")) + "\n"


def _lines(section: BaseModel, indent: str) -> Iterator[str]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield ""
            yield from _comment((type(value).__doc__ or "").split("\n\n")[0], indent)
            yield f"{indent}{name}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield from _comment(_meaning(field), indent)
            yield f"{indent}{name}: {_value(section.model_dump(mode='json')[name])}"


def _meaning(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    one_of = f"One of {', '.join(map(str, choices))}." if choices else ""
    return " ".join(part for part in (field.description, one_of) if part)


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in wrap(" ".join(text.split()), _WIDTH)]


def _value(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).strip().removesuffix("...").strip()
