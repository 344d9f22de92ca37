"""Every error a user can cause.

Each carries one sentence: what went wrong, where, and what to do. The command line prints that
sentence and leaves with the class's exit code; a traceback means a defect of ours::

    EmoJudgeError                exit  2
    ├── ConfigError              2  a setting that does not exist or cannot be
    ├── UnknownName              2  no such corpus, encoder, judge …
    ├── MissingExtra             2  an optional dependency is not installed
    ├── MissingWeights           2  pretrained weights are not installed, or cannot be fetched
    ├── DataError                2  a corpus, manifest or stored file that cannot be used
    │   └── AudioError           2  one recording that cannot be used (in a corpus run it is skipped: exit 1)
    ├── ModelError               2  weights that do not fit, or labels that disagree
    ├── LeakageError             2  a score that would be taken on what something was fitted on
    └── JudgeError               2  the judge cannot go on
        ├── ConsentError         2  a remote service was not agreed to
        ├── BudgetError          3  the next request would cost more than allowed
        └── AuthenticationError  4  the service refused the key
"""


class EmoJudgeError(Exception):
    """Base of all errors below; catch it to catch them all."""

    exit_code = 2


class ConfigError(EmoJudgeError):
    """A setting that does not exist, or has a value it cannot have."""


class UnknownName(EmoJudgeError):
    """No corpus, encoder or judge goes by this name."""


class MissingExtra(EmoJudgeError):
    """An optional dependency is needed and not installed."""

    def __init__(self, purpose: str, extra: str) -> None:
        super().__init__(f"{purpose} needs an optional part of EmoJudge; install it with: pip install 'emojudge[{extra}]'")


class MissingWeights(EmoJudgeError):
    """Pretrained weights are not installed, or cannot be fetched."""


class DataError(EmoJudgeError):
    """A corpus, manifest or stored file that cannot be used."""


class AudioError(DataError):
    """One recording that cannot be used."""


class ModelError(EmoJudgeError):
    """Weights that do not fit the model, or models whose labels disagree."""


class LeakageError(EmoJudgeError):
    """Scoring would use clips that the system was fitted on."""


class JudgeError(EmoJudgeError):
    """The judge cannot go on."""


class ConsentError(JudgeError):
    """Transcripts would leave this machine without consent."""


class BudgetError(JudgeError):
    """The next request would cost more than allowed."""

    exit_code = 3


class AuthenticationError(JudgeError):
    """The service refused the key."""

    exit_code = 4
