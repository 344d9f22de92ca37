"""Every setting. The defaults are the paper's; where it is silent the field says "ours".

"decision N" points to the numbered decisions in `docs/paper.md`, which also quotes the section.
They are read by `emojudge.config`; unknown keys are errors.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from emojudge.types import EMOTIONS

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseModel):
    """Base: frozen, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataSettings(Settings):
    """Which corpus, which labels, which splits (paper 3.1)."""

    corpus: str = "msp_podcast"
    """Which loader reads it; `emojudge list corpora` names them all (paper 3.1)."""
    root: Path | None = None
    """The corpus's folder, as it was delivered (for `table`: the file)."""
    audio_root: Path | None = None
    """Where relative audio paths start, when that is not `root`."""
    labels: tuple[str, ...] = EMOTIONS
    """Classes, in order (paper Table 1). Clips with another label keep their audio and lose the label."""
    label_map: dict[str, str] = {}
    """Renames labels before `labels` is applied, as {"Calm" = "Neutral"}."""
    splits: Literal["official", "speaker"] = "official"
    """The corpus's own train/dev/test (paper 3.1), or a seeded speaker-disjoint draw."""
    split_shares: tuple[Positive, Positive, Positive] = (0.7, 0.15, 0.15)
    """Shares of train, dev, test in a speaker-disjoint draw (ours)."""
    folds: Path | None = None
    """A JSON file {"folds": {name: [test speakers or ids]}}; every fold is trained and tested."""
    fold_dev_share: Share = 0.2
    """Part of each fold's training speakers (clips, if folds share speakers) kept to choose checkpoints and fusion (ours)."""
    limit: int | None = Field(None, ge=1)
    """At most this many utterances of each class in each split; for a quick try."""
    seed: int = 0
    """Of every draw above (ours)."""

    @property
    def folds_file(self) -> Path | None:
        """Where `folds` lies: in the corpus's folder if it is there, else as it is given."""
        beside = self.root / self.folds if self.root and self.folds else None
        return beside if beside and beside.exists() else self.folds


class TrainingSettings(Settings):
    """The training protocol (paper 5), shared by both modalities."""

    epochs: Count = 30
    """Paper 5.2: 30 (audio), 15 (text)."""
    learning_rate: Positive = 1e-5
    """Of encoder, pooling and head, each with its own AdamW group (paper 5.2)."""
    head_learning_rate: Positive | None = None
    """Of pooling and head alone; None is `learning_rate` as in the paper. A frozen encoder wants 1e-3 (ours)."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's; paper 5.2 states it for text, ours for audio."""
    effective_batch: Count = 32
    """Clips per optimiser step (decision 3)."""
    micro_batch: Count = 8
    """Clips per forward pass; the rest of the effective batch is accumulated (decision 3)."""
    warmup: Share = 0.1
    """Part of all steps in which the rate rises from zero (paper 5.2 for text; ours for audio)."""
    decay: Literal["none", "linear", "cosine"] = "linear"
    """What the rate does after warm-up (ours)."""
    evaluate_every: Count = 2000
    """Optimiser steps between evaluations, or each epoch, whichever is sooner (paper 5.2; decision 8)."""
    patience: int | None = Field(None, ge=1)
    """Stop after this many evaluations without a better one; None trains to the end, as the paper."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Mixed precision (paper 5.2); "auto" is bfloat16 on a GPU and float32 elsewhere."""
    loss: Literal["focal", "cross_entropy"] = "focal"
    """For emotions (paper 5.1); attributes always use the CCC loss."""
    focal_gamma: float = Field(2.0, ge=0)
    """Focusing parameter γ (ours; decision 6)."""
    class_weights: Literal["inverse", "none"] = "inverse"
    """α_c = N / (K n_c), scaled to mean 1 (decision 6)."""
    scale_frames: bool = False
    """Centre and scale encoder frames by their training statistics; for frozen encoders (ours)."""
    layer_mix: Literal["sum", "concat"] = "sum"
    """Several layers: one sum with learnt weights, or all of them side by side (ours)."""
    scale_pooled: bool = False
    """Centre and scale pooled vectors by what they are over the training clips before any learning (ours)."""
    members: Count = 1
    """Heads that learn side by side from different starts; their scores are averaged (ours: one, as the paper)."""
    label_smoothing: Share = 0.0
    """Share of the target spread over all classes (ours: none)."""
    device: str = "auto"
    """"auto" takes a GPU where there is one."""


