"""Which corpus, labels and splits."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from emojudge.settings.base import Positive, Settings, Share
from emojudge.types import EMOTIONS


class DataSettings(Settings):
    """Which corpus, which labels, which splits (paper 3.1)."""

    corpus: str = "msp_podcast"
    """Which loader reads it; `emojudge list corpora` names them all (paper 3.1)."""
    root: Path | None = None
    """The corpus's folder, as it was delivered (for `table`: the file)."""
    made_of: tuple[str, ...] = ()
    """Corpora that a table was put together from, by their loaders' names: the model card states their sources and licences."""
    audio_root: Path | None = None
    """Where relative audio paths start, when that is not `root`."""
    labels: tuple[str, ...] = EMOTIONS
    """Classes, in order (paper Table 1). Clips with another label keep their audio and lose the label."""
    label_map: dict[str, str] = Field({})
    """Renames labels before `labels` is applied, as {"Calm" = "Neutral"}."""
    splits: Literal["official", "speaker"] = "official"
    """The corpus's own train/dev/test (paper 3.1), or a seeded speaker-disjoint draw."""
    split_shares: tuple[Positive, Positive, Positive] = (0.7, 0.15, 0.15)
    """Shares of train, dev, test in a speaker-disjoint draw (ours)."""
    dev2: int | None = Field(None, ge=1)
    """So many clips of each class are drawn from dev and held out as the split dev2 (paper 3.1: 295; decision 13)."""
    folds: Literal["speaker", "session"] | Path | None = Field(None, union_mode="left_to_right")
    """Each is trained and tested in turn: every speaker (at most 100), every recording session where the corpus tells, or the
    folds of a JSON file {"folds": {name: [test speakers or ids]}}. A fold with a speaker on both sides is refused, unless
    the file names its "source": published folds are taken as they are."""
    fold_dev_share: Share = 0.2
    """Part of each fold's training speakers (clips, if folds share speakers) kept to choose checkpoints and fusion (ours)."""
    verify: Literal["presence", "headers", "decoded"] = "headers"
    """How closely recordings are looked at before any work: that they are there, that their headers can be read and tell
    possible lengths, or that all of them decodes, which takes long (ours)."""
    limit: int | None = Field(None, ge=1)
    """At most this many utterances of each class in each split; for a quick try."""
    seed: int = 0
    """Of every draw above (ours)."""

    @property
    def folds_file(self) -> Path | None:
        """Where `folds` lies, if it is a file: in the corpus's folder if it is there, else as it is given."""
        if not isinstance(self.folds, Path):
            return None
        beside = self.root / self.folds if self.root else None
        return beside if beside and beside.exists() else self.folds
