"""Label Studio: a task with predictions, to be imported and corrected by people.

The format: https://labelstud.io/guide/predictions. The labelling configuration that it fits::

    <View>
      <Audio name="audio" value="$audio"/>
      <Labels name="emotion" toName="audio"><Label value="Angry"/> …</Labels>
      <TextArea name="transcription" toName="audio" perRegion="true" editable="true"/>
      <Number name="valence" toName="audio" perRegion="true"/> … (one for each attribute)
    </View>
"""

import json
from pathlib import Path
from typing import Any

from emojudge.storage import atomic
from emojudge.timeline import Segment, Timeline

SUFFIX = ".label_studio.json"


def write(timeline: Timeline, path: Path) -> None:
    """One task in a list; `audio` is the path as it was given, which Label Studio must be able to serve."""
    regions = [part for number, one in enumerate(timeline.segments) for part in _region(f"s{number}", one, timeline.seconds)]
    scores = [one.confidence for one in timeline.segments if one.confidence is not None]
    prediction = {"model_version": "emojudge", "score": sum(scores) / len(scores) if scores else 0.0, "result": regions}
    task = {"data": {"audio": timeline.path or timeline.name}, "predictions": [prediction]}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps([task], ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _region(id: str, one: Segment, length: float) -> list[dict[str, Any]]:
    """The parts of a segment: they share an id, by which Label Studio knows that they are one region."""
    place = {"start": round(one.start, 3), "end": round(one.end, 3), "channel": 0}
    common = {"id": id, "to_name": "audio", "original_length": length}
    found: list[dict[str, Any]] = []
    if one.emotion:
        value = {**place, "labels": [one.emotion]}
        found.append({**common, "from_name": "emotion", "type": "labels", "value": value, "score": one.confidence})
    if one.text:
        found.append({**common, "from_name": "transcription", "type": "textarea", "value": {**place, "text": [one.text]}})
    for name, number in one.attributes.items():
        found.append({**common, "from_name": name, "type": "number", "value": {**place, "number": round(number, 4)}})
    return found
