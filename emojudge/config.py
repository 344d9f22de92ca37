"""From a TOML file and `--set section.field=value` to `emojudge.settings.Config`."""

import difflib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from emojudge.errors import ConfigError
from emojudge.settings import Config


def load_config(path: str | Path | None = None, changes: Sequence[str] = (), base: Config | None = None) -> Config:
    """Read a TOML file (or take `base`) and apply `section.field=value` changes.

    >>> load_config(changes=["audio.learning_rate=3e-5", "data.corpus=ravdess"]).audio.learning_rate
    3e-05

    Raises:
        ConfigError: no such file, not TOML, an unknown key (the nearest is suggested) or an impossible value.
    """
    content: dict[str, Any] = base.model_dump(mode="json", exclude_none=True) if base else {}
    if path is not None:
        try:
            content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"There is no file {path}; the experiments that come with EmoJudge are under experiments/."
            ) from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is not a TOML file that can be read ({error}); correct it.") from None
    for change in changes:
        _apply(content, change)
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(_sentence(error, str(path or "--set"))) from None


def _apply(content: dict[str, Any], change: str) -> None:
    """Put `a.b=value` into the nested `content`; a value that is no TOML is taken as a string."""
    key, equals, text = change.partition("=")
    if not equals:
        raise ConfigError(f"--set {change} has no '='; write it as --set section.field=value.")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, field = key.strip().split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {change}: {section!r} is a value, not a section; drop what follows it.")
    content[field] = value


def _sentence(error: ValidationError, where: str) -> str:
    """The first problem pydantic found, as one sentence."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{where}: {key} = {first['input']!r} cannot be ({first['msg']}); see docs/settings.md."
    near = difflib.get_close_matches(key, all_keys(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "see docs/settings.md for all keys."
    return f"{where}: there is no setting {key!r}; {hint}"


def all_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """Dotted names of all settings.

    >>> "fusion.low" in all_keys()
    True
    """
    keys = []
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += all_keys(kind, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys
