"""Speech encoders of Hugging Face on raw waveforms: WavLM, HuBERT, wav2vec 2.0 and others of their build.

wav2vec 2.0: Baevski et al. 2020 (https://arxiv.org/abs/2006.11477), HuBERT: Hsu et al. 2021
(https://arxiv.org/abs/2106.07447), WavLM: Chen et al. 2022 (https://arxiv.org/abs/2110.13900). The convolutional
front end runs on each clip by itself, since its group norm over time would see a batch's padding; the
transformer runs on the padded batch under a mask. So a clip alone and in a batch gets the same features.

The waveform is taken as it comes: normalising it is `emojudge.audio.Normaliser`'s matter. SpecAugment and
LayerDrop, which these models bring from their pretraining, are off.

Argument: a folder, or a hub id as "microsoft/wavlm-large" (paper 4.1).
"""

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from emojudge import pretrained, trainable
from emojudge.audio import SAMPLE_RATE
from emojudge.errors import ModelError
from emojudge.settings import AudioSettings


def open(argument: str, settings: AudioSettings) -> "SpeechEncoder":
    """Load a model.

    Raises:
        MissingWeights: the weights are not there.
        ModelError: an architecture without convolutional front end, projection and transformer.
        ConfigError: `settings.layers` names a layer that the model does not have.
    """
    from transformers import AutoModel

    return SpeechEncoder(pretrained.load_model(AutoModel, argument, settings.revision), settings)


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that the front end needs for one frame.

    >>> receptive_field((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2))
    400
    """
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return field


class SpeechEncoder:
    """Batches of waveforms to hidden states.

    Attributes: `modality` "audio"; `size` the width D; `layers` how many layers L are returned; `module` the
    network; `fingerprint` names the weights and all that changes the output.
    """

    modality = "audio"

    def __init__(self, module: Any, settings: AudioSettings) -> None:
        parts = ("feature_extractor", "feature_projection", "encoder")
        if not all(hasattr(module, part) for part in parts) or not hasattr(module.encoder, "layers"):
            raise ModelError(
                f"{type(module).__name__} is no waveform encoder that is known here; take WavLM, HuBERT or wav2vec 2.0."
            )
        self.module = module
        self.module.config.layerdrop = 0.0
        self.chosen = pretrained.chosen(settings.layers, len(module.encoder.layers))
        self.blocks = self._cut()
        self.size, self.layers = int(module.config.hidden_size), len(self.chosen)
        self.shortest = receptive_field(module.config.conv_kernel, module.config.conv_stride)
        self.max_samples = int(settings.max_seconds * SAMPLE_RATE)
        self._own = threading.local()
        self._watch()

    def _cut(self) -> nn.ModuleList:
        """The blocks up to the highest chosen layer; those above are let go, with the norm behind the very last."""
        encoder, highest = self.module.encoder, max(self.chosen)
        if highest < len(encoder.layers) and self.module.config.do_stable_layer_norm:
            encoder.layer_norm = nn.Identity()
        encoder.layers = encoder.layers[: max(1, highest)]  # the first one's input is layer 0
        return encoder.layers

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights and of how they are used."""
        config = {key: value for key, value in self.module.config.to_dict().items() if key not in ("_name_or_path", "dtype")}
        about = {"encoder": "hf_speech", "mode": 1, "layers": self.chosen, "max_samples": self.max_samples, "config": config}
        return pretrained.fingerprint(self.module, about)

    def prepare(self, settings: AudioSettings) -> None:
        """Let as much learn as `settings.train` says; the convolutions never do (paper 4.1; decision 2)."""
        run, unread = self.blocks[: max(self.chosen)], self.blocks[max(self.chosen) :]
        trainable.prepare(self.module, [*run], settings, (self.module.feature_extractor, *unread))
        if hasattr(self.module, "masked_spec_embed"):  # of pretraining, never read
            self.module.masked_spec_embed.requires_grad_(False)

    def encode(self, batch: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of clips of any lengths; alone or in a batch, a clip gets the same.

        Args:
            batch: float32 arrays (samples,) at 16 kHz, normalised as the model is to be trained.

        Returns:
            frames (B, L, T, D) float32, 20 ms apart in the published models, and mask (B, T), True where a frame
            belongs to the clip.
        """
        features = [self._front_end(samples) for samples in batch]
        lengths = torch.tensor([len(one) for one in features], device=features[0].device)
        mask = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
        state = self.module.feature_projection(nn.utils.rnn.pad_sequence(features, batch_first=True))
        state = state[0] if isinstance(state, tuple) else state  # wav2vec 2.0 and WavLM also return what they projected
        # WavLM's own, and without effect; for good, since filters that come and go are not for threads.
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
        with self._recorded() as states:
            last = self.module.encoder(state, attention_mask=None if bool(mask.all()) else mask).last_hidden_state
        states[-1] = last  # after the final norm, where there is one
        return torch.stack([states[number] for number in self.chosen], 1).float(), mask

    def _front_end(self, samples: np.ndarray) -> torch.Tensor:
        """Convolutions over one clip: (frames, channels). A clip too short for one frame is filled up with zeros."""
        module = self.module
        wave = torch.as_tensor(samples[: self.max_samples], dtype=module.dtype, device=module.device)
        wave = functional.pad(wave, (0, max(0, self.shortest - len(wave))))
        with torch.no_grad():  # transformers would keep its activations for gradients, though it never learns
            return module.feature_extractor(wave[None])[0].T

    @contextmanager
    def _recorded(self) -> Iterator[list[torch.Tensor]]:
        """The input of the first block and the output of each, in order, of this thread's forward pass inside the `with`."""
        self._own.states = []
        try:
            yield self._own.states
        finally:
            del self._own.states

    def _watch(self) -> None:
        """Let the blocks tell their states; for good, since hooks must not come and go under another thread's pass."""

        def keep(state: Any) -> None:
            if hasattr(self._own, "states"):
                self._own.states.append(state[0] if isinstance(state, tuple) else state)

        self.blocks[0].register_forward_pre_hook(lambda _, inputs: keep(inputs))
        for block in self.blocks:
            block.register_forward_hook(lambda _, __, output: keep(output))
