"""What the judge is shown: versioned texts (`*.toml`) and the code that fills them. Pure text, nothing heavy.

A new prompt is a new file in this folder; `judge.prompt` names it by its stem.
"""

from emojudge.prompts.prompts import Prompt, build, version
from emojudge.prompts.voice import describe

__all__ = ["Prompt", "build", "describe", "version"]
