"""What is refused before training, with which code and words, and what is warned of."""

from collections.abc import Sequence

import pytest

from luthier.data.check import CheckReport, check_examples
from luthier.data.clean import without_leaks
from luthier.errors import (
    InsufficientData,
    InvalidDataToleranceExceeded,
    LuthierError,
    NoPositives,
    NoTrainingData,
    SingleClass,
)
from luthier.runs.manifest import Example
from luthier.runs.run import RunConcept

CAT, DOG, COW = (RunConcept(name, name) for name in ("cat", "dog", "cow"))


def example(
    number: int, label: str = "cat", split: str = "train", value: int = 1, invalid: str = "", blob: str = ""
) -> Example:
    return Example(f"in-{number}", blob or f"{number:064x}", split, {label: value}, 8, 8, invalid=invalid)


def balanced(count: int = 40) -> list[Example]:
    labels, splits = ("cat", "dog"), ("train", "train", "train", "val", "test")
    return [example(n, labels[n % 2], splits[n // 2 % 5]) for n in range(count)]


def refused(
    kind: type[LuthierError],
    code: int,
    examples: Sequence[Example],
    concepts: Sequence[RunConcept] = (CAT, DOG),
    tolerance: float = 5.0,
    *,
    mutually_exclusive: bool = True,
) -> str:
    with pytest.raises(kind) as raised:
        check_examples(examples, concepts, tolerance, mutually_exclusive=mutually_exclusive)
    assert raised.value.code == code
    return raised.value.details


def test_a_good_dataset_is_counted_and_passes_without_a_word() -> None:
    report = check_examples(balanced(), [CAT, DOG])
    assert report.usable == {"train": 24, "val": 8, "test": 8}
    assert report.positives["train"] == {"cat": 12, "dog": 12}
    assert report.positives["test"] == {"cat": 4, "dog": 4}
    assert report.warnings == [] and report.skipped == [] and report.copies == []


# -- F6 ----------------------------------------------------------------------------------------------------------------


def broken(count: int) -> list[Example]:
    return [example(1000 + n, invalid=f"file ends early at byte {n}" if n % 3 else "bad CRC") for n in range(count)]


def test_bad_F6_invalid_inputs_within_the_tolerance_are_listed() -> None:
    report = check_examples([*balanced(95), *broken(5)], [CAT, DOG], 5.0)
    assert [skipped.id for skipped in report.skipped] == [f"in-{1000 + n}" for n in range(5)]
    assert report.skipped[0].reason == "bad CRC"
    assert any("5 inputs are left out" in warning for warning in report.warnings)


def test_bad_F6_more_invalid_inputs_than_tolerated_stop_it_with_counts_and_ids() -> None:
    details = refused(InvalidDataToleranceExceeded, 21119, [*balanced(70), *broken(30)], tolerance=29.9)
    assert "30 of 100 inputs (30.0 %)" in details and "29.9 %" in details
    assert "20 x file ends early at byte N" in details and "10 x bad CRC" in details
    assert "in-1000, " in details and "in-1019 and 10 more" in details and "in-1020" not in details
    assert "invalid_data_tolerance_percent" in details


@pytest.mark.parametrize(("tolerance", "passes"), [(0, False), (4.99, False), (5, True), (100, True)])
def test_bad_F6_the_border_of_the_tolerance(tolerance: float, passes: bool) -> None:
    examples = [*balanced(95), *broken(5)]
    if passes:
        check_examples(examples, [CAT, DOG], tolerance)
    else:
        refused(InvalidDataToleranceExceeded, 21119, examples, tolerance=tolerance)


def test_bad_F6_everything_invalid_even_though_all_is_tolerated() -> None:
    assert "30 unusable" in refused(NoTrainingData, 21110, broken(30), tolerance=100)


# -- F7 to F9 ----------------------------------------------------------------------------------------------------------


def test_bad_F7_nothing_to_train_on() -> None:
    assert "add labelled inputs" in refused(NoTrainingData, 21110, [])
    only_test = [example(n, ("cat", "dog")[n % 2], "test") for n in range(10)]
    assert "0 in train" in refused(NoTrainingData, 21110, only_test)


def test_bad_F8_one_class_only() -> None:
    details = refused(SingleClass, 21112, [example(n) for n in range(10)], [CAT])
    assert "cat" in details and "at least 2" in details
    refused(SingleClass, 21112, balanced(), [])


def test_bad_F8_one_independent_concept_needs_negatives() -> None:
    positives = [example(n) for n in range(10)]
    assert "negative" in refused(SingleClass, 21112, positives, [CAT], mutually_exclusive=False)
    check_examples([*positives, example(11, value=0)], [CAT], mutually_exclusive=False)


def test_bad_F8_class_without_positives_is_named() -> None:
    assert "cow" in refused(NoPositives, 21111, balanced(), [CAT, DOG, COW])
    only_negative = [*balanced(), *[example(100 + n, "cow", value=0) for n in range(5)]]
    assert "1 of 3 concepts" in refused(NoPositives, 21111, only_negative, [CAT, DOG, COW])


def test_bad_F8_class_missing_in_the_train_split_is_named() -> None:
    examples = [*balanced(), example(100, "cow", "val"), example(101, "cow", "test")]
    assert "cow" in refused(NoPositives, 21111, examples, [CAT, DOG, COW])


def test_bad_F8_class_missing_in_validation_is_a_warning() -> None:
    report = check_examples([*balanced(), *[example(100 + n, "cow") for n in range(10)]], [CAT, DOG, COW])
    assert any("val" in warning and "cow" in warning and "n/a" in warning for warning in report.warnings)


def test_bad_F8_no_validation_split_is_a_warning() -> None:
    report = check_examples([example(n, ("cat", "dog")[n % 2]) for n in range(10)], [CAT, DOG])
    assert any("no val examples" in warning for warning in report.warnings)


def test_bad_F9_one_input_names_the_minimum() -> None:
    details = refused(InsufficientData, 21117, [example(1)])
    assert "1 training example " in details and "at least 2" in details


def test_bad_F9_fewer_inputs_than_concepts() -> None:
    concepts = [RunConcept(str(n), str(n)) for n in range(10)]
    assert "at least 10" in refused(InsufficientData, 21117, [example(n, str(n)) for n in range(9)], concepts)


def test_bad_F9_fewer_inputs_than_the_batch_is_said() -> None:
    report = check_examples(balanced(), [CAT, DOG], batch_size=64)
    assert any("24" in warning and "64" in warning for warning in report.warnings)


# -- F10, F18 ----------------------------------------------------------------------------------------------------------


def test_bad_F10_exact_duplicates_across_splits_are_reported() -> None:
    copy = example(500, "cat", "test", blob=balanced()[0].blob)
    report = check_examples([*balanced(), copy], [CAT, DOG])
    (leak,) = report.leaks
    assert leak.ids == ("in-0", "in-500") and leak.splits == ("train", "test")
    assert any("more than one split" in warning and "in-0" in warning for warning in report.warnings)


def test_bad_F10_exact_duplicates_leave_the_judging_side() -> None:
    examples = [
        example(0, split="train", blob="a"),
        example(1, split="train", blob="a"),
        example(2, split="val", blob="a"),
        example(3, split="test", blob="a"),
        example(4, split="val", blob="b"),
        example(5, split="test", blob="b"),
        example(6, split="test", blob="c"),
        example(7, split="test", blob="a", invalid="bad CRC"),
    ]
    kept, left_out = without_leaks(examples)
    assert [e.id for e in kept] == ["in-0", "in-1", "in-4", "in-6", "in-7"]
    assert [e.id for e in left_out] == ["in-2", "in-3", "in-5"]


def test_the_same_picture_under_two_classes_is_reported() -> None:
    report = check_examples([*balanced(), example(500, "dog", blob=balanced()[0].blob)], [CAT, DOG])
    assert any("contradict" in warning and "in-0 = in-500" in warning for warning in report.warnings)
    independent = [*balanced(), example(500, "dog", blob=balanced()[0].blob)]
    assert not check_examples(independent, [CAT, DOG], mutually_exclusive=False).warnings


def test_bad_F18_extreme_imbalance_trains_with_a_warning() -> None:
    examples = [*balanced(), *[example(100 + n) for n in range(2000)]]
    assert any("balanced" in warning and "dog" in warning for warning in check_examples(examples, [CAT, DOG]).warnings)


def test_names_in_messages_are_escaped_and_short() -> None:
    nasty = RunConcept("x", "\x1b[31m" + "n" * 500)
    details = refused(NoPositives, 21111, balanced(), [CAT, DOG, nasty])
    assert "\x1b" not in details and len(details) < 400


def test_an_empty_report_has_totals() -> None:
    assert CheckReport().total == 0 and CheckReport().leaks == [] and CheckReport().reasons == {}
