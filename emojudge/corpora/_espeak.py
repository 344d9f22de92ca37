"""A child process that speaks: `python -m emojudge.corpora._espeak CLIPS.json FOLDER`.

espeak-ng (through the package `espeakng_loader`) keeps state from one sentence to the next, so the same words sound
the same only in a fresh process that speaks the same clips in the same order. Nothing else may use espeak in it.
"""

import ctypes
import json
import sys
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soxr

RATE = 16_000
LEVEL_DBFS = -31.0
"""RMS of a clip of gain 0."""

_SYNCHRONOUS, _NO_EXIT, _UTF8 = 2, 0x8000, 1
_PARAMETERS = {"rate": 1, "pitch": 3, "range": 4, "gap": 7}
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Speaker:
    """espeak-ng, opened once."""

    def __init__(self) -> None:
        import espeakng_loader

        self._espeak = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.rate = self._espeak.espeak_Initialize(_SYNCHRONOUS, 0, data, _NO_EXIT)
        self._espeak.espeak_ng_SetRandSeed(0)  # breathy voices are made with random noise, seeded by the clock
        self._heard: list[np.ndarray] = []
        self._callback = _Callback(self._hear)  # kept, or it would be collected while espeak calls it
        self._espeak.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def speak(self, text: str, voice: str, prosody: Mapping[str, int]) -> np.ndarray:
        """Speak `text`: float64 samples of shape (T,) at `self.rate` hertz, within ±1."""
        self._heard.clear()
        if self._espeak.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng has no voice {voice}")
        for name, number in _PARAMETERS.items():
            self._espeak.espeak_SetParameter(number, prosody[name], 0)
        words = text.encode()
        self._espeak.espeak_Synth(words, len(words) + 1, 0, 0, 0, _UTF8, None, None)
        return np.concatenate(self._heard) / 32768.0


def record(clip: Mapping[str, Any], speaker: Speaker) -> np.ndarray:
    """The clip at 16 kHz as 16-bit samples, at its level and with its noise."""
    voice = soxr.resample(speaker.speak(clip["text"], clip["voice"], clip), speaker.rate, RATE)
    voice[1:] -= clip["tilt"] * voice[:-1]
    voice *= 10 ** ((LEVEL_DBFS + clip["gain_db"]) / 20) / np.sqrt(np.mean(voice**2))
    noise = np.random.RandomState(clip["noise_seed"]).standard_normal(len(voice))  # its stream never changes, unlike Generator's
    noise *= np.sqrt(np.mean(voice**2)) * 10 ** (-clip["snr_db"] / 20)
    return np.round(np.clip(voice + noise, -1, 1) * 32767).astype("<i2")


def main(job: str, folder: str) -> None:
    """Speak every clip of the JSON list `job` into `folder`."""
    speaker = Speaker()
    for clip in json.loads(Path(job).read_text(encoding="utf-8")):
        with wave.open(str(Path(folder) / f"{clip['id']}.wav"), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(record(clip, speaker).tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
