"""What `judge.scrub` finds in made-up sentences, what it misses, and what it leaves alone."""

import json
import random

import pytest

from emojudge.prompts import build
from emojudge.prompts.scrubbing import scrub
from emojudge.settings import JudgeSettings
from emojudge.types import Cues
from tests.made_up_run import LINES

FIRST, LAST, STREETS, WORDS = map(
    str.split,
    (
        "Anna Bob Chidi Dolores Émile Fatima Giorgos Hana Iqbal Jürgen Keiko Liam Mairead Nguyen Olu Priya Rosa Søren Tariq",
        "Smith O'Neill Müller García-López Okafor Tanaka Kowalski Nguyen Haddad Ivanova",
        "Oak Elm High Station Victoria Mill Park Church Rosewood King",
        "zero one two three four five six seven eight nine",
    ),
)


def digits(rng, count):
    return "".join(rng.choice("0123456789") for _ in range(count))


def number(rng):
    """A telephone, card or account number as people write or say them."""
    return rng.choice(
        (
            f"+{rng.randint(1, 99)} {digits(rng, 3)} {digits(rng, 3)} {digits(rng, 4)}",
            f"({digits(rng, 3)}) {digits(rng, 3)}-{digits(rng, 4)}",
            f"{digits(rng, 3)}.{digits(rng, 3)}.{digits(rng, 4)}",
            " ".join(digits(rng, 4) for _ in range(4)),
            digits(rng, 9),
            " ".join(rng.choice(WORDS) for _ in range(7)),
        )
    )


def mail(rng):
    name, house = rng.choice(FIRST).lower(), rng.choice(("example.org", "mail.example.co.uk", "my-firm.com"))
    return rng.choice((f"{name}@{house}", f"{name}.{digits(rng, 2)}@{house}", f"{name} at example dot org"))


def street(rng):
    return f"{rng.randint(1, 999)} {rng.choice(STREETS)} {rng.choice(('Street', 'Road', 'Ave', 'Lane', 'Drive'))}"


def introduced(rng):
    name = f"{rng.choice(FIRST)} {rng.choice(LAST)}"
    before = rng.choice(("my name is", "this is", "I'm", "they call me", "Dr", "Mrs."))
    return f"{before} ", name


KINDS = {
    "mail addresses": lambda rng: ("", mail(rng)),
    "numbers": lambda rng: ("", number(rng)),
    "streets": lambda rng: ("", street(rng)),
    "names that are announced": introduced,
    "names that stand alone": lambda rng: ("", rng.choice(FIRST)),
}
FRAMES = ("Well, {} I think.", "You said {}, right?", "{}, that is what I heard.", "so it was {}", "No! Not {} again.")
RECALL = {"mail addresses": 1.0, "numbers": 1.0, "streets": 1.0, "names that are announced": 1.0, "names that stand alone": 0.0}
"""Shares that are found, as docs/judge.md says."""


def recall(kind, count=400):
    rng, found = random.Random(0), 0
    for _ in range(count):
        before, secret = KINDS[kind](rng)
        found += not any(word in scrub(rng.choice(FRAMES).format(before + secret)) for word in secret.split() if len(word) > 2)
    return found / count


@pytest.mark.parametrize("kind", KINDS)
def test_recall_on_made_up_sentences(kind):
    assert recall(kind) == pytest.approx(RECALL[kind], abs=0.04)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("Write to ann.lee+x@mail.example.co.uk, please.", "Write to [EMAIL], please."),
        ("ann at example dot org", "[EMAIL]"),
        ("It is on www.example.com/ann?x=1 now", "It is on [URL] now"),
        ("Call +49 (0)30 1234-567.", "Call [NUMBER]."),
        ("four one one one, two two oh", "[NUMBER]"),
        ("4111 1111 1111 1111", "[NUMBER]"),
        ("DE89 3704 0044 0532 0130 00", "[IBAN]"),
        ("born 12/03/1987 in May", "born [DATE] in May"),
        ("I live at 12b Old Mill Road.", "I live at [ADDRESS]"),
        ("My name is Anna Smith and I am sad", "My name is [NAME] and I am sad"),
        ("Dr. O'Neill, come here", "Dr. [NAME], come here"),
    ],
)
def test_what_has_a_form_is_blanked(text, scrubbed):
    assert scrub(text) == scrubbed


def test_other_words_stay():
    for text in [
        *(line for lines in LINES.values() for line in lines),
        "I am 42 and have 3 cats",
        "one two three",
        "1,000 people",
    ]:
        assert scrub(text) == text


def test_the_judge_sees_the_scrubbed_text():
    def shown(**settings):
        asked = build(
            "a", "This is Anna, 555 0199 23.", Cues("a", 1.0), shown="Sad", labels=("Sad",), settings=JudgeSettings(**settings)
        )
        return json.loads(asked.messages[-2]["content"].splitlines()[1])["transcript"], asked.key("j")

    plain, scrubbed = shown(), shown(scrub=True)
    assert plain[0] == "This is Anna, 555 0199 23." and scrubbed[0] == "This is [NAME], [NUMBER]." and plain[1] != scrubbed[1]