class AudioSettings(TrainingSettings):
    """The audio model (paper 4.2, 4.3)."""

    encoder: str = "hf_speech:microsoft/wavlm-large"
    """Paper 4.1."""
    revision: str | None = None
    """Commit of a hub model; pin it for work that lasts."""
    train: str = Field("all", pattern=r"^(none|all|top:[1-9]\d*)$")
    """How much of the encoder learns: "all" (CNN front end frozen), "top:K", "none" = cached features (decision 2)."""
    normalise: Literal["train", "utterance", "none"] = "train"
    """Waveform mean and deviation: of the training set, of each clip, or left alone (paper 4.2; decision 1)."""
    layers: Literal["all", "last"] | tuple[int, ...] = "last"
    """Encoder layers to take; several are summed with learnt weights (ours). 0 is the input of the first block."""
    max_seconds: Positive = 30.0
    """Longer clips are cut to this for the encoder (ours)."""
    pooling: Literal["attentive", "mean_std"] = "attentive"
    """Attentive statistics pooling (paper 4.3), or plain mean and deviation."""
    attention_size: Count = 128
    """Rows of the attention matrix A (ours)."""
    attention_l2: float = Field(1e-4, ge=0)
    """λ of λ‖A‖² in the loss (paper 4.3; value ours, decision 4)."""
    attention_heads: Count = 1
    """Attention maps pooled side by side (ours: one, as the paper)."""
    hidden_size: Count = 1024
    """Width of the head (ours; decision 5)."""
    blocks: int = Field(2, ge=0)
    """Linear → LayerNorm → ReLU → Dropout blocks of the head (ours; decision 5)."""
    residual: bool = True
    """Skip wherever widths match (paper 4.3; decision 5)."""
    dropout: Share = 0.5
    """In each block (ours; decision 5)."""
    speeds: tuple[Positive, ...] = ()
    """Copies of the training clips played at these speeds, as (0.9, 1.1); none in the paper."""

    @property
    def moments_suffice(self) -> bool:
        """Whether mean and deviation of a clip's frames are all that the model ever sees of it."""
        return self.train == "none" and self.pooling == "mean_std" and self.layer_mix == "concat"


class TextSettings(TrainingSettings):
    """The text model (paper 4.4)."""

    encoder: str = "hf_text:FacebookAI/roberta-large"
    """Paper 4.1."""
    revision: str | None = None
    """Commit of a hub model."""
    train: str = Field("all", pattern=r"^(none|all|top:[1-9]\d*)$")
    """As for audio (paper 4.4 fine-tunes)."""
    layers: Literal["all", "last"] | tuple[int, ...] = "last"
    """Paper 4.4: the final layer."""
    max_tokens: Count = 128
    """Paper 4.4."""
    pooling: Literal["first", "mean"] = "first"
    """The `<s>` state (paper 4.4), or the mean over tokens."""
    hidden_size: int | None = Field(None, ge=1)
    """Width of the dense layer; None is the encoder's own width, as RoBERTa's head (decision 7)."""
    dropout: Share = 0.3
    """Before the dense layer and before the output (paper 4.4; decision 7)."""
    epochs: Count = 15
    micro_batch: Count = 16

    @property
    def moments_suffice(self) -> bool:
        """Whether the mean of a text's tokens is all that the model ever sees of it."""
        return self.train == "none" and self.pooling == "mean"


class FusionSettings(Settings):
    """Late fusion (paper 4.5)."""

    low: Positive = 1e-3
    """Smallest C of the search (paper 4.5)."""
    high: Positive = 1e3
    """Largest C (paper 4.5)."""
    steps: Count = 13
    """Values tried, evenly spaced in log C (decision 11)."""
    folds: int = Field(5, ge=2)
    """Speaker-grouped cross-validation folds on dev (decision 11)."""
    shrink_to: Literal["zero", "sum"] = "zero"
    """Where the L2 penalty pulls the weights: to nothing, as the paper, or to the plain sum of the models' log-probabilities
    (for attributes: their mean), which gets by with far less dev data (ours)."""
    target_prior: Literal["train", "uniform"] | dict[str, Positive] = "train"
    """Class frequencies expected where it is used; the fused probabilities are corrected from dev's to these (decision 12)."""


