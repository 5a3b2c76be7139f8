"""Our average precision against the reference implementation of COCO, and cases by hand."""

import contextlib
import io

import numpy as np
import pytest
import torch

from luthier.engine.recipes.object_detection import DetectionJudge

CONCEPTS = ["a", "b", "c"]


def random_case(seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Per picture: labelled boxes and concepts; found boxes, values, concepts, most of them near a labelled one."""
    generator = np.random.default_rng(seed)
    pictures = []
    for _ in range(12):
        count = int(generator.integers(0, 6))
        corner = generator.random((count, 2)) * 70
        boxes = np.concatenate([corner, corner + 4 + generator.random((count, 2)) * 25], 1)
        concepts = generator.integers(0, len(CONCEPTS), count)
        near = boxes.repeat(2, 0) + generator.normal(0, 2, (2 * count, 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        found_concepts = np.where(generator.random(2 * count) < 0.8, concepts.repeat(2), 0)
        values = generator.random(2 * count).round(3)
        order = np.argsort(-values, kind="stable")
        pictures.append((boxes, concepts, near[order], values[order], found_concepts[order]))
    return pictures


def reference(pictures: list[tuple[np.ndarray, ...]]) -> dict[str, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = [], []
    for image, (boxes, concepts, near, values, near_concepts) in enumerate(pictures, start=1):
        for box, concept in zip(boxes, concepts, strict=True):
            sides = [*box[:2], *(box[2:] - box[:2])]
            truth.append({"id": len(truth) + 1, "image_id": image, "category_id": int(concept) + 1, "iscrowd": 0,
                          "bbox": sides, "area": float(sides[2] * sides[3])})  # fmt: skip
        for box, value, concept in zip(near, values, near_concepts, strict=True):
            found.append({"image_id": image, "category_id": int(concept) + 1, "score": float(value),
                          "bbox": [*box[:2], *(box[2:] - box[:2])]})  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "info": {},
            "images": [{"id": number + 1} for number in range(len(pictures))],
            "annotations": truth,
            "categories": [{"id": number + 1, "name": name} for number, name in enumerate(CONCEPTS)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("map", "map50", "map75"), evaluation.stats[:3].tolist(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_as_pycocotools(seed: int) -> None:
    pictures = random_case(seed)
    judge = DetectionJudge(CONCEPTS)
    for boxes, concepts, near, values, near_concepts in pictures:
        judge.add(
            {"boxes": torch.tensor(near)[None], "values": torch.tensor(values)[None],
             "concepts": torch.tensor(near_concepts)[None]},
            {"boxes": torch.tensor(boxes)[None], "concepts": torch.tensor(concepts)[None]},
        )  # fmt: skip
    assert judge.scores().metrics == pytest.approx(reference(pictures), abs=1e-6)


def test_a_concept_that_no_picture_has_is_left_out_and_nothing_found_is_zero() -> None:
    judge = DetectionJudge(["a", "b"])
    none = {"boxes": torch.zeros(1, 0, 4), "values": torch.zeros(1, 0), "concepts": torch.zeros(1, 0)}
    judge.add(none, {"boxes": torch.tensor([[[0.0, 0, 5, 5]]]), "concepts": torch.tensor([[0]])})
    scores = judge.scores()
    assert scores.metrics == {"map": 0.0, "map50": 0.0, "map75": 0.0}
    assert [row["ap"] for row in scores.per_concept] == [0.0, None]
    assert DetectionJudge(["a"]).scores().metrics == {}


def test_a_crowd_of_one_concept_counts_as_a_whole() -> None:
    corners = np.array([[x, y] for x in range(15) for y in range(10)], dtype=float) * 10
    boxes = torch.tensor(np.concatenate([corners, corners + 8], 1))[None]
    concepts = torch.zeros(1, 150)
    judge = DetectionJudge(["a"])
    judge.add(
        {"boxes": boxes, "values": torch.ones(1, 150), "concepts": concepts}, {"boxes": boxes, "concepts": concepts}
    )
    assert judge.scores().metrics["map"] == pytest.approx(1)
