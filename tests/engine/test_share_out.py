"""Which places of a map are to propose which object: crowds, tiny boxes, boxes within boxes, none at all."""

import pytest
import torch

from luthier.engine.detection.anchor_free import AnchorFreeHead, places_of, share_out
from luthier.engine.detection.detector import Choice, Target, choose
from luthier.engine.detection.tiny import TinyDetector

SIDE = 128
STRIDES = (8, 16)


def shared(boxes: list[list[float]], seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places, owners and the places' centres for what an untrained network proposes, two concepts in turn."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.cat([places_of((SIDE // stride,) * 2, stride, torch.device("cpu")) for stride in STRIDES])
    half = places[:, 2:] / 2 * (0.5 + torch.rand(len(places), 2, generator=generator))
    proposed = torch.cat([places[:, :2] - half, places[:, :2] + half], 1)
    logits = torch.randn(len(places), 3, generator=generator) - 4
    target = Target(torch.tensor(boxes), torch.arange(len(boxes)) % 2)
    chosen, owner, _ = share_out(proposed, logits, places, target)
    return chosen, owner, places


def test_in_a_crowd_every_object_has_a_place_of_its_own() -> None:
    boxes = [[x, y, x + 9.0, y + 9.0] for x in range(0, SIDE - 9, 11) for y in range(0, SIDE - 9, 11)]
    chosen, owner, places = shared(boxes)
    assert len(boxes) > 100 and set(owner.tolist()) == set(range(len(boxes)))
    assert len(set(chosen.tolist())) == len(chosen)
    centres = (torch.tensor(boxes)[:, :2] + torch.tensor(boxes)[:, 2:]) / 2
    away = (places[chosen, :2] - centres[owner]).abs().amax(1)
    assert (away < 2.5 * places[chosen, 2]).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tiny", [[65.0, 65.0, 67.0, 67.0], [0.0, 0.0, 1.0, 1.0], [126.5, 126.5, 128.0, 128.0]])
def test_a_box_between_all_cells_has_the_nearest_one_even_within_a_large_box(tiny: list[float], seed: int) -> None:
    chosen, owner, places = shared([[0.0, 0.0, 128.0, 128.0], tiny], seed)
    assert set(owner.tolist()) == {0, 1}
    assert (places[chosen[owner == 1], :2] - torch.tensor(tiny[:2])).abs().max() <= 8


def test_two_objects_in_one_place_of_two_concepts_are_both_looked_for() -> None:
    _, owner, _ = shared([[40.0, 40.0, 80.0, 80.0], [40.0, 40.0, 80.0, 80.0]])
    assert set(owner.tolist()) == {0, 1}


def test_pictures_without_objects_teach_that_nothing_is_there() -> None:
    torch.manual_seed(0)
    network = TinyDetector(2)
    nothing = Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    loss = network.loss(torch.rand(2, 3, 64, 64), [nothing, nothing])
    loss.backward()  # type: ignore[no-untyped-call]
    head = next(module for module in network.modules() if isinstance(module, AnchorFreeHead))
    biases = [parameter for name, parameter in head.named_parameters() if name.endswith("object.bias")]
    assert len(biases) == 2 and all(bias.grad is not None and bias.grad.sum() > 0 for bias in biases)


def test_more_than_a_hundred_boxes_are_answered_where_there_are_as_many() -> None:
    corners = torch.tensor([[x, y] for x in range(0, 200, 10) for y in range(0, 100, 10)], dtype=torch.float32)
    found = choose(torch.cat([corners, corners + 8], 1), torch.full((200, 1), 0.5), (100, 200), Choice())
    assert len(found.boxes) == 200
