"""EmoJudge: emotion in speech from voice and words, judged by a language model.

A folder is a place to add a file; a file is a stage of the paper. Heavy names are imported on first use.
"""

from emojudge.errors import EmoJudgeError
from emojudge.types import ATTRIBUTES, EMOTIONS, Cues, Prediction, Utterance, Verdict

__version__ = "0.1.0"
__all__ = ["ATTRIBUTES", "EMOTIONS", "Cues", "EmoJudgeError", "Prediction", "Utterance", "Verdict"]
