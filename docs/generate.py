"""Write the pages that the code itself knows: docs/settings.md, docs/cli.md and the README's map of files.

`python docs/generate.py` writes what has changed; with `--check` it writes nothing and exits 1 where a page is out of date.
"""

import ast
import json
import re
import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from typer.main import get_command

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from emojudge.cli import app  # noqa: E402 (the checkout this file lies in, whatever is installed)
from emojudge.settings import Config  # noqa: E402

WIDTH = 100
"""Columns of the help texts."""

MADE = "<!-- Made by docs/generate.py from the code; change it there. -->\n\n"

PLAIN = {bool: "true, false", int: "integer", float: "number", str: "text", Path: "path"}
"""What the settings' Python types are called in TOML's terms."""


def settings_page() -> str:
    """Every setting by section."""
    fields = Config.model_fields
    sections = {name: field.annotation for name, field in fields.items() if _is_section(field)}
    plain = {name: field for name, field in fields.items() if not _is_section(field)}
    parts = [
        "# Settings\n",
        "An experiment is a TOML file of these settings; what it leaves out has its default. `--set SECTION.FIELD=VALUE` changes",
        'one for one command, as `--set audio.epochs=3` or `--set \'data.labels=["Happy", "Sad"]\'`. Unknown names are errors.',
        '"Paper" and a number is the section of the paper; "ours" is a value that the paper does not give; decisions are',
        f"numbered in [paper.md](paper.md).\n\n## The experiment\n\n{_rows(plain)}",
    ]
    for name, section in sections.items():
        parts.append(f"\n## [{name}]\n\n{section.__doc__}\n\n{_rows(section.model_fields, section)}")
    return f"{MADE}{chr(10).join(parts)}"


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _rows(fields: dict[str, FieldInfo], section: Any = None) -> str:
    lines = ["| name | type | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        told = _escape(" ".join(_description(name, field, section).split()))
        lines.append(f"| `{name}` | {_escape(_type(field.annotation, field.metadata))} | {_default(field)} | {told} |")
    return "\n".join(lines) + "\n"


def _description(name: str, field: FieldInfo, section: Any) -> str:
    """The field's docstring; a field that only changes a default keeps its parent's."""
    if field.description or section is None:
        return field.description or ""
    inherited = (parent.model_fields.get(name) for parent in section.__mro__[1:] if issubclass(parent, BaseModel))
    return next((parent.description for parent in inherited if parent and parent.description), "")


def _type(kind: Any, metadata: Any = ()) -> str:
    """A type in words, with its bounds."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _type(arguments[0], getattr(arguments[1], "metadata", arguments[1:]))
    if origin in (Union, UnionType):
        return " or ".join(_type(one, metadata) for one in arguments if one is not NoneType)
    if origin is Literal:
        return ", ".join(f'`"{one}"`' for one in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}" if arguments[-1] is Ellipsis else f"{len(arguments)} of {_type(arguments[0])}"
    if origin is dict:
        return f"table of {_type(arguments[1])}"
    return " ".join(filter(None, (PLAIN[kind], ", ".join(_bounds(metadata)))))


def _bounds(metadata: Any) -> list[str]:
    """Constraints as "≥ 1"; a pattern is explained by the description."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return [f"{sign} {getattr(one, name):g}" for one in metadata for name, sign in signs.items() if hasattr(one, name)]


def _default(field: FieldInfo) -> str:
    if field.default is None:
        return "–"
    return f"`{json.dumps(field.default, ensure_ascii=False, default=list)}`"


def _escape(text: str) -> str:
    """Text for a cell of a table; code in backticks keeps its angle brackets."""
    pieces = text.replace("|", "\\|").split("`")
    return "`".join(piece if number % 2 else piece.replace("<", "&lt;") for number, piece in enumerate(pieces))


def cli_page() -> str:
    """The help of every verb."""
    command = get_command(app)
    parts = [
        f"{MADE}# The command line\n\nResults go to standard output, progress and errors to standard error. Exit codes:",
        "[formats.md](formats.md#exit-codes).\n",
        _help(command, "emojudge"),
    ]
    for name, verb in command.commands.items():
        parts.append(f"## emojudge {name}\n\n{_help(verb, f'emojudge {name}')}")
    return "\n".join(parts)


def _help(command: Any, name: str) -> str:
    context = command.make_context(name, [], resilient_parsing=True, terminal_width=WIDTH, max_content_width=WIDTH)
    return f"```text\n{click.unstyle(command.get_help(context)).strip()}\n```\n"


def file_map() -> str:
    """One line for each module, and what its docstring says of it; folders after files."""
    package = ROOT / "emojudge"
    folders = sorted({path.parent for path in package.rglob("*.py")} - {package})
    lines = ["| | |", "|---|---|", *(_file_line(path) for path in sorted(package.glob("*.py")))]
    for folder in folders:
        lines.append(f"| [**{folder.name}/**]({folder.relative_to(ROOT)}) | {_first_sentence(folder / '__init__.py')} |")
        lines += [_file_line(path, folder.name) for path in sorted(folder.glob("[!_]*.py"))]
    return "\n".join(lines)


def _file_line(path: Path, folder: str = "") -> str:
    name = f"{folder}/{path.name}" if folder else path.name
    return f"| [`{name}`]({path.relative_to(ROOT)}) | {_first_sentence(path)} |"


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return _escape(docstring.split("\n")[0])


def pages() -> dict[Path, str]:
    """Every generated page and what it should hold."""
    made = {ROOT / "docs" / "settings.md": settings_page(), ROOT / "docs" / "cli.md": cli_page()}
    readme = ROOT / "README.md"
    if readme.exists() and "<!-- files -->" in (text := readme.read_text(encoding="utf-8")):
        content = f"<!-- files -->\n{file_map()}\n<!-- /files -->"
        made[readme] = re.sub(r"<!-- files -->.*<!-- /files -->", lambda _: content, text, flags=re.DOTALL)
    return made


def main() -> int:
    """Write, or check."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(ROOT)} is out of date; run: python docs/generate.py", file=sys.stderr)
        else:
            path.write_text(pages()[path], encoding="utf-8")
            print(path.relative_to(ROOT))
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
