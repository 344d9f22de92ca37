"""Automatic transcripts where a corpus, or a person, brings none (decision 25).

Whisper (https://arxiv.org/abs/2212.04356) over the clip's own length, as `emojudge.encoders.whisper`, but with some
silence behind it: without any, Whisper does not notice that the speech is over and says it again until it is
stopped. Measured on 12 clips of RAVDESS: 3 sentences exactly right with no silence, 9 with one or two
seconds, 12 with four and with eight; the full 30-second window costs three times as much.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import pretrained
from emojudge.audio import SAMPLE_RATE
from emojudge.settings import AudioSettings

SILENCE_SECONDS = 4
WINDOW_SECONDS = 26
"""Longer clips are transcribed in stretches of this length, which leave room for the silence in Whisper's 30 s."""
TOKENS_PER_SECOND = 12
"""A bound on what is said; fast speech has about six."""


def transcribe(samples: np.ndarray, folder: str | Path, language: str | None = "en") -> str:
    """What is said in `samples`, float32 (samples,) at 16 kHz, before any normalisation; "" where nothing is.

    Args:
        samples: the clip.
        folder: a Whisper model, as `emojudge.offline.whisper_base()`, another folder, or a hub id.
        language: a code as "en", or None to let Whisper hear which it is.

    Raises:
        MissingWeights: no model can be loaded from `folder`.
    """
    window = WINDOW_SECONDS * SAMPLE_RATE
    stretches = [samples[start : start + window] for start in range(0, len(samples), window)]
    return " ".join(filter(None, (_stretch(one, str(folder), language) for one in stretches)))


@lru_cache(maxsize=1)
def _whisper(folder: str) -> tuple[Any, Any, Any]:
    """Model, its encoder at true length, and tokenizer."""
    from transformers import AutoTokenizer, WhisperForConditionalGeneration

    from emojudge.encoders.whisper import WhisperEncoder

    model: Any = pretrained.load_model(WhisperForConditionalGeneration, folder)
    return model, WhisperEncoder(model.model.encoder, AudioSettings()), pretrained.load(AutoTokenizer, folder)


def _stretch(samples: np.ndarray, folder: str, language: str | None) -> str:
    """One stretch that fits into Whisper's window."""
    if not samples.any():
        return ""  # Whisper would invent something
    import torch
    from transformers.modeling_outputs import BaseModelOutput

    model, encoder, tokenizer = _whisper(folder)
    options = {"language": language, "task": "transcribe"} if getattr(model.generation_config, "is_multilingual", False) else {}
    limit = min(model.config.max_target_positions // 2, 8 + TOKENS_PER_SECOND * -(-len(samples) // SAMPLE_RATE))
    with torch.inference_mode():
        frames, _ = encoder.encode([np.pad(samples, (0, SILENCE_SECONDS * SAMPLE_RATE))])
        heard = BaseModelOutput(last_hidden_state=frames[:, -1])
        tokens = model.generate(encoder_outputs=heard, max_new_tokens=limit, do_sample=False, **options)
    return tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