class CueSettings(Settings):
    """The audio description (paper 4.6)."""

    pitch: Literal["swift_f0", "pyin"] = "swift_f0"
    """Pitch tracker; pYIN is the paper's (through librosa), SwiftF0 the more exact (decision 17)."""
    speaker_clips: Count = 20
    """Clips a speaker must have for words relative to that speaker (decision 17)."""


class JudgeSettings(Settings):
    """The judge (paper 4.6)."""

    judge: str = "none"
    """"none", or "openai:gpt-4", "local", "replay:verdicts.jsonl" … Off unless chosen. The paper: GPT-4 (4.6)."""
    prompt: str = "paper"
    """A file under `emojudge/prompts/`, by its stem (decision 18)."""
    ask: str = Field("conflict", pattern=r"^(all|conflict|margin:(0?\.\d+|1(\.0)?|0))$")
    """Whom to ask: everyone (paper 4.6), clips whose models disagree (abstract), or fused margins below T (decision 15)."""
    threshold: Share = 0.8
    """Change only above this confidence, strictly (paper 4.6; enforced in code, decision 19)."""
    temperature: float = Field(0.3, ge=0, le=2)
    """Paper 4.6."""
    confidence_from: Literal["stated", "labels", "logprobs"] = "stated"
    """The confidence the judge states, its probability for the label, or the label token's log-probability."""
    explain: Literal["changes", "always"] = "changes"
    """With log-probabilities, whether a reason is asked for where the label would change, or for every clip (ours)."""
    speaker_cues: bool = False
    """Also tell the judge the speaker's gender (abstract's "speaker indicators"; decision 16)."""
    base_url: str | None = None
    """Of an OpenAI-compatible server; None is OpenAI's own."""
    consent: bool = False
    """Must be true before transcripts leave this machine."""
    concurrency: Count = 4
    """Requests in flight."""
    timeout: Positive = 60.0
    """Seconds for one request."""
    max_characters: Count = 2000
    """Transcripts are cut to this; the cut is recorded."""
    seed: int = 0
    """Orders the labels in the prompt, and is passed on where the service takes one."""
    splits: tuple[str, ...] = ("test",)
    """Which splits are judged."""


class EvaluationSettings(Settings):
    """What is scored, and how sure we are (paper 3.2; intervals are ours)."""

    splits: tuple[str, ...] = ("dev", "test")
    """Which splits are scored."""
    resamples: int = Field(1000, ge=0)
    """Bootstrap resamples; 0 prints no intervals (ours)."""
    cluster: Literal["speaker", "item"] = "speaker"
    """What is resampled: clips of one speaker are not independent (ours)."""
    confidence: Share = 0.95
    """Of the intervals (ours)."""
    seed: int = 0
    """Of the resampling (ours)."""
    published: str | None = None
    """Rows of `emojudge/published.toml` to print beside ours, as "ravdess"."""


class Config(Settings):
    """A whole experiment."""

    name: str = "run"
    """The run folder is `runs/<name>` unless told otherwise."""
    tasks: tuple[Literal["emotions", "attributes"], ...] = ("emotions",)
    """Task 1 and Task 2 of the paper; each trains its own models."""
    modalities: tuple[Literal["audio", "text"], ...] = ("audio", "text")
    """Both are fused when both are there."""
    fusion_method: Literal["late", "early"] = "late"
    """Late fusion of outputs (paper 4.5), or one joint head (decision 27)."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Each is a full training; tables give mean ± s.d. (decision 28)."""
    data: DataSettings = DataSettings()
    audio: AudioSettings = AudioSettings()
    text: TextSettings = TextSettings()
    fusion: FusionSettings = FusionSettings()
    cues: CueSettings = CueSettings()
    judge: JudgeSettings = JudgeSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
