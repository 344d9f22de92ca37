"""In which order a training sees its clips: a function of seed and epoch alone, so that it can be taken up anywhere."""

from collections import defaultdict
from collections.abc import Sequence
from random import Random

from emojudge.types import Utterance


def epoch_batches(
    utterances: Sequence[Utterance], size: int, seed: int, epoch: int, balanced: bool, by_session: bool = False
) -> list[list[Utterance]]:
    """The effective batches of one epoch.

    Args:
        utterances: the training clips.
        size: clips in a batch; the last may have fewer.
        seed: of the training.
        epoch: its number.
        balanced: draw every class equally often, instead of every clip once.
        by_session: the classes of each session are classes of their own.

    >>> rows = [Utterance("a", emotion="Sad"), Utterance("b", emotion="Sad"), Utterance("c", emotion="Happy")]
    >>> [len(batch) for batch in epoch_batches(rows, 2, seed=0, epoch=1, balanced=False)]
    [2, 1]
    """
    random = Random(f"order {seed} {epoch}")
    drawn = _balanced(utterances, random, by_session) if balanced else list(utterances)
    random.shuffle(drawn)
    return [drawn[start : start + size] for start in range(0, len(drawn), size)]


def _balanced(utterances: Sequence[Utterance], random: Random, by_session: bool) -> list[Utterance]:
    """About as many draws as there are clips: each class equally often, each of its clips as evenly as can be.

    Clips without a label are left out, unless there is no other.
    """
    classes = defaultdict(list)
    for u in utterances:
        if u.emotion:
            classes[u.emotion, u.session if by_session else None].append(u)
    if not classes:
        return list(utterances)
    each = -(-len(utterances) // len(classes))
    return [u for members in classes.values() for u in _rounds(members, each, random)]


def _rounds(members: Sequence[Utterance], count: int, random: Random) -> list[Utterance]:
    """`count` draws: all members again and again, then some of them."""
    whole, rest = divmod(count, len(members))
    return [*members] * whole + random.sample(list(members), rest)
