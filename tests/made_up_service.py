"""A run that answers at once, served: what counts is the service around it."""

import io
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import soundfile
from starlette.testclient import TestClient

from emojudge import EmoJudge, streams
from emojudge.settings import Config
from emojudge.timeline import Segment
from emojudge.web import routes
from emojudge.web.nursery import Nursery
from tests.made_up_speech import RATE, speech


class Toy(EmoJudge):
    """Says how loud a clip is; `gate` holds it up, `fault` is raised for clips of that many seconds."""

    def __init__(self, **settings):
        judged = {"judge": {"judge": "local"}} if settings.pop("judged", False) else {"judge": {"judge": "none"}}
        recordings = {"activity": "energy", "max_seconds": settings.get("job_seconds", 60.0)}
        super().__init__(Config.model_validate({"service": settings, "recordings": recordings, **judged}))
        self.run, self.notice = object(), "Made up."
        self.models = SimpleNamespace(errors={"valence": 0.5}, systems=("audio",), last="audio")
        self.gate, self.batches, self.fault = threading.Event(), [], {}
        self.gate.set()

    def segments(self, batch, judge=False):
        self.gate.wait(30)
        self.batches.append([round(sound.seconds, 3) for sound in batch])
        for sound in batch:
            if error := self.fault.get(round(sound.seconds, 3)):
                raise error
        return [self.segment(sound, judge) for sound in batch]

    def segment(self, sound, judge):
        loud = float(np.abs(sound.samples).mean())
        scores = {"emotions": {"Angry": loud, "Neutral": 1 - loud}, "attributes": {"valence": 3.0}}
        verdict = {"label": "Angry", "confidence": 0.9, "reason": "It is loud.", "outcome": "changed"} if judge else {}
        return Segment(sound.start, sound.start + sound.seconds, sound.text or "I heard it.", alone=scores, verdict=verdict)


def wav(*seconds, level=0.3, seed=0):
    """A WAV file's bytes: silence and speech in turn."""
    out = io.BytesIO()
    soundfile.write(out, speech(*seconds, seed=seed, level=level), RATE, format="WAV")
    return out.getvalue()


CLIP = wav(0.2, 0.5, 0.3)


@contextmanager
def served(judge, key="", ready=True):
    """A client of the service that serves `judge`."""
    app = routes.build(judge, key)
    with TestClient(app, headers={"Authorization": f"Bearer {key}"} if key else {}) as client:
        client.service = app.state.service
        client.app = app
        if ready:
            wait_for(lambda: client.service.worker.state == "ready")
            judge.batches.clear()
        yield client


def wait_for(condition, seconds=20.0):
    """Until it is so."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it never came to be")


def decode_here(monkeypatch):
    """Decode without a child."""
    monkeypatch.setattr(Nursery, "isolated", lambda self, path: streams.blocks(path))


def send(client, content=CLIP, name="clip.wav", path="/v1/predict", **options):
    """Post a recording."""
    return client.post(path, files={"file": (name, content)}, data=options)
