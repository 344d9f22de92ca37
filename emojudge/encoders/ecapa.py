"""ECAPA-TDNN up to its frames, from the layout of SpeechBrain's checkpoints.

Desplanques et al. 2020 (https://arxiv.org/abs/2005.07143), trained to tell speakers apart. 80 log-mel bands, a
convolution, three squeeze-excitation Res2 blocks whose outputs are put side by side and mixed (MFA): these are the
frames. The checkpoint's own pooling and speaker embedding are not read, for pooling is the model's (paper 4.3); so
`mean_var_norm_emb.ckpt`, which centres embeddings, plays no part either.

Convolutions reflect at both ends of a clip and squeeze-excitation averages over all of it, so every clip runs by
itself: alone and in a batch it gets the same. Batch norms keep their trained statistics, in training too.

Argument: a folder with embedding_model.ckpt (or embedding_model.safetensors), or a hub id as
"speechbrain/spkrec-ecapa-voxceleb".
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from emojudge import pretrained, trainable
from emojudge.audio import SAMPLE_RATE
from emojudge.errors import ModelError
from emojudge.settings import AudioSettings

HOP, WINDOW = 160, 400
"""Samples between frames (10 ms) and in one (25 ms)."""
RANGE = 80.0
"""Decibels below a clip's loudest band at which its spectrogram is cut."""
SHORTEST = 4 * HOP
"""Samples of five frames: what the widest reflection, four frames, needs. Shorter clips are filled up with zeros."""
UNREAD = ("asp.", "asp_bn.", "fc.")
"""Weights behind the frames: pooling and the speaker embedding."""


def open(argument: str, settings: AudioSettings) -> "EcapaEncoder":
    """Load a checkpoint.

    Raises:
        MissingWeights: it is not there.
        ModelError: it is no ECAPA-TDNN, or no pickle of tensors.
        ConfigError: `settings.layers` asks for more than the one layer there is.
    """
    weights = pretrained.load_weights(argument, settings.revision, "embedding_model")
    try:
        module = Ecapa(Sizes.of(weights))
        found = module.load_state_dict(weights, strict=False)
        wrong = [*found.missing_keys, *(name for name in found.unexpected_keys if not name.startswith(UNREAD))]
    except (KeyError, IndexError, RuntimeError) as error:
        raise ModelError(f"{argument} holds no ECAPA-TDNN as SpeechBrain saves it ({str(error).splitlines()[0]}).") from None
    if wrong:
        raise ModelError(f"{argument} holds no ECAPA-TDNN as SpeechBrain saves it: {wrong[0]} does not fit.")
    return EcapaEncoder(module.eval(), settings)


@dataclass(frozen=True)
class Sizes:
    """Widths of the network; the defaults are the published checkpoint's."""

    bands: int = 80
    width: int = 1024
    chunk: int = 128
    squeezed: int = 128
    size: int = 3072

    @classmethod
    def of(cls, weights: Mapping[str, Tensor]) -> "Sizes":
        """The widths that a checkpoint's shapes tell."""
        first, chunk = weights["blocks.0.conv.conv.weight"], weights["blocks.1.res2net_block.blocks.0.conv.conv.weight"]
        squeezed, last = weights["blocks.1.se_block.conv1.conv.weight"], weights["mfa.conv.conv.weight"]
        return cls(first.shape[1], first.shape[0], chunk.shape[0], squeezed.shape[0], last.shape[0])


class Norm(nn.BatchNorm1d):
    """Batch norm that always takes its trained statistics, so that no clip changes another."""

    def forward(self, input: Tensor) -> Tensor:
        """(1, channels, T) → the same shape."""
        return functional.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def _convolution(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> nn.ModuleDict:
    """A convolution that keeps the length, under the name that checkpoints give it: "conv"."""
    padding = (kernel - 1) * dilation // 2
    return nn.ModuleDict({"conv": nn.Conv1d(inputs, outputs, kernel, padding=padding, dilation=dilation, padding_mode="reflect")})


class Tdnn(nn.Module):
    """Convolution → ReLU → batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = _convolution(inputs, outputs, kernel, dilation)
        self.norm = nn.ModuleDict({"norm": Norm(outputs)})

    def forward(self, state: Tensor) -> Tensor:
        """(1, inputs, T) → (1, outputs, T)."""
        return self.norm["norm"](self.conv["conv"](state).relu())


class Res2(nn.Module):
    """Chunks of channels in a chain: each is convolved with what came of the one before; the first passes through."""

    def __init__(self, width: int, chunk: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Tdnn(chunk, chunk, kernel, dilation) for _ in range(width // chunk - 1))

    def forward(self, state: Tensor) -> Tensor:
        """(1, width, T) → the same shape."""
        first, *chunks = state.chunk(len(self.blocks) + 1, dim=1)
        made = [first]
        for block, chunk in zip(self.blocks, chunks, strict=True):
            made.append(block(chunk + made[-1] if len(made) > 1 else chunk))
        return torch.cat(made, dim=1)


class SqueezeExcitation(nn.Module):
    """Channels scaled by gates that the mean over the clip sets."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = _convolution(width, squeezed), _convolution(squeezed, width)

    def forward(self, state: Tensor) -> Tensor:
        """(1, width, T) → the same shape."""
        mean = state.mean(2, keepdim=True)
        return state * self.conv2["conv"](self.conv1["conv"](mean).relu()).sigmoid()


class Block(nn.Module):
    """1×1 → Res2 → 1×1 → squeeze-excitation, around which the input is added."""

    def __init__(self, sizes: Sizes, kernel: int, dilation: int) -> None:
        super().__init__()
        self.tdnn1 = Tdnn(sizes.width, sizes.width)
        self.res2net_block = Res2(sizes.width, sizes.chunk, kernel, dilation)
        self.tdnn2 = Tdnn(sizes.width, sizes.width)
        self.se_block = SqueezeExcitation(sizes.width, sizes.squeezed)

    def forward(self, state: Tensor) -> Tensor:
        """(1, width, T) → the same shape."""
        return self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(state)))) + state


