"""The verb that turns a run into what others run."""

from pathlib import Path
from typing import Annotated

import typer

from emojudge.errors import UnknownName
from emojudge.verbs import Run, verb


@verb
def export(
    run: Run,
    output: Annotated[Path, typer.Option("--output", help="The new folder.")] = Path("exported"),
    format: Annotated[str, typer.Option("--format", help="onnx.")] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="8-bit weights in the encoders; docs/scale.md has what that costs.")
    ] = False,
) -> None:
    """Write a run or bundle for ONNX Runtime: a folder that --run takes, with what predicting needs and nothing of the corpus."""
    if format != "onnx":
        raise UnknownName(f"There is no format {format!r} to export to; there is onnx.")
    from emojudge import bundles, onnx_export

    print(*onnx_export.export(bundles.open_run(run), output, int8), sep="\n")
