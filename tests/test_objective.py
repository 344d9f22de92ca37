import math

import pytest
import torch

from emojudge.losses import ccc_loss, focal
from emojudge.models import ModelCard
from emojudge.objective import Objective, names_of, target
from emojudge.settings import AudioSettings, Config
from emojudge.types import ATTRIBUTES, Utterance

ROWS = [
    Utterance("a", emotion="Sad", gender="female", attributes={"valence": 2.0, "arousal": 3.0, "dominance": 4.0}),
    Utterance("b", emotion="Happy", gender="male", attributes={"valence": 6.0, "arousal": 5.0}),
    Utterance("c", emotion=None, votes={"Sad": 1, "Happy": 1, "Other": 2}),
    Utterance("d", emotion="Sad", votes={"Sad": 3, "Happy": 1}),
]


def objective(task="emotions", **changes):
    outputs = ("Sad", "Happy") if task == "emotions" else ATTRIBUTES
    auxiliary = {name: names for name, names in OTHERS.items() if name in changes.get("auxiliary", {})}
    settings = {"audio": AudioSettings(**changes).model_dump()}
    return Objective(ModelCard(task, outputs, ("audio",), settings, {}, {}, auxiliary=auxiliary), ROWS)


OTHERS = {"attributes": ATTRIBUTES, "gender": ("female", "male"), "emotions": ("Sad", "Happy")}


def test_votes_are_shares_of_all_votes_and_clips_without_agreement_teach():
    assert target(ROWS[2], "emotions", ("Sad", "Happy")) is None
    assert target(ROWS[2], "emotions", ("Sad", "Happy"), votes=True) == [0.25, 0.25]
    assert target(ROWS[3], "emotions", ("Sad", "Happy"), votes=True) == [0.75, 0.25]
    assert target(ROWS[0], "emotions", ("Sad", "Happy"), votes=True) == [1.0, 0.0]  # no votes are known
    assert target(Utterance("e", votes={"Other": 2}), "emotions", ("Sad", "Happy"), votes=True) is None


def test_votes_also_count_in_the_class_weights():
    hard = objective(class_weights="inverse").class_weights
    soft = objective(class_weights="inverse", targets="votes").class_weights
    assert torch.allclose(hard * torch.tensor([2.0, 1.0]), torch.full((2,), 4 / 3))
    assert torch.allclose(soft[1] / soft[0], torch.tensor((1 + 0.25 + 0.75) / (1 + 0.25 + 0.25)))


def test_every_task_has_its_columns_and_its_weight():
    both = objective(auxiliary={"attributes": 0.5, "gender": 0.1}, class_weights="none")
    wanted = both.targets(ROWS)
    assert wanted.shape == (4, 2 + 3 + 2) and not both.additive
    assert wanted[0].tolist() == [1, 0, 2, 3, 4, 1, 0]
    assert wanted[1, 4].isnan() and wanted[2, 2:5].isnan().all() and wanted[2, 5:].tolist() == [0, 0]
    out = torch.randn(4, 7)
    classes = [focal(out[:, here], wanted[:, here]).sum() / 4 for here in (slice(0, 2), slice(5, 7))]
    by_hand = classes[0] + 0.5 * ccc_loss(out[:, 2:5], wanted[:, 2:5]) + 0.1 * classes[1]
    assert torch.allclose(both.loss(out, wanted, 4), by_hand)


def test_parts_of_a_batch_add_up():
    one = objective()
    out, wanted = torch.randn(4, 2), one.targets(ROWS)
    assert one.additive
    halves = one.loss(out[:1], wanted[:1], 4) + one.loss(out[1:], wanted[1:], 4)
    assert torch.allclose(halves, one.loss(out, wanted, 4))


def test_balanced_draws_have_no_class_weights():
    weighted, plain = objective(class_weights="inverse"), objective(class_weights="none")
    out, wanted = torch.randn(4, 2), plain.targets(ROWS)
    assert torch.allclose(weighted.loss(out, wanted, 4, balanced=True), plain.loss(out, wanted, 4))
    assert not torch.allclose(weighted.loss(out, wanted, 4), plain.loss(out, wanted, 4))


@pytest.mark.parametrize(("task", "names"), [("emotions", Config().data.labels), ("gender", ("female", "male"))])
def test_names_of_tasks(task, names):
    assert names_of(task, Config(), ROWS) == names


def test_unknown_attributes_are_not_numbers():
    assert math.isnan(target(ROWS[1], "attributes", ATTRIBUTES)[2]) and target(ROWS[2], "attributes", ATTRIBUTES) is None