class Ecapa(nn.Module):
    """Log-mel bands of one clip to its frames: kernels 5, 3, 3, 3, 1 and dilations 1, 2, 3, 4, 1, as in the paper."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.blocks = nn.ModuleList([Tdnn(sizes.bands, sizes.width, 5), *(Block(sizes, 3, dilation) for dilation in (2, 3, 4))])
        self.mfa = Tdnn(3 * sizes.width, sizes.size)

    def forward(self, bands: Tensor) -> Tensor:
        """(bands, T) → (T, size)."""
        states = [self.blocks[0](bands[None])]
        for block in self.blocks[1:]:
            states.append(block(states[-1]))
        return self.mfa(torch.cat(states[1:], dim=1))[0].T


def mel_filters(bands: int) -> Tensor:
    """Triangles (bands, frequencies), evenly spaced in mel = 2595 log10(1 + f/700) to 8 kHz, each as wide as its left half.

    >>> mel_filters(80).shape
    torch.Size([80, 201])
    """
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, bands + 2, dtype=torch.float64) / 2595) - 1)
    centres, widths = edges[1:-1, None], edges.diff()[:-1, None]
    frequencies = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1, dtype=torch.float64)
    return (1 - (frequencies - centres).abs() / widths).clamp(min=0).float()


class EcapaEncoder:
    """Batches of waveforms to frames.

    Attributes: `modality` "audio"; `size` the width D; `layers` 1; `module` the network; `fingerprint` names the
    weights and all that changes the output.
    """

    modality = "audio"

    def __init__(self, module: Ecapa, settings: AudioSettings) -> None:
        self.module = module
        self.size, self.layers = module.sizes.size, len(pretrained.chosen(settings.layers, 0))
        self.max_samples = int(settings.max_seconds * SAMPLE_RATE)
        self.mel, self.window = mel_filters(module.sizes.bands), torch.hamming_window(WINDOW)

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights and of how they are used."""
        about = {"encoder": "ecapa", "mode": 1, "max_samples": self.max_samples, "sizes": asdict(self.module.sizes)}
        return pretrained.fingerprint(self.module, about)

    def prepare(self, settings: AudioSettings) -> None:
        """Let as much learn as `settings.train` says; its blocks are the four of the network and the mix at the end."""
        trainable.prepare(self.module, [*self.module.blocks, self.module.mfa], settings)

    def encode(self, batch: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
        """Frames of clips of any lengths; alone or in a batch, a clip gets the same.

        Args:
            batch: float32 arrays (samples,) at 16 kHz.

        Returns:
            frames (B, 1, T, D) float32, 10 ms apart, and mask (B, T), True where a frame belongs to the clip.
        """
        own = next(self.module.parameters()).dtype
        clips = [self.module(self.log_mel(samples).to(own)) for samples in batch]
        lengths = torch.tensor([len(clip) for clip in clips], device=clips[0].device)
        mask = torch.arange(int(lengths.max()), device=lengths.device) < lengths[:, None]
        return nn.utils.rnn.pad_sequence(clips, batch_first=True).unsqueeze(1).float(), mask

    def log_mel(self, samples: np.ndarray) -> Tensor:
        """Decibels (bands, samples // 160 + 1), at most 80 below the loudest, less each band's mean over the clip."""
        device = next(self.module.parameters()).device
        wave = torch.as_tensor(samples[: self.max_samples], dtype=torch.float32, device=device)
        wave = functional.pad(wave, (0, max(0, SHORTEST - len(wave))))
        window = self.window.to(device)
        spectrum = torch.stft(wave, WINDOW, HOP, window=window, pad_mode="constant", return_complex=True)
        decibels = 10 * (self.mel.to(device) @ spectrum.abs().square()).clamp(min=1e-10).log10()
        decibels = torch.maximum(decibels, decibels.max() - RANGE)
        return decibels - decibels.mean(1, keepdim=True)
