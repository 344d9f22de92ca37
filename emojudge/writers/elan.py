"""ELAN annotation file (EAF 3.0): a tier for each of emotion, confidence, speaker, words and attribute, for ELAN and its tools.

The format: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf. Times are milliseconds.
"""

import mimetypes
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as Xml

from emojudge.storage import atomic
from emojudge.timeline import Timeline
from emojudge.writers.textgrid import tiers_of

SUFFIX = ".eaf"
SCHEMA = "{http://www.w3.org/2001/XMLSchema-instance}noNamespaceSchemaLocation"
"""ELAN writes it, and readers ask for it."""


def write(timeline: Timeline, path: Path) -> None:
    """Aligned annotations; the recording is linked."""
    document = Xml.Element(
        "ANNOTATION_DOCUMENT", AUTHOR="EmoJudge", DATE=datetime.now(UTC).isoformat(), FORMAT="3.0", VERSION="3.0"
    )
    document.set(SCHEMA, "http://www.mpi.nl/tools/elan/EAFv3.0.xsd")
    header = Xml.SubElement(document, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    if timeline.path:
        where = Path(timeline.path).absolute()
        kind = mimetypes.guess_type(where.name)[0] or "audio/x-wav"
        Xml.SubElement(header, "MEDIA_DESCRIPTOR", MEDIA_URL=where.as_uri(), MIME_TYPE=kind)
    order = Xml.SubElement(document, "TIME_ORDER")
    tiers = tiers_of(timeline)
    times = sorted({round(1000 * t) for intervals in tiers.values() for start, end, _ in intervals for t in (start, end)})
    for time in times:
        Xml.SubElement(order, "TIME_SLOT", TIME_SLOT_ID=f"ts{time}", TIME_VALUE=str(time))
    count = 0
    for name, intervals in tiers.items():
        tier = Xml.SubElement(document, "TIER", TIER_ID=name, LINGUISTIC_TYPE_REF="default-lt")
        for start, end, text in intervals:
            if round(1000 * end) <= round(1000 * start):
                continue  # an annotation of no length is damage to ELAN
            count += 1
            one = Xml.SubElement(Xml.SubElement(tier, "ANNOTATION"), "ALIGNABLE_ANNOTATION", ANNOTATION_ID=f"a{count}")
            one.set("TIME_SLOT_REF1", f"ts{round(1000 * start)}")
            one.set("TIME_SLOT_REF2", f"ts{round(1000 * end)}")
            Xml.SubElement(one, "ANNOTATION_VALUE").text = printable(text)
    Xml.SubElement(
        document, "LINGUISTIC_TYPE", GRAPHIC_REFERENCES="false", LINGUISTIC_TYPE_ID="default-lt", TIME_ALIGNABLE="true"
    )
    with atomic(path) as temporary:
        Xml.ElementTree(document).write(temporary, encoding="UTF-8", xml_declaration=True)


def printable(text: str) -> str:
    """Without the control characters that XML cannot hold.

    >>> printable("a" + chr(0) + "b")
    'a b'
    """
    return "".join(c if c >= " " and c not in "\ufffe\uffff" and not "\ud800" <= c <= "\udfff" else " " for c in text)
