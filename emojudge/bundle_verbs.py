"""The verb that passes a run on."""

from pathlib import Path
from typing import Annotated

import typer

from emojudge.verbs import Run, verb


@verb
def save(
    run: Run,
    folder: Annotated[Path, typer.Argument(help="The folder to write.", show_default=False)],
    push: Annotated[
        str | None, typer.Option("--push", help="Then upload it to this Hugging Face repository.", metavar="OWNER/NAME")
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="A repository that is made is public.")] = False,
) -> None:
    """Write a run as a bundle: README.md, config.json and model.safetensors, as Hugging Face keeps models.

    Any --run takes the folder. Clips, words and predictions stay behind. Nothing is uploaded without --push.
    """
    from emojudge import bundles

    print(bundles.save(bundles.open_run(run), folder))
    if push:
        print(bundles.push(folder, push, private=not public))
