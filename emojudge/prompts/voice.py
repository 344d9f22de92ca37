"""The audio description of paper 4.6: measures in words and numbers (PAPER decisions 16 and 17)."""

from emojudge.types import Cues

_RELATIVE = {
    "speaker": "compared with other clips of this speaker",
    "corpus": "compared with all speakers of the training data",
}
_GENDER = {"f": "female", "female": "female", "m": "male", "male": "male"}


def describe(cues: Cues, gender: str | None = None, numbers: bool = True) -> str:
    """One line per measure that exists: its word, its number, and what the word is relative to.

    Without `numbers` a measure that has a word has it alone.

    >>> cues = Cues("a", 2.34, rms_dbfs=-20.5, words={"rms_dbfs": "high"}, relative_to="speaker")
    >>> print(describe(cues, "F"))
    speaker: female
    duration: 2.3 s
    amplitude: high (RMS -20.5 dBFS)
    (words compared with other clips of this speaker)
    """
    lines = [_line(cues, name, fields, number, numbers) for name, fields, number in _measures(cues) if number]
    sex = _GENDER.get((gender or "").strip().casefold())
    if sex:
        lines.insert(0, f"speaker: {sex}")
    if cues.words and cues.relative_to:
        lines.append(f"(words {_RELATIVE.get(cues.relative_to, f'compared with the {cues.relative_to}')})")
    return "\n".join(lines)


def _line(cues: Cues, name: str, fields: tuple[str, ...], number: str, numbers: bool) -> str:
    word = next((cues.words[field] for field in fields if field in cues.words), "")
    told = number if numbers or not word else ""
    return f"{name}: {word} ({told})" if word and told else f"{name}: {word or told}"


def _measures(cues: Cues) -> list[tuple[str, tuple[str, ...], str]]:
    """Name, the fields whose word describes it (first found), and its numbers; no numbers where it does not exist."""
    return [
        ("duration", ("seconds",), f"{cues.seconds:.1f} s"),
        ("amplitude", ("rms_dbfs", "peak_dbfs"), _amplitude(cues)),
        ("loudness", ("loudness_lufs",), _number(cues.loudness_lufs, ".1f", " LUFS")),
        ("pitch", ("f0_median_hz",), _number(cues.f0_median_hz, ".0f", " Hz")),
        ("pitch range", ("f0_range_semitones",), _pitch_range(cues)),
        ("voiced share", ("voiced_share",), _number(cues.voiced_share, ".0%", "")),
        ("speaking rate", ("rate",), _rate(cues)),
    ]


def _number(value: float | None, form: str, unit: str) -> str:
    return "" if value is None else f"{value:{form}}{unit}"


def _amplitude(cues: Cues) -> str:
    parts = (("RMS", cues.rms_dbfs), ("peak", cues.peak_dbfs))
    known = ", ".join(f"{name} {value:.1f}" for name, value in parts if value is not None)
    return f"{known} dBFS" if known else ""


def _pitch_range(cues: Cues) -> str:
    span = _number(cues.f0_range_semitones, ".1f", " semitones")
    if cues.f0_low_hz is None or cues.f0_high_hz is None:
        return span
    hertz = f"{cues.f0_low_hz:.0f} to {cues.f0_high_hz:.0f} Hz"
    return f"{span}, {hertz}" if span else hertz


def _rate(cues: Cues) -> str:
    unit = cues.rate_unit or "words"
    return _number(cues.rate, ".1f", f" {unit}" if "per" in unit or "/" in unit else f" {unit} per second")
