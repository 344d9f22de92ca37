"""`emojudge ablate`: an experiment, and each of its `[ablations]` beside it on the same clips.

Each variant is the experiment with a few settings changed, in a run folder of its own below the experiment's. Features of
frozen encoders are computed once for all of them, and a variant that is done is not done again.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from emojudge import contrast, preflight
from emojudge.config import load_config
from emojudge.contrast import Entry, Line, seconds_of
from emojudge.errors import ConfigError, EmoJudgeError
from emojudge.experiment import Experiment
from emojudge.progress import say
from emojudge.settings import Config
from emojudge.storage import read_json
from emojudge.tables import Table


def ablate(source: Path, changes: Sequence[str] = (), into: Path | None = None) -> tuple[list[Table], list[Line]]:
    """Run the experiment `source` and its variants in `into` or `runs/NAME`; write ablation.md and ablation.json there.

    Raises:
        ConfigError: there are no ablations, or a variant cannot be.
        EmoJudgeError: as the experiment itself would.
    """
    config = load_config(source, changes)
    root = into or Path("runs") / config.name
    entries: list[Entry] = []
    for name, variant in variants(config).items():
        folder = root / "ablations" / re.sub(r"[^\w.-]+", "-", name).strip("-.") if entries else root
        say(f"— {name}")
        work = Experiment(variant, folder)
        work.everything()
        entries.append(Entry(name, work.run, work.fused, seconds_of(work.run)))
    lines: list[Line] = []
    tables = []
    for task in config.tasks:
        for split in config.evaluation.splits:
            lines += (found := contrast.contrast(entries, task, split))
            tables.append(contrast.table(found, f"{config.name}: {task}, {split}"))
    contrast.write(root, "ablation", tables, lines, read_json(root / "run.json").get("notice", ""))
    return tables, lines


def variants(config: Config) -> dict[str, Config]:
    """The experiment itself under its own name, then every variant, each checked before any work is done.

    >>> config = Config(name="mine", ablations={"no residual": ("audio.residual=false",)})
    >>> [(name, one.audio.residual) for name, one in variants(config).items()]
    [('mine', True), ('no residual', False)]

    Raises:
        ConfigError: there are none, or one of them cannot be; it is named.
    """
    if not config.ablations:
        raise ConfigError(f'{config.name} has no table [ablations]; add one, with lines as: plain = ["audio.residual=false"]')
    base = config.model_copy(update={"ablations": {}})
    found = {config.name: base}
    for name, changes in config.ablations.items():
        try:
            found[name] = load_config(changes=[*changes, f'name="{config.name}: {name}"'], base=base)
            preflight.check_names(found[name])
            preflight.check_solver(found[name])
        except EmoJudgeError as error:
            raise ConfigError(f"[ablations] {name}: {error}") from None
    return found
