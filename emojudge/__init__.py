"""EmoJudge: emotion in speech from voice and words, judged by a language model.

A folder is a place to add a file; a file is a stage of the paper. Heavy names are imported on first use.

>>> import emojudge
>>> emojudge.EMOTIONS[0]
'Angry'
"""

from typing import Any

from emojudge.errors import EmoJudgeError
from emojudge.types import ATTRIBUTES, EMOTIONS, Cues, Prediction, Utterance, Verdict

__version__ = "0.1.0"
__all__ = ["ATTRIBUTES", "EMOTIONS", "Cues", "EmoJudge", "EmoJudgeError", "Experiment", "Prediction", "Utterance", "Verdict"]

_LAZY = {"EmoJudge": "pipeline", "Experiment": "experiment"}


def __getattr__(name: str) -> Any:
    """Import what needs torch only when it is asked for."""
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(f"emojudge.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'emojudge' has no attribute {name!r}")
