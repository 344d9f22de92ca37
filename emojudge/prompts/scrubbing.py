"""What would tell of a person in a transcript, blanked before a judge reads it (`judge.scrub`; ours).

Rules for what has a form: addresses of mail and of pages, card, account, telephone and other numbers of five digits or more,
written or spoken one by one, dates of birth in figures, streets with a number; and names where the words before them say that one
comes ("my name is", "Dr", "this is"). A name that stands alone is not found: that would take a language model, and the best
of them miss some. tests/test_scrubbing.py measures what is found.
"""

import re
from collections.abc import Mapping
from functools import partial

_DIGIT = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)"
_STREET = r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|square|way|place|terrace|close)"
_NAME = r"[^\W\d_a-z][\w'’-]*"
_NAMES = rf"{_NAME}(?:\s+{_NAME}){{0,2}}"
_SAID = (
    r"(?:my name is|my name's|name is|i am called|i'm called|they call me|call me|this is|it's|i'm|i am|speaking with|ask for)"
)
_TITLE = r"(?:mr|mrs|ms|miss|dr|doctor|prof|professor|sir|madam|aunt|uncle|officer|judge|captain)"

RULES: Mapping[str, re.Pattern[str]] = {
    "EMAIL": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b[\w.]+ at [\w-]+(?: dot [a-z]{2,})+\b", re.IGNORECASE),
    "URL": re.compile(r"\b(?:https?://|www\.)\S+|\b[\w-]+\.(?:com|org|net|edu|gov|io|de|uk)\b\S*", re.IGNORECASE),
    "IBAN": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b"),
    "DATE": re.compile(r"\b\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}\b"),
    "NUMBER": re.compile(rf"\+?\(?\d(?:[\s().-]{{0,2}}\d){{4,}}|\b{_DIGIT}(?:[\s,-]+{_DIGIT}){{4,}}\b", re.IGNORECASE),
    "ADDRESS": re.compile(rf"\b\d{{1,5}}[a-z]?\s+(?:[\w'’.-]+\s+){{1,3}}?{_STREET}\b\.?", re.IGNORECASE),
    "NAME": re.compile(rf"(?i:\b{_SAID})\s+({_NAMES})|(?i:\b{_TITLE})\.?\s+({_NAMES})"),
}
"""What it is → what it looks like. Of NAME, only the name itself is blanked."""


def scrub(text: str) -> str:
    """The text with what the rules find blanked.

    >>> scrub("Dr. Smith, call me on 555 0199 23 or ann@example.org.")
    'Dr. [NAME], call me on [NUMBER] or [EMAIL].'
    """
    for what, rule in RULES.items():
        text = rule.sub(partial(_blank, what), text)
    return text


def _blank(what: str, found: re.Match[str]) -> str:
    name = next(filter(None, found.groups()), found[0])
    return found[0].replace(name, f"[{what}]")
