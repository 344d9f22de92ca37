"""Whisper of any size, over a clip's own length, with some silence behind it.

Radford et al. 2022 (https://arxiv.org/abs/2212.04356). Encoded as `emojudge.encoders.whisper` does, never padded to 30
seconds, but with four to five seconds of silence: without any, Whisper does not notice that the speech is over and says it
again until it is stopped (`benchmarks/transcripts.py`). Clips are filled up to whole seconds and only equal ones are decoded
together, so that a clip gets the same text whatever stands beside it. Decoding is greedy. What repeats itself, is improbable
(section 4.5 of the paper, its thresholds) or has words without time to say them is heard again in the 30-second window that
Whisper was trained on, then there without repeated triples. Nothing is drawn at random.

Argument: "offline" (Whisper base from Python packages), a folder, or a hub id as "openai/whisper-small".
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers.modeling_outputs import BaseModelOutput

from emojudge import offline, pretrained
from emojudge.audio import SAMPLE_RATE
from emojudge.encoders.whisper import MAX_FRAMES, STEP, WhisperEncoder
from emojudge.errors import ConfigError
from emojudge.settings import AudioSettings, TranscriptSettings
from emojudge.transcribers import _words
from emojudge.transcribers._words import MAX_COMPRESSION, MAX_NO_SPEECH, MIN_LOG_PROBABILITY
from emojudge.types import Transcript, Word

SILENCE_SECONDS = 4
WINDOW_SECONDS = 26
"""Longer clips are heard in stretches of at most this, which leave room for the silence in Whisper's 30 seconds."""
SEARCH_SECONDS = 6
"""How far before the window's end the quietest moment is looked for, to part a long clip there."""
TOKENS_PER_SECOND = 12
"""A bound on what is said; fast speech has about six."""


def open(argument: str, settings: TranscriptSettings) -> "Whisper":
    """Load a Whisper model with its tokenizer.

    Raises:
        MissingWeights: the weights are not there.
        ConfigError: the model does not know `settings.language`.
    """
    from transformers import AutoTokenizer, WhisperForConditionalGeneration

    source = str(offline.whisper_base()) if argument == "offline" else argument
    model: Any = pretrained.load_model(WhisperForConditionalGeneration, source, settings.revision)
    return Whisper(model.to(settings.device), pretrained.load(AutoTokenizer, source, settings.revision), settings.language)


