"""The parts of anomaly detection by themselves: coreset, thresholds, figures of pixels, networks."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from luthier.catalog.anomaly import AnomalyPlan
from luthier.engine.anomaly.coreset import greedy_coreset
from luthier.engine.anomaly.distillation import ReverseDistillation
from luthier.engine.anomaly.judge import AnomalyJudge, PixelCounts
from luthier.engine.anomaly.networks import AnomalyNetwork, blurred, frozen_body
from luthier.engine.anomaly.patchcore import PatchCore
from luthier.engine.anomaly.thresholds import limit_of
from luthier.engine.stages import training_mode

METHODS = ("patchcore", "reverse_distillation")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plainly(rows: torch.Tensor, count: int, first: int) -> list[int]:
    """The algorithm as it is written: the row that is farthest from all chosen ones, one after another."""
    chosen, far = [first], (rows - rows[first]).square().sum(1)
    while len(chosen) < count:
        chosen.append(int(far.argmax()))
        far = torch.minimum(far, (rows - rows[chosen[-1]]).square().sum(1))
    return chosen


@pytest.mark.parametrize("pool", [5, 40, 4096])
def test_the_quick_coreset_is_the_greedy_one(pool: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.engine.anomaly.coreset.POOL", pool)
    monkeypatch.setattr("luthier.engine.anomaly.coreset.CHUNK", 100)
    rows = torch.randn(600, 12, generator=seeded(1)) * torch.linspace(0.1, 3, 12)
    chosen = greedy_coreset(rows, 80, seeded(2)).tolist()
    assert chosen == plainly(rows, 80, chosen[0])


def test_a_coreset_covers_all_and_has_no_copies() -> None:
    rows = torch.randn(50, 8, generator=seeded(1)).repeat(20, 1)
    chosen = greedy_coreset(rows, 200, seeded(2))
    assert len(chosen) == 50  # all that differ
    assert torch.cdist(rows, rows[chosen]).amin(1).max() < 1e-2
    assert greedy_coreset(rows[:3], 5, seeded()).tolist() == [0, 1, 2]


def test_a_wide_coreset_is_chosen_in_a_projection_that_keeps_distances() -> None:
    rows = torch.randn(2000, 600, generator=seeded(1))
    rows[:20] *= 5  # far out: those come first
    assert {*range(20)} <= {*greedy_coreset(rows, 40, seeded(2)).tolist()}


def test_the_threshold_tells_best_by_f1_where_anomalies_are_labelled() -> None:
    limit = limit_of(np.array([1.0, 2.0, 3.0]), np.array([2.5, 8.0, 9.0]), 0.99)
    assert limit.threshold == pytest.approx(2.25)  # F1 6/7; 5.5 gives 4/5
    assert "3 good ones from 3 anomalous ones best (F1 0.857)" in limit.why
    apart = limit_of(np.array([1.0, 2.0]), np.array([4.0]), 0.99)
    assert apart.threshold == pytest.approx(3.0) and "F1 1.000" in apart.why


@pytest.mark.parametrize("seed", range(5))
def test_no_cut_between_two_scores_tells_better_than_the_threshold(seed: int) -> None:
    generator = np.random.default_rng(seed)
    good, bad = generator.integers(1, 30, 50) / 4, generator.integers(10, 40, 20) / 4  # many scores are equal
    levels = np.unique([*good, *bad])
    cuts = [levels[0], *(levels[1:] + levels[:-1]) / 2]
    f1 = [2 * (bad >= cut).sum() / ((bad >= cut).sum() + (good >= cut).sum() + len(bad)) for cut in cuts]
    limit = limit_of(good, bad, 0.99)
    assert limit.threshold == max(cut for cut, one in zip(cuts, f1, strict=True) if one == max(f1))
    assert f"F1 {max(f1):.3f}" in limit.why


def test_a_large_split_needs_memory_for_its_scores_alone() -> None:
    generator = np.random.default_rng(0)
    good, bad = generator.normal(10, 1, 4000), generator.normal(12, 1, 4000)
    tracemalloc.start()
    limit_of(good, bad, 0.99)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 8000  # bytes; a table of all cuts by all scores would be 8000 * 8000


def test_without_anomalies_it_is_a_quantile_of_good_scores() -> None:
    good = np.arange(1.0, 102.0)
    limit = limit_of(good, np.zeros(0), 0.9)
    assert limit.threshold == pytest.approx(91.0) and "no anomalies are labelled" in limit.why
    value = 1 / (1 + (limit.threshold / np.array([51.0, 91.0, 200.0])) ** limit.steepness)
    assert value[0] == pytest.approx(0.1, abs=0.01) and value[1] == pytest.approx(0.5) and value[2] > 0.8


@pytest.mark.parametrize("good", [[0.0, 0.0], [1.0], [3.0, 3.0, 3.0]])
def test_a_threshold_of_odd_scores_is_still_a_number(good: list[float]) -> None:
    limit = limit_of(np.array(good), np.zeros(0), 0.99)
    assert limit.threshold > 0 and np.isfinite([limit.threshold, limit.steepness]).all()


def test_pixel_figures_are_those_of_sorting_all_pixels() -> None:
    generator = np.random.default_rng(4)
    maps = generator.gamma(2, 1, (6, 40, 50)).astype(np.float32)
    masks = np.zeros((6, 40, 50), dtype=bool)
    masks[0, 3:9, 4:30], masks[1, 20:22, 5:7], masks[1, 30:39, 30:40], masks[2, 0, 0] = True, True, True, True
    maps[masks] += generator.uniform(0, 3, masks.sum())
    counts = PixelCounts()
    for one, mask in zip(maps, masks, strict=True):
        counts.add(torch.from_numpy(one), torch.from_numpy(mask))
    auroc, pro = counts.auroc(), counts.pro()
    assert auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-3)
    assert pro == pytest.approx(pro_by_hand(maps, masks), abs=2e-3)
    assert counts.regions == 4


def pro_by_hand(maps: np.ndarray, masks: np.ndarray) -> float:
    curves = []
    for one, mask in zip(maps, masks, strict=True):
        numbers, count = ndimage.label(mask, np.ones((3, 3)))
        curves += [np.sort(one[numbers == number + 1]) for number in range(count)]
    good = np.sort(maps[~masks])
    levels = np.quantile(good, np.linspace(0.7, 1, 600))
    found = [np.mean([1 - np.searchsorted(curve, level) / len(curve) for curve in curves]) for level in levels]
    false = [1 - np.searchsorted(good, level) / len(good) for level in levels]
    return float(np.trapezoid(found[::-1], false[::-1]) / 0.3)


def test_figures_of_pictures_leave_out_what_cannot_be_known() -> None:
    judge = AnomalyJudge(["good", "scratch", "dent"], [1, 2])
    assert judge.scores().metrics == {}
    judge.add(predicted([0.2, 0.4]), batch([False, False], [[1, 0, 0], [1, 0, 0]]))
    assert set(judge.scores().metrics) == {"false_alarms", "good_score"}
    judge.add(predicted([0.3, 0.9]), batch([True, True], [[0, 1, 0], [0, 0, 1]]))
    scores = judge.scores()
    assert scores.metrics["image_auroc"] == pytest.approx(0.75)
    assert "pixel_auroc" not in scores.metrics  # no mask says where
    assert scores.metrics["f1"] == pytest.approx(2 / 3)
    assert [row["image_auroc"] for row in scores.per_concept] == [pytest.approx(0.5), pytest.approx(1.0)]


def predicted(values: list[float]) -> dict[str, torch.Tensor]:
    tensor = torch.tensor(values)
    return {"scores": tensor, "values": tensor, "maps": torch.rand(len(values), 4, 4)}


def batch(anomalous: list[bool], carries: list[list[int]]) -> dict[str, torch.Tensor]:
    masks = torch.full((len(anomalous), 4, 4), 255, dtype=torch.uint8)
    return {"anomalous": torch.tensor(anomalous), "carries": torch.tensor(carries), "masks": masks}


def test_a_blur_keeps_the_sum_within_and_constants_everywhere() -> None:
    maps = torch.zeros(1, 1, 41, 41)
    maps[0, 0, 20, 20] = 1
    assert float(blurred(maps, 2.0).sum()) == pytest.approx(1, abs=1e-3)
    assert blurred(torch.ones(1, 1, 9, 9), 4.0) == pytest.approx(1, abs=1e-5)
    assert torch.equal(blurred(maps, 0.0), maps)


def network_of(method: str, body: str = "timm/resnet10t", strides: tuple[int, ...] = (4, 8)) -> AnomalyNetwork:
    plan = AnomalyPlan(1, 2, 0.01, image_size=64, method=method, strides=strides, coreset_ratio=0.1)
    eyes = frozen_body(body, plan, "", "")
    return PatchCore(eyes, plan, 0) if method == "patchcore" else ReverseDistillation(eyes, plan)


@pytest.mark.parametrize("method", METHODS)
def test_the_teacher_never_changes(method: str) -> None:
    network = network_of(method)
    before = {name: tensor.clone() for name, tensor in network.body.state_dict().items()}
    training_mode(network, network.plan, 0)
    loss = network.loss(torch.randn(2, 3, 64, 64))
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.body.state_dict().items())
    assert not any(parameter.requires_grad for parameter in network.body.parameters())
    if isinstance(network, ReverseDistillation):
        assert all(parameter.grad is not None for parameter in network.student.parameters())


def test_distances_and_heatmaps_are_float32_where_the_body_computes_in_bfloat16() -> None:
    network = network_of("patchcore", "luthier/filter_bank", (4,)).eval()
    network.loss(torch.rand(4, 3, 64, 64, generator=seeded(1)))
    network.settle()
    asked = torch.rand(4, 3, 64, 64, generator=seeded(2))
    plain = network(asked)
    with torch.autocast("cpu", torch.bfloat16):
        scores, maps = network(asked)
    torch.testing.assert_close((scores, maps), plain)
    student = network_of("reverse_distillation").eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert student(asked)[1].dtype == torch.float32
    rounded, same = PixelCounts(), PixelCounts()
    rounded.add(maps[0].bfloat16(), torch.zeros(64, 64, dtype=torch.bool))
    same.add(maps[0].bfloat16().float(), torch.zeros(64, 64, dtype=torch.bool))
    assert np.array_equal(rounded.good, same.good)
