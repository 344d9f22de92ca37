"""A trained run as one object: `EmoJudge.load("runs/demo").predict("clip.wav")`, and so for clips, recordings and streams."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emojudge import audio, bundles, cues, decoding, judging, live, streams, transcripts, turns
from emojudge.activity import Segmenter, stretches
from emojudge.calibrated import weigh
from emojudge.config import load_config
from emojudge.errors import ModelError
from emojudge.experiment import Experiment
from emojudge.explanation import Explanation
from emojudge.hearing import Models, Sound, batches, cut, worded, words
from emojudge.refine import refine
from emojudge.relative import relative
from emojudge.runs import RunFolder
from emojudge.settings import Config
from emojudge.storage import read_json
from emojudge.streams import Recording
from emojudge.timeline import Segment, Timeline, settle
from emojudge.types import Cues, Prediction, Transcript, Utterance, Verdict, Word

Recordings = Recording | Sequence[Recording]
Speakers = str | Sequence[str] | None


class EmoJudge:
    """A trained run, ready to predict. Of a run with folds or seeds, the first is taken."""

    def __init__(self, config: Config, run: RunFolder | None = None) -> None:
        self.config, self.run = config, run
        self._judge: Any = None
        self._transcriber: transcripts.Transcriber | None = None
        if run is not None:
            self._open(run)

    def _open(self, run: RunFolder) -> None:
        self.run = run
        self.part = run.parts()[0]
        self.models = Models(self.part, self.config)
        path = run.file("quantiles.json")
        self.quantiles = cues.Quantiles.from_json(read_json(path)) if path.exists() else None
        self.notice = read_json(run.file("run.json")).get("notice", "")
        self.ledger = run.file("say.sqlite")  # or Path(":memory:"), which keeps no answer

    @classmethod
    def load(cls, source: str | Path, changes: Sequence[str] = ()) -> "EmoJudge":
        """Open a run, whose models are loaded when first asked: its folder, a bundle's (see `emojudge.bundles`), or "base", which
        comes with the package; or an experiment (TOML), to be fitted first.

        Raises:
            DataError: none of these.
            ModelError: its models hear a clip beside the others of its speaker, and so none alone.
            ConfigError: a change names no setting.
        """
        if Path(source).suffix == ".toml":
            return cls(load_config(Path(source), changes))
        run = bundles.open_run(source)
        if "audio" in run.config.modalities and run.config.audio.normalise_features == "speaker":
            raise ModelError(f"{source} needs many clips of a speaker; train with normalise_features = 'none' to hear one.")
        return cls(load_config(changes=changes, base=run.config), run)

    def fit(self, manifest: str | Path, into: str | Path, changes: Sequence[str] = ()) -> "EmoJudge":
        """Train these settings on a table of one's own (see docs/corpora.md), from its check to its report, and return self.

        Args:
            manifest: CSV, JSON Lines or Parquet with the columns audio, emotion, speaker, split ….
            into: the run folder to fill; what is done there already is not done again.
            changes: settings, as 'data.labels=["Happy", "Sad"]'.

        Raises:
            EmoJudgeError: the table or the settings cannot be used.
        """
        self.config = load_config(changes=["data.corpus=table", f"data.root={manifest}", *changes], base=self.config)
        Experiment(self.config, Path(into)).everything()
        self._open(RunFolder.open(into))
        return self

    def save(self, folder: str | Path) -> "EmoJudge":
        """Write what was learnt as a bundle, to pass on or to push to a hub; see `emojudge.bundles.save`."""
        bundles.save(self._run, folder)
        return self

    @property
    def classes_(self) -> tuple[str, ...]:
        """The emotions, in the order of `predict_proba`'s columns."""
        return tuple(self.config.data.labels)

    def predict_proba(
        self, recordings: Recordings, text: Any = None, sampling_rate: int = audio.SAMPLE_RATE, speaker: Speakers = None
    ) -> np.ndarray:
        """Probabilities (N, classes) of whole clips, each taken as one utterance; for long recordings there is `timeline`.

        Args:
            recordings: one or several; (1, classes) for one.
            text: what is said, one for each; without it clips are transcribed, if the run reads text.
            sampling_rate: of samples that do not say.
            speaker: one name for all, or one for each: each is taken relative to that speaker's others; see `emojudge.relative`.

        Raises:
            AudioError: one of them cannot be used.
            DataError: a speaker has too few clips.
            ModelError: the run has no emotions, or is not trained.
        """
        if "emotions" not in self.config.tasks:
            raise ModelError("This run predicts attributes only; it has no emotion to give.")
        found = self._last("emotions", recordings, text, sampling_rate)
        alone = np.array([[one.scores[name] for name in self.classes_] for one in found])
        return alone if speaker is None else relative(alone, speaker)

    def predict(
        self, recordings: Recordings, text: Any = None, sampling_rate: int = audio.SAMPLE_RATE, speaker: Speakers = None
    ) -> Any:
        """The emotion of a clip, or an array of emotions for several; of a run with attributes alone, their values by name.

        Arguments and errors are those of `predict_proba`.
        """
        if self.config.tasks[0] == "emotions" or speaker is not None:
            likely = self.predict_proba(recordings, text, sampling_rate, speaker)
            labels = np.array([self.classes_[row.argmax()] for row in likely])
            return labels if _several(recordings) else str(labels[0])
        values = [dict(p.scores) for p in self._last(self.config.tasks[0], recordings, text, sampling_rate)]
        return values if _several(recordings) else values[0]

    def _last(self, task: str, recordings: Any, text: Any, rate: int) -> list[Prediction]:
        """The last system's prediction of each clip, in their order."""
        several = list(recordings) if _several(recordings) else [recordings]
        texts = [text] * len(several) if text is None or isinstance(text, str) else list(text)
        found: list[Prediction] = []
        sounds = (
            Sound(str(i), decoding.load(one, rate, self.config.recordings), said)
            for i, (one, said) in enumerate(zip(several, texts, strict=True))
        )
        for batch in batches(sounds):
            heard = self._hear(batch) if self.config.systems_of(task) != ("audio",) else {}
            predictions = self._models.predict(worded(batch, heard), [task])[task][self._models.last(task)]
            found += [predictions[sound.id] for sound in batch]
        return found

    @property
    def _run(self) -> RunFolder:
        if self.run is None:
            raise ModelError("These settings are not trained yet; call fit(manifest, into) first, or load a run folder.")
        return self.run

    @property
    def _models(self) -> Models:
        _ = self._run
        return self.models

    def _hear(self, batch: Sequence[Sound]) -> dict[str, Transcript]:
        """What is said in sounds without words, if the run reads text; heard as the run was, or by Whisper base."""
        silent = [s for s in batch if s.text is None and "text" in self.config.modalities]
        if not silent:
            return {}
        if self._transcriber is None:
            settings = self.config.transcripts
            named = settings.transcribe if settings.transcribe != "none" else "whisper:offline"
            self._transcriber = transcripts.open_transcriber(settings.model_copy(update={"transcribe": named}))
        return dict(zip([s.id for s in silent], self._transcriber.transcribe([s.samples for s in silent]), strict=True))

    def _timed(self, heard: Transcript | None) -> Sequence[Word]:
        """The words only where the run's own rates are by their times."""
        return heard.words if heard and heard.confidence and self.config.transcripts.transcribe != "none" else ()

    def explain(self, clip: Recording, text: str | None = None) -> Explanation:
        """Explain one clip, stage by stage. Without `text` it is transcribed, if the run reads text.

        Raises:
            AudioError: the recording cannot be used.
        """
        models = self._models
        told = Explanation(str(clip) if isinstance(clip, str | Path) else "clip", text, notice=self.notice)
        words: Sequence[Word] = ()
        with told.timed("reading"):
            samples = decoding.load(clip, audio.SAMPLE_RATE, self.config.recordings)
        if text is None and "text" in self.config.modalities:
            with told.timed("transcript"):
                heard = self._hear([Sound(told.id, samples)])[told.id]
                told.text, words = heard.text, self._timed(heard)
        with told.timed("cues"):
            told.cues = self._cues(told.id, samples, told.text, words)
        sound = Sound(told.id, samples, told.text)
        for task, found in models.predict([sound], timed=told.timed).items():
            told.predictions[task] = {system: own[sound.id] for system, own in found.items() if own}
        if self.config.judge.judge != "none" and "emotions" in told.predictions:
            with told.timed("judge"):
                shown = told.predictions["emotions"]
                [(shown["judge"], told.verdict)] = self._ask([sound], {sound.id: told.cues}, [shown[models.last("emotions")]])
        return told

    def _cues(self, id: str, samples: np.ndarray, text: str | None, words: Sequence[Word] = ()) -> Cues:
        measured = cues.measure(id, samples, text, self.config.cues, words)
        return self.quantiles.describe(measured, None) if self.quantiles else measured

    def _ask(
        self, sounds: Sequence[Sound], voices: Mapping[str, Cues], shown: Sequence[Prediction]
    ) -> list[tuple[Prediction, Verdict]]:
        """Ask about these clips, whatever `judge.ask` says of others, and refine."""
        settings = self.config.judge.model_copy(update={"explain": "always"})
        self._judge = self._judge or judging.open_judge(settings)
        asked = judging.prompts(
            [s.id for s in sounds],
            {s.id: Utterance(s.id, text=s.text) for s in sounds},
            voices,
            {one.id: one for one in shown},
            labels=self.config.data.labels,
            settings=settings,
        )
        # A ledger of its own: here even a verdict that agrees is asked for its reason.
        verdicts = judging.judge(asked, self._judge, self.ledger, settings=settings)
        path = self.part.calibration()
        weights = read_json(path) if settings.policy == "calibrated" and path.exists() else None
        return [
            (weigh(one, verdict, weights) if weights else refine(one, verdict, **settings.gates), verdict)
            for one, verdict in zip(shown, verdicts, strict=True)
        ]

    def timeline(
        self, recording: Recording, speakers: int | str = "off", judge: bool = False, sampling_rate: int = audio.SAMPLE_RATE
    ) -> Timeline:
        """A recording of any length: its speech in segments, each with words, emotion and attributes. Memory stays the same.

        Args:
            recording: a path (also of a video), or samples.
            speakers: how many there are, "off", or "auto" where `recordings.turns` can count.
            judge: ask the run's judge about each segment.
            sampling_rate: of samples that do not say.

        Raises:
            AudioError: the recording cannot be used.
            MissingExtra: it needs FFmpeg, or its speakers need pyannote, which is not installed.
        """
        settings, models = self.config.recordings, self._models
        path = str(recording) if isinstance(recording, str | Path) else None
        name = Path(path).name if path else "recording"
        told = Timeline(name, 0.0, [], models.errors, self.notice, None if name == streams.SPOOLED else path)
        found = None if speakers == "off" else turns.open_turns(settings.turns, path, speakers)
        blocks = decoding.blocks(path, settings) if path else iter([streams.load(recording, sampling_rate)])
        cutter = Segmenter(settings)
        for batch in batches(cut(stretches(blocks, cutter), told.name)):
            told.segments += self.segments(batch, judge)
            if found:
                found.hear(batch)
        told.seconds = cutter.position / audio.SAMPLE_RATE
        if found:
            for segment, speaker in zip(told.segments, found.speakers(told.segments, speakers), strict=True):
                segment.speaker = speaker
        settle(told.segments, settings.smoothing)
        return told

    def segments(self, batch: Sequence[Sound], judge: bool = False) -> list[Segment]:
        """Stretches of one recording, each by itself."""
        heard = self._hear(batch)
        batch = worded(batch, heard)
        found = self._models.predict(batch)
        alone = {task: own[self._models.last(task)] for task, own in found.items()}
        verdicts: dict[str, Verdict] = {}
        if judge and "emotions" in alone:
            voices = {s.id: self._cues(s.id, s.samples, s.text, self._timed(heard.get(s.id))) for s in batch}
            asked = self._ask(batch, voices, [alone["emotions"][s.id] for s in batch])
            alone["emotions"] = {prediction.id: prediction for prediction, _ in asked}
            verdicts = {verdict.id: verdict for _, verdict in asked}
        return [
            Segment(
                s.start,
                s.start + s.seconds,
                s.text,
                words(heard.get(s.id), s.start),
                alone={task: own[s.id].scores for task, own in alone.items() if s.id in own},
                verdict=_told(verdicts[s.id], alone["emotions"][s.id].note) if s.id in verdicts else {},
            )
            for s in batch
        ]

    @property
    def hears(self) -> bool:
        """Whether there is a model of the voice alone."""
        return "audio" in self._models.systems

    def voice(self, sound: Sound) -> Segment:
        """A sound by its voice alone; nothing is transcribed."""
        alone = {task: own[self._models.last(task)] for task, own in self._models.predict([sound]).items()}
        heard = {task: own[sound.id].scores for task, own in alone.items() if sound.id in own}
        return Segment(sound.start, sound.start + sound.seconds, alone=heard)

    def stream(self, chunks: Iterable[np.ndarray], sampling_rate: int = audio.SAMPLE_RATE) -> Iterator[live.Event]:
        """Sound as it comes: events while somebody speaks, and when a segment is over; see `emojudge.live`."""
        yield from live.listen(self, chunks, sampling_rate)


def _several(recordings: Any) -> bool:
    return not isinstance(recordings, str | Path | np.ndarray | Mapping)


def _told(verdict: Verdict, note: str) -> dict[str, Any]:
    return {"label": verdict.label, "confidence": verdict.confidence, "reason": verdict.reason, "outcome": note}