class Whisper:
    """Batches of clips to transcripts. `language` is a code as "en"; None hears it clip by clip.

    Attribute `fingerprint` names the weights and all that changes the output.
    """

    def __init__(self, model: Any, tokenizer: Any, language: str | None) -> None:
        self.model, self.tokenizer, self.rules = model, tokenizer, model.generation_config
        self.model.set_attn_implementation("eager")  # the others do not tell where they look
        self.encoder = WhisperEncoder(model.model.encoder, AudioSettings())
        self.languages = {number: name.strip("<|>") for name, number in getattr(self.rules, "lang_to_id", {}).items()}
        self.language = language if self.languages else None
        if self.language and self.language not in self.languages.values():
            known = ", ".join(sorted(self.languages.values()))
            raise ConfigError(f"transcripts.language = {language!r} is none that this model knows; it knows {known}.")

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights and of how they are used."""
        return pretrained.fingerprint(self.model, {"transcriber": "whisper 1", "language": self.language})

    def transcribe(self, batch: Sequence[np.ndarray]) -> list[Transcript]:
        """What is said in each clip, float32 (samples,) at 16 kHz before any normalisation; alone or in a batch, the same."""
        groups: dict[int, list[tuple[int, int, np.ndarray]]] = defaultdict(list)
        heard: list[dict[int, Transcript]] = [{} for _ in batch]
        for number, samples in enumerate(batch):
            for begin, end in stretches(samples):
                if samples[begin:end].any():  # Whisper would invent something
                    groups[-(-(end - begin) // SAMPLE_RATE)].append((number, begin, samples[begin:end]))
        for seconds, group in groups.items():
            found = self._hear([samples for _, _, samples in group], seconds)
            for (number, begin, _), transcript in zip(group, found, strict=True):
                heard[number][begin] = transcript
        return [_joined(parts) for parts in heard]

    @torch.inference_mode()
    def _hear(self, group: Sequence[np.ndarray], seconds: int) -> Iterator[Transcript]:
        """Stretches that are all filled up to so many seconds."""
        length = (seconds + SILENCE_SECONDS) * SAMPLE_RATE
        frames, _ = self.encoder.encode([np.pad(samples, (0, length - len(samples))) for samples in group])
        for samples, state, written in zip(group, frames, self._write(frames[:, -1], seconds), strict=True):
            found, trusted = self._read(samples, state, written)
            yield found if trusted else self._again(samples, seconds)

    def _again(self, samples: np.ndarray, seconds: int) -> Transcript:
        """One stretch in the whole window, as it is, then without repeated triples; what fails there cannot be trusted."""
        frames, _ = self.encoder.encode([np.pad(samples, (0, MAX_FRAMES * STEP - len(samples)))])
        for options in ({}, {"no_repeat_ngram_size": 3}):
            found, trusted = self._read(samples, frames[0, -1:], self._write(frames[:, -1], seconds, **options)[0])
            if trusted:
                return found
        return replace(found, confidence=0.0)

    def _write(self, states: torch.Tensor, seconds: int, **options: Any) -> torch.Tensor:
        """Tokens (B, L) for states (B, T, D): the opening, the text, and ends."""
        limit = min(self.model.config.max_target_positions // 2, 8 + TOKENS_PER_SECOND * seconds)
        if self.languages:
            options |= {"language": self.language and f"<|{self.language}|>", "task": "transcribe"}
        heard = BaseModelOutput(last_hidden_state=states)
        options |= {"max_new_tokens": limit, "do_sample": False, "return_dict_in_generate": True}
        return self.model.generate(encoder_outputs=heard, **options).sequences

    def _read(self, samples: np.ndarray, state: torch.Tensor, written: torch.Tensor) -> tuple[Transcript, bool]:
        """The transcript of states (1, T, D) and tokens (L,), and whether it can be trusted."""
        end = self.model.config.eos_token_id
        special = (written >= end).tolist()  # text has the numbers below
        opening = special.index(False) if False in special else len(special)
        stop = special.index(True, opening) if True in special[opening:] else len(special)
        spoken = written[None, :stop]
        heard = BaseModelOutput(last_hidden_state=state)
        seen = self.model(encoder_outputs=heard, decoder_input_ids=spoken, output_attentions=True)
        logs = seen.logits[0].float().log_softmax(-1)
        wanted = torch.cat([spoken[0, opening:], spoken.new_tensor([end])])
        chances = logs[opening - 1 :].gather(1, wanted[:, None])[:, 0].cpu().numpy()
        text = self.tokenizer.decode(spoken[0, opening:]).strip()
        language = next((self.languages[token] for token in spoken[0, :opening].tolist() if token in self.languages), "")
        after = getattr(self.rules, "no_timestamps_token_id", None)
        quiet = after is not None and float(logs[0, after - 1].exp()) > MAX_NO_SPEECH  # <|nospeech|> is the one before
        likely = chances.mean() >= MIN_LOG_PROBABILITY
        if not _words.spoken(text) or (quiet and not likely):
            return Transcript(language=language), True
        firsts = self._follow(seen.cross_attentions, len(wanted), -(-len(samples) // STEP))
        parts = _words.parts(spoken[0, opening:].tolist(), self.tokenizer)
        words = _words.words(parts, firsts, np.exp(chances[:-1]), _words.loud(samples))
        confidence = round(sum(word.confidence for word in words) / len(words), 3)
        trusted = bool(likely) and compression(text) <= MAX_COMPRESSION and not _words.squeezed(parts, firsts)
        return Transcript("", text, words, confidence, language), trusted

    def _follow(self, attention: Sequence[torch.Tensor], tokens: int, frames: int) -> np.ndarray:
        """The frame in which each of the last `tokens` is written; `attention` has (1, heads, tokens, frames) of each layer."""
        layers, heads = self.model.config.decoder_layers, self.model.config.decoder_attention_heads
        every = [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]
        chosen = getattr(self.rules, "alignment_heads", None) or every
        looks = torch.stack([attention[layer][0, head, -tokens:, :frames] for layer, head in chosen])
        return _words.follow(looks.float().cpu().numpy())


def stretches(samples: np.ndarray) -> Iterator[tuple[int, int]]:
    """Where to part a clip so that each part fits: at the quietest fifth of a second near the end of each window.

    >>> list(stretches(np.ones(20 * SAMPLE_RATE))), [end / SAMPLE_RATE for _, end in stretches(np.ones(40 * SAMPLE_RATE))]
    ([(0, 320000)], [20.1, 40.0])
    """
    begin, step = 0, SAMPLE_RATE // 5
    while len(samples) - begin > WINDOW_SECONDS * SAMPLE_RATE:
        first = begin + (WINDOW_SECONDS - SEARCH_SECONDS) * SAMPLE_RATE
        tail = samples[first : first + SEARCH_SECONDS * SAMPLE_RATE].astype(np.float64)
        end = first + int(np.square(tail).reshape(-1, step).mean(axis=1).argmin()) * step + step // 2
        yield begin, end
        begin = end
    if begin < len(samples):
        yield begin, len(samples)


def compression(text: str) -> float:
    """How many times shorter zlib makes a text.

    >>> compression("Kids are talking by the door.") < 1 < MAX_COMPRESSION < compression("I said no. " * 20)
    True
    """
    content = text.encode()
    return len(content) / len(zlib.compress(content))


def _joined(parts: dict[int, Transcript]) -> Transcript:
    """One transcript of a clip's stretches, by the sample at which each begins."""
    if not parts:
        return Transcript()
    found: list[Word] = []
    for begin, part in sorted(parts.items()):
        late = begin / SAMPLE_RATE
        found += [replace(w, start=round(w.start + late, 2), end=round(w.end + late, 2)) for w in part.words]
    text = " ".join(part.text for _, part in sorted(parts.items()) if part.text)
    spoken = [part for part in parts.values() if part.text]
    confidence = min((part.confidence for part in spoken), default=0.0)
    return Transcript("", text, tuple(found), confidence, max((part.language for part in spoken), default=""))
