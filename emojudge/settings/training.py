"""The models and how they are trained."""

from typing import Literal

from pydantic import Field

from emojudge.settings.base import Count, Positive, Settings, Share

TRAIN = r"^(none|all|lora|top:[1-9]\d*)$"


class TrainingSettings(Settings):
    """The training protocol (paper 5), shared by both modalities."""

    epochs: Count = 30
    """Paper 5.2: 30 (audio), 15 (text)."""
    learning_rate: Positive = 1e-5
    """Of encoder, pooling and head, each with its own AdamW group (paper 5.2)."""
    lora_rank: Count = 8
    """Rank of the adapters of `train = "lora"`; their scale is twice the rank (ours; Hu et al. 2021)."""
    head_learning_rate: Positive | None = None
    """Of pooling and head alone; None is `learning_rate` as in the paper. A frozen encoder wants 1e-3 (ours)."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's; paper 5.2 states it for text, ours for audio. Biases, norms and the attention matrix go without (ours)."""
    clip_norm: Positive = 1.0
    """Gradients longer than this are shortened to it (ours)."""
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
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Mixed precision (paper 5.2); "auto" is bfloat16 on a GPU that has it, float16 on an older one, float32 elsewhere."""
    encoder_precision: Literal["float32", "bfloat16"] = "float32"
    """In which a frozen encoder computes. bfloat16 is nearly twice as fast where processor or GPU multiplies it, and needs half
    the memory; its frames are some hundredths off, and a clip's are no longer the same alone and in a batch. A model fits both
    (ours; docs/performance.md). An encoder that learns has `precision` instead."""
    gradient_checkpointing: bool = False
    """Keep no activations of the encoder's blocks, compute them again on the way back: less memory, a third more time (ours)."""
    checkpoint_minutes: float = Field(5.0, ge=0)
    """How often the whole state is written, from which a killed training goes on exactly as if it had not been (ours)."""
    tensorboard: bool = False
    """Also write the log for TensorBoard (extra "tensorboard")."""
    targets: Literal["label", "votes"] = "label"
    """What emotions are learnt from: the consensus label, or the shares of the annotators' votes, which also use clips
    without agreement; votes for names outside the labels leave a clip that much less weight (ours)."""
    auxiliary: dict[Literal["emotions", "attributes", "gender"], Positive] = Field({})
    """What is learnt beside the task from the same pooled vector, and the weight of its loss: {attributes = 0.5} (ours)."""
    loss: Literal["focal", "cross_entropy"] = "focal"
    """For emotions (paper 5.1); attributes always use the CCC loss."""
    focal_gamma: float = Field(2.0, ge=0)
    """Focusing parameter γ (ours; decision 6)."""
    class_weights: Literal["inverse", "sqrt", "none"] = "inverse"
    """α_c = N / (K n_c), scaled to mean 1 (decision 6); "sqrt" takes the root of it, half-way to none (ours)."""
    scale_frames: bool = False
    """Centre and scale encoder frames by their training statistics; for frozen encoders (ours)."""
    layer_mix: Literal["sum", "concat"] = "sum"
    """Several layers: one sum with learnt weights, or all of them side by side (ours)."""
    scale_pooled: bool = False
    """Centre and scale pooled vectors by what they are over the training clips before any learning (ours)."""
    sampling: Literal["shuffled", "balanced", "balanced_sessions"] = "shuffled"
    """Every clip once an epoch, or as many draws in which each class comes up equally often, or each class of each session
    does: where sessions are corpora, none drowns the others (ours)."""
    balanced_epochs: int = Field(0, ge=0)
    """A second stage of so many epochs of balanced draws without class weights, encoder frozen (ours; after Kang et al. 2020)."""
    mixup: float = Field(0.0, ge=0)
    """α of the Beta distribution by which two pooled vectors and their targets are mixed; 0 is off (ours; Verma et al. 2019)."""
    mask_time: Share = 0.0
    """Share of frames hidden in training, in stretches, as SpecAugment (ours; Park et al. 2019)."""
    mask_channels: Share = 0.0
    """Share of the encoder's channels hidden in training, likewise (ours)."""
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
    train: str = Field("all", pattern=TRAIN)
    """How much of the encoder learns: "all" (CNN front end frozen), "top:K", "lora", "none" = cached features (decision 2)."""
    normalise: Literal["train", "utterance", "none"] = "train"
    """Waveform mean and deviation: of the training set, of each clip, or left alone (paper 4.2; decision 1)."""
    normalise_features: Literal["none", "speaker"] = "none"
    """Encoder frames relative to all clips of their speaker, unlabelled, at hand: transductive, for people who have many
    clips of one voice in several moods; reported apart (ours)."""
    layers: Literal["all", "last"] | tuple[int, ...] = "last"
    """Encoder layers to take; several are summed with learnt weights (ours). 0 is the input of the first block."""
    max_seconds: Positive = 30.0
    """Longer clips are cut to this for the encoder (ours)."""
    pooling: Literal["attentive", "mean_std", "mean"] = "attentive"
    """Attentive statistics pooling (paper 4.3), plain mean and deviation, or the mean alone (both ours)."""
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
    condition: str = ""
    """What is done to every recording, in training and in use, last before it is encoded, as "trim+level:-23"; named as in
    `augment` (ours: nothing). Levels and silences differ between corpora more than between moods."""
    augment: tuple[str, ...] = ()
    """Changed copies of the training clips, as ("speed:0.9", "pitch:-3", "trim+noise:20"); see `emojudge/perturbations.py`
    for all (ours: none in the paper). A trained encoder hears one of a clip's copies each time, at random."""
    average_copies: bool = False
    """Predict the mean over a clip and its copies in `augment` (ours: the clip alone)."""
    solver: Literal["adamw", "ridge"] = "adamw"
    """"ridge" solves the output layer in closed form: a linear probe of a frozen encoder in seconds, with no epochs and no
    seed. It needs pooling = "mean_std" or "mean", layer_mix = "concat" and blocks = 0 (ours; `emojudge/probe.py`)."""
    ridge: Positive = 1.0
    """Penalty of that solver, in mean squared lengths of a pooled vector (ours)."""

    @property
    def moments_suffice(self) -> bool:
        """Whether mean and deviation of a clip's frames are all that the model ever sees of it."""
        return not self.mask_time and self.train == "none" and self.pooling != "attentive" and self.layer_mix == "concat"


class TextSettings(TrainingSettings):
    """The text model (paper 4.4)."""

    encoder: str = "hf_text:FacebookAI/roberta-large"
    """Paper 4.1."""
    revision: str | None = None
    """Commit of a hub model."""
    train: str = Field("all", pattern=TRAIN)
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
        return not self.mask_time and self.train == "none" and self.pooling == "mean"
