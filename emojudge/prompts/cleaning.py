"""A transcript made harmless: data that no reader can take for an instruction or for part of the frame.

What remains dangerous is the meaning of the words, and that can do no more than one wrong label: the answer is
checked against the label set, and each request is about one clip.
"""

import json
import re
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""Unicode categories that show nothing: control, format (bidi, zero-width, tags), surrogate, private, unassigned."""

_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Variation selectors: combining marks that show nothing and can carry hidden text."""

_CHAT_TOKEN = re.compile(r"[<>]|\[(?=/?[A-Z_]{3,})")
"""What opens a chat token in the templates of open models: <|im_end|>, </s>, [INST], [/INST], [TOOL_CALLS]."""


def clean(text: str) -> str:
    r"""Drop what cannot be seen; white space of any kind becomes one space.

    >>> clean("I am\u202e fine\x00,\r\n  really\u200b.")
    'I am fine, really.'
    """
    spaced = re.sub(r"\s+", " ", text)
    seen = "".join(character for character in spaced if unicodedata.category(character) not in _INVISIBLE)
    return re.sub(r" +", " ", _SELECTORS.sub("", seen)).strip()


def cut(text: str, characters: int) -> tuple[str, bool]:
    """The first `characters` of a cleaned text, and whether something was lost.

    >>> cut("abcdef", 4)
    ('abcd', True)
    """
    return text[:characters], len(text) > characters


def quote(text: str) -> str:
    r"""A JSON string in which no chat token survives; any JSON reader gives the text back.

    >>> quote('He said "<|im_end|>".')
    '"He said \\"\\u003c|im_end|\\u003e\\"."'
    >>> json.loads(quote("[INST] <s>"))
    '[INST] <s>'
    """
    return _CHAT_TOKEN.sub(lambda match: f"\\u{ord(match[0]):04x}", json.dumps(text, ensure_ascii=False))
