"""Text encoders of Hugging Face: RoBERTa, DeBERTa, MiniLM (BERT), MPNet and others that `AutoModel` opens.

RoBERTa: Liu et al. 2019 (https://arxiv.org/abs/1907.11692), DeBERTa-v3: He et al. 2021
(https://arxiv.org/abs/2111.09543), MiniLM: Wang et al. 2020 (https://arxiv.org/abs/2002.10957), MPNet: Song et
al. 2020 (https://arxiv.org/abs/2004.09297). The first token is the model's `<s>` or `[CLS]` (paper 4.4).

Argument: "offline-minilm" or "offline-mpnet" (from Python packages), a folder, or a hub id as "FacebookAI/roberta-large".
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from emojudge import offline, pretrained, trainable
from emojudge.errors import ModelError
from emojudge.settings import TextSettings


def open(argument: str, settings: TextSettings) -> "TextEncoder":
    """Load model and tokenizer.

    Raises:
        MissingWeights: they are not there.
        ModelError: an architecture without a stack of blocks.
        ConfigError: `settings.layers` names a layer that the model does not have.
    """
    from transformers import AutoModel, AutoTokenizer

    packaged = {"offline-minilm": offline.minilm, "offline-mpnet": offline.mpnet}
    source = str(packaged[argument]()) if argument in packaged else argument
    tokenizer = pretrained.load(AutoTokenizer, source, settings.revision)
    return TextEncoder(pretrained.load_model(AutoModel, source, settings.revision), tokenizer, settings)


def clean(text: str) -> str:
    r"""Text that any tokenizer takes: no NUL, no lone surrogates.

    >>> clean("so\x00 \ud83d!")
    'so ?!'
    """
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


class Tokens:
    """What the network is shown of texts."""

    def __init__(self, tokenizer: Any, max_tokens: int) -> None:
        self.tokenizer, self.max_tokens = tokenizer, max_tokens

    def __call__(self, batch: Sequence[str], device: Any = "cpu") -> dict[str, torch.Tensor]:
        """The arguments of `TextEncoder.states`; `attention_mask` is the mask (B, T), as numbers."""
        options: dict[str, Any] = {"padding": True, "truncation": True, "max_length": self.max_tokens, "return_tensors": "pt"}
        return dict(self.tokenizer([clean(text) for text in batch], **options).to(device))


def front(about: dict[str, Any], folder: str | Path) -> Tokens:
    """What stands before an exported network, from what `TextEncoder.keep` left."""
    from transformers import AutoTokenizer

    return Tokens(pretrained.load(AutoTokenizer, str(folder)), about["max_tokens"])


class TextEncoder:
    """Batches of strings to hidden states.

    Attributes: `modality` "text"; `size` the width D; `layers` how many layers L are returned; `module` the
    network; `fingerprint` names weights, tokenizer and all that changes the output.
    """

    modality = "text"

    def __init__(self, module: Any, tokenizer: Any, settings: TextSettings) -> None:
        self.module = module
        self.tokenizer = tokenizer
        if getattr(self.module, "pooler", None) is not None:
            self.module.pooler = None  # a head that nobody reads, and that would stay without gradients
        if not hasattr(getattr(self.module, "encoder", None), "layer"):
            raise ModelError(
                f"{type(module).__name__} is no text encoder that is known here; take RoBERTa, DeBERTa, BERT or MPNet."
            )
        self.chosen = pretrained.chosen(settings.layers, len(self.module.encoder.layer))
        self.blocks = self.module.encoder.layer[: max(1, *self.chosen)]
        self.module.encoder.layer = self.blocks  # those above the highest chosen layer are let go
        self.size, self.layers = int(self.module.config.hidden_size), len(self.chosen)
        self.steps = self.max_tokens = min(settings.max_tokens, self._positions())
        self.front = Tokens(tokenizer, self.max_tokens)

    def _positions(self) -> int:
        """Tokens that the model has positions for; RoBERTa's and MPNet's begin after the padding's."""
        config = self.module.config
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
        return int(config.max_position_embeddings) - offset

    @cached_property
    def fingerprint(self) -> str:
        """Digest of the weights, the tokenizer and how they are used."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        vocabulary = backend.to_str() if backend is not None else sorted(self.tokenizer.get_vocab().items())
        about = {"encoder": "hf_text", "mode": 1, "layers": self.chosen, "max_tokens": self.max_tokens, "tokenizer": vocabulary}
        return pretrained.fingerprint(self.module, about)

    def prepare(self, settings: TextSettings) -> None:
        """Let as much learn as `settings.train` says."""
        run = self.blocks[: max(self.chosen)]
        trainable.prepare(self.module, run, settings, self.blocks[len(run) :])

    def encode(self, batch: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states of texts; an empty text is its special tokens.

        Returns:
            tokens (B, L, T, D) float32, and mask (B, T), True where a token belongs to the text.
        """
        tokens = self.front(batch, self.module.device)
        return self.states(**tokens).float(), tokens["attention_mask"].bool()

    def states(self, **tokens: torch.Tensor) -> torch.Tensor:
        """The chosen layers (B, L, T, D) of tokens."""
        states = self.module(**tokens, output_hidden_states=True).hidden_states
        return torch.stack([states[number] for number in self.chosen], 1)

    def keep(self, folder: str | Path) -> dict[str, Any]:
        """What `front` needs; the tokenizer's files go to `folder`."""
        self.tokenizer.save_pretrained(folder)
        return {"max_tokens": self.max_tokens}
