"""What the verbs of the command line share: the application, their arguments, and how errors leave."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from emojudge.errors import EmoJudgeError


class Verbs(TyperGroup):
    """`emojudge judge export RUN` is `emojudge judge-export RUN`: two words may name a verb."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The verb that `args` begin with, and the rest."""
        first, *rest = args
        if rest and (verb := f"{first}-{rest[0]}") in self.commands:
            first, *rest = verb, *rest[1:]
        return super().resolve_command(ctx, [first, *rest])


app = typer.Typer(
    name="emojudge",
    cls=Verbs,
    help="Emotion in speech from voice and words, judged by a language model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Source = Annotated[Path, typer.Argument(help="An experiment (TOML), or a run folder.", show_default=False)]
Run = Annotated[Path, typer.Argument(help="A run folder.", show_default=False)]
Corpus = Annotated[
    Path | None, typer.Argument(help="An experiment (TOML), or a run folder; without it, what --set says.", show_default=False)
]
System = Annotated[str, typer.Argument(help="audio, text or early.", metavar="SYSTEM")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Change a setting; may be repeated.", metavar="SECTION.FIELD=VALUE")]
Into = Annotated[Path | None, typer.Option("--into", help="The run folder to fill (default: runs/NAME).")]
Picture = Annotated[Path | None, typer.Option("--picture", help="Also draw it, as a PNG, SVG or PDF file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """Register a verb; an error a user can cause is one sentence on standard error and its exit code.

    A parameter whose type is a dataclass stands for its fields, each an option.
    """
    signature = inspect.signature(function)
    groups: dict[str, Any] = {name: one.annotation for name, one in signature.parameters.items() if is_dataclass(one.annotation)}

    @wraps(function)
    def guarded(*arguments: Any, **options: Any) -> None:
        for name, kind in groups.items():
            options[name] = kind(**{one.name: options.pop(one.name) for one in fields(kind)})
        try:
            code = function(*arguments, **options)
        except EmoJudgeError as error:
            print(f"emojudge: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            raise  # whoever read our output has seen enough
        except OSError as error:
            what = f"{error.filename or 'A file'} cannot be read or written ({error.strerror})"
            print(f"emojudge: {what}; see to the disk or its rights.", file=sys.stderr)
            raise typer.Exit(EmoJudgeError.exit_code) from None
        except KeyboardInterrupt:
            print("emojudge: interrupted; run the same command again to go on from here.", file=sys.stderr)
            raise typer.Exit(130) from None
        raise typer.Exit(code or 0)

    own = [one for name, one in signature.parameters.items() if name not in groups]
    own += [one for kind in groups.values() for one in inspect.signature(kind).parameters.values()]
    guarded.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    guarded.__annotations__ = {one.name: one.annotation for one in own}
    return app.command(function.__name__.rstrip("_").replace("_", "-"))(guarded)


def experiment(source: Path | None, changes: list[str] | None, into: Path | None = None) -> Any:
    """The experiment of a TOML file, of a run folder that exists, or of the changes alone."""
    from emojudge.experiment import Experiment

    return Experiment.open(source, changes or [], into)


def lost(work: Any) -> int:
    """The exit code of an experiment: 1 if some of its clips could not be used."""
    return 1 if work.skipped() else 0
