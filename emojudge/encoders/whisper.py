"""Whisper's encoder over the true length of a clip, never padded to 30 seconds.

Radford et al. 2022 (https://arxiv.org/abs/2212.04356). The log-mel spectrogram is cut to 2·⌈samples/320⌉ frames
and the positions are cut to match, which is about ten times faster than the padded window for short clips. The
two modes differ (cosine about .94 at the last layer), so a model is trained and served in this one. There are
1,500 positions: what lies beyond 30 seconds is cut off.

Argument: "offline" (Whisper base) or "offline-tiny" (tiny.en), both from Python packages, a folder, or a hub id as
"openai/whisper-small".
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from emojudge import offline, pretrained, trainable
from emojudge.settings import AudioSettings

HOP = 160
"""Samples between spectrogram frames: 10 ms."""
STEP = 2 * HOP
"""Samples between the encoder's frames: 20 ms."""
WINDOW = 400
"""Samples in a spectrogram frame: 25 ms."""
MAX_FRAMES = 1500
"""Positions that Whisper has: 30 s."""


def open(argument: str, settings: AudioSettings) -> "WhisperEncoder":
    """Load the encoder half of a Whisper model.

    Raises:
        MissingWeights: the weights are not there.
        ConfigError: `settings.layers` names a layer that the model does not have.
    """
    from transformers import WhisperModel

    packaged = {"offline": offline.whisper_base, "offline-tiny": offline.whisper_tiny}
    source = str(packaged[argument]()) if argument in packaged else argument
    model: Any = pretrained.load_model(WhisperModel, source, settings.revision)
    return WhisperEncoder(model.encoder, settings)


class Spectrograms:
    """What the network is shown of waveforms."""

    def __init__(self, bands: int, max_samples: int) -> None:
        self.bands, self.max_samples = bands, max_samples
        from transformers import WhisperFeatureExtractor

        self.mel = torch.from_numpy(WhisperFeatureExtractor(feature_size=bands).mel_filters.T).float()  # (bands, frequencies)
        self.window = torch.hann_window(WINDOW)

    def __call__(self, batch: Sequence[np.ndarray], device: Any = "cpu") -> dict[str, torch.Tensor]:
        """The arguments of `WhisperEncoder.states`: mel (B, bands, 2T), and mask (B, T)."""
        mels = [self.log_mel(samples, device) for samples in batch]
        lengths = torch.tensor([mel.shape[-1] // 2 for mel in mels], device=device)
        mask = torch.arange(int(lengths.max()), device=device) < lengths[:, None]
        return {"mel": nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2), "mask": mask}

    def log_mel(self, samples: np.ndarray, device: Any = "cpu") -> torch.Tensor:
        """Whisper's spectrogram (bands, 2·⌈samples/320⌉), equal to that of its 30-second window cut to this length."""
        wave = torch.as_tensor(samples[: self.max_samples], dtype=torch.float32, device=device)
        frames = 2 * max(1, -(-len(wave) // STEP))
        width = min(frames * HOP + WINDOW // 2, MAX_FRAMES * STEP)  # zeros to the last frame's end, as the window has
        wave = functional.pad(wave, (0, width - len(wave)))
        spectrum = torch.stft(wave, WINDOW, HOP, window=self.window.to(device), return_complex=True)[:, :frames]
        energies = self.mel.to(device) @ spectrum.abs().square()
        log = energies.clamp(min=1e-10).log10()
        return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0


def front(about: dict[str, Any], folder: str | Path) -> Spectrograms:
    """What stands before an exported network, from what `WhisperEncoder.keep` gave."""
    return Spectrograms(about["bands"], about["max_samples"])


class WhisperEncoder:
    """Batches of waveforms to hidden states.

    Attributes: `modality` "audio"; `size` the width D; `layers` how many layers L are returned; `module` the
    network; `fingerprint` names the weights and all that changes the output.
    """

    modality = "audio"

    def __init__(self, module: Any, settings: AudioSettings) -> None:
        self.module = module
        self.chosen = pretrained.chosen(settings.layers, len(self.module.layers))
        self.size, self.layers = int(self.module.config.d_model), len(self.chosen)
        self.max_samples = min(MAX_FRAMES * STEP, int(settings.max_seconds * 50) * STEP)
        self.steps = self.max_samples // STEP
        self.front = Spectrograms(self.module.config.num_mel_bins, self.max_samples)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights and of how they are used."""
        about = {"encoder": "whisper", "mode": "true length 1", "layers": self.chosen, "max_samples": self.max_samples}
        return pretrained.fingerprint(self.module, about)

    def prepare(self, settings: AudioSettings) -> None:
        """Let as much learn as `settings.train` says; the convolutions, the positions and what is not run never do."""
        model, highest = self.module, max(self.chosen)
        unread = (*model.layers[highest:], model.layer_norm) if highest < len(model.layers) else ()
        front = (model.conv1, model.conv2, model.embed_positions)
        trainable.prepare(model, model.layers[:highest], settings, (*front, *unread))

    def encode(self, batch: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of clips of any lengths; alone or in a batch, a clip gets the same.

        Args:
            batch: float32 arrays (samples,) at 16 kHz.

        Returns:
            frames (B, L, T, D) float32, 20 ms apart, and mask (B, T), True where a frame belongs to the clip.
        """
        inputs = self.front(batch, self.module.conv1.weight.device)
        return self.states(**inputs).float(), inputs["mask"]

    def states(self, mel: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The chosen layers (B, L, T, D) of spectrograms."""
        return torch.stack(self._hidden(mel.to(self.module.dtype), mask), 1)

    def keep(self, folder: str | Path) -> dict[str, Any]:
        """What `front` needs."""
        return {"bands": self.front.bands, "max_samples": self.max_samples}

    def _hidden(self, mel: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
        """The chosen layers, each (B, T, D); blocks above the highest are not run.

        Spectrograms have even lengths, so that no kept frame of the second convolution (stride 2, kernel 3) sees padding.
        """
        model = self.module
        state = functional.gelu(model.conv1(mel))
        state = functional.gelu(model.conv2(state)).transpose(1, 2)
        state = state + model.embed_positions.weight[: state.shape[1]]
        alike = not torch.compiler.is_exporting() and bool(mask.all())
        attend = None if alike else mask[:, None, None, :]
        kept = {0: state} if 0 in self.chosen else {}
        for number, block in enumerate(model.layers[: max(self.chosen)], 1):
            state = block(state, attend)
            if number in self.chosen:
                kept[number] = model.layer_norm(state) if number == len(model.layers) else state
        return [kept[number] for number in self.chosen]
