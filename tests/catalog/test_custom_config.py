"""Texts of users' own configurations: what they may say, what is refused by its line. Nothing of them is executed."""

import runpy
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from luthier.catalog.own_config.bases import bases_of, lookup
from luthier.catalog.own_config.child import answer
from luthier.catalog.own_config.evaluator import evaluate
from luthier.catalog.own_config.limits import MOST_STEPS, RefusedError
from luthier.catalog.own_config.merging import joined, merged
from luthier.catalog.own_config.read import read
from luthier.catalog.segmentation import DECODER_WIDTHS
from luthier.errors import InvalidTrainingParams, TryAgain

YOLOF = "/mmdetection/configs/yolof/yolof_r50_c5_8x8_1x_coco.py"
BASE = {"lr": 0.1, "model": {"head": {"width": 3}, "list": [1, 2]}}


def said(text: str) -> dict[str, Any]:
    """What the names of `text` stand for; its base is BASE whatever it is called."""
    return evaluate(text, lambda names: BASE).names


def refusal(text: str) -> str:
    """Why `text` is refused, within two seconds."""
    start = time.monotonic()
    found = answer(text, "mmdetection")
    assert time.monotonic() - start < 2
    return str(found["error"])


EQUAL = [  # what Python itself makes of these is what we make of them
    "a = 2 + 3 * 4 - 7 // 2 + 9 % 4 + 2 ** 5\nb = 1 / 4\nc = -a\nd = not a\ne = 1e-3",
    "a = 'x' + 'y' * 3\nb = f'{a}_1'\nc = 'abc'[1:]",
    "a = dict(x=1, **dict(y=2))\nb = [*range(3), 4]\nc = {'k': (1, 2), **a}\nd = c['k'][-1]\ne = b[::2]",
    "a, (b, c) = 1, (2, 3)\nx = y = [1]\ny.append(2)\ny += [3]\nz = x + [4]\nx[0] = 5",
    "a = []\nfor i, n in enumerate(['p', 'q']):\n    a.append(dict(i=i, n=n))\nelse:\n    done = True",
    "a = 3\nif a > 2 and a != 5:\n    b = 'yes'\nelif a:\n    b = 'no'\nc = 1 if 0 < a <= 3 else 2\nd = a in (1, 3)",
    "a = [i * j for i in range(3) if i for j in range(2)]\nb = {k: v for k, v in zip('ab', a)}\nc = max(i for i in a)",
    "a = [len('abc'), min(3, 2), max([1, 5]), round(2.567, 1), int('7'), str(3)]\nb = list((1, 2))\nc = tuple(b)",
    "a = dict(x=1)\nb = a.copy()\nb.update(y=2)\nc = list(b.items())\nd = b.pop('x')\ne = [1]\ne.extend([2])",
    "import copy\na = dict(x=[1])\nb = copy.deepcopy(a)\nb['x'].append(2)\nc = a['x'] is b['x']\ndel a['x']",
    "a = 3\na += 4\n'a text on its own'\npass",
]  # fmt: skip


@pytest.mark.parametrize("text", EQUAL)
def test_equal_to_what_python_says(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(text, encoding="utf-8")
    names = runpy.run_path(str(tmp_path / "config.py"))
    assert said(text) == {name: value for name, value in names.items() if name != "copy" and not name.startswith("__")}


def test_names_of_the_base_and_harmless_places() -> None:
    assert said("_base_ = 'x'\na = _base_.model.head.width * 2\nb = {{ _base_.lr }}") == {"a": 6, "b": 0.1}
    changed = said("_base_ = 'x'\na = _base_.model.list\na.append(3)\nb = _base_.model.list")
    assert changed == {"a": [1, 2, 3], "b": [1, 2]}
    assert said("a = '{{ fileDirname }}/{{fileBasenameNoExtension}}'") == {"a": "/config/custom_config"}
    assert said("\ufeffa = 1\nif a:\n\tb = 2") == {"a": 1, "b": 2}  # a byte order mark, and tabs


def test_merging_is_mmengines() -> None:
    under = {"a": {"x": 1, "y": {"z": 2}}, "b": [1, 2], "c": 3}
    over = {"a": {"x": 5, "y": {"_delete_": True, "w": 1}}, "b": [9], "d": {"_delete_": True, "v": 0}}
    assert merged(over, under) == {"a": {"x": 5, "y": {"w": 1}}, "b": [9], "c": 3, "d": {"v": 0}}
    assert under["a"]["y"] == {"z": 2}
    with pytest.raises(RefusedError, match=r"a\.x is a dict, and a int in _base_; add _delete_=True"):
        merged({"a": {"x": {"p": 1}}}, under)
    assert joined({"one": {"a": 1}, "two": {"b": 2}}) == {"a": 1, "b": 2}


def test_every_base_says_the_same_of_itself_in_both_names() -> None:
    assert lookup("mmdetection", [YOLOF]) == lookup(
        "mmdetection", ["/mmdetection/configs/yolof/yolof_r50-c5_8xb8-1x_coco.py"]
    )
    parts = ["models/faster_rcnn_r50_fpn", "datasets/coco_detection", "schedules/schedule_1x", "default_runtime"]
    together = lookup("mmdetection", [f"/mmdetection/configs/_base_/{part}.py" for part in parts])
    assert together == lookup("mmdetection", ["/mmdetection/configs/faster_rcnn/faster_rcnn_r50_fpn_1x_coco.py"])
    for name, base in bases_of("mmsegmentation").items():
        head, body = base["model"]["decode_head"], base["model"]["backbone"]
        assert head["channels"] == DECODER_WIDTHS[body["arch"]], name


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\nb = (2", "line 2, column 5: '(' was never closed"),
        ("if 1:\n\ta = 1\n        b = 2", "line 3, column"),
        ("a = 1\nb = '\0'", "line 2: a NUL character"),
        ("a = 1\nb = é1 2", "line 2, column"),
    ],
)
def test_bad_H13_what_is_no_python_names_line_and_column(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = 1\n\nimport os; os.system('touch canary')", "line 3: import is not available in restricted templates"),
        ("from os import system", "line 1: import is not available"),
        ("import copy as c", "line 1: import is not available"),
        (
            "from mmengine.config import read_base",
            "line 1: read_base() is not available in restricted templates; name "
            "what you build upon in its place, as _base_ = '/mmdetection/configs/",
        ),
        ("__import__('os').system('touch canary')", "line 1: __import__() is not available"),
        ("open('canary', 'w')", "line 1: open() is not available"),
        ("eval('1')", "line 1: eval() is not available"),
        ("exec('1')", "line 1: exec() is not available"),
        ("getattr(1, 'real')", "line 1: getattr() is not available"),
        ("breakpoint()", "line 1: breakpoint() is not available"),
        ("a = ().__class__.__bases__", "line 1: attribute access is not available"),
        ("a = 1\nb = f'{a.__class__}'", "line 2: an f-string may hold plain names only"),
        ("a = 1\nb = f'{a!r:>{a}}'", "line 2: an f-string may hold plain names only"),
        ("b = '{0.__class__}'.format(1)", "line 1: .format() of a str is not available"),
        ("b = '%(x)s' % dict(x=1)", "line 1: % of a text is not available"),
        ("@property\ndef f():\n    pass", "def is not available"),
        ("a = lambda: 1", "line 1: lambda is not available"),
        ("(a := 1)", "line 1: := is not available"),
        ("class A:\n    pass", "line 1: class is not available"),
        ("a = __builtins__", "line 1: the name __builtins__ is not set"),
        ("__builtins__ = 1", "line 1: the name __builtins__ cannot be set"),
        ("a = [].sort()", "line 1: .sort() of a list is not available"),
        ("try:\n    a = 1\nexcept Exception:\n    pass", "line 1: try is not available"),
        ("with open('x') as f:\n    pass", "line 1: with is not available"),
        ("a = {1, 2}", "line 1: a set is not available"),
        ("a = b'x'", "line 1: a bytes is not available"),
        ("a = 1 | 2", "line 1: BitOr is not available"),
        ("a = nothing", "line 1: the name nothing is not set"),
        ("a = 1 / 0", "line 1: ZeroDivisionError"),
        ("a = dict(x=1)\nb = a['y']", "line 2: KeyError"),
    ],
)
def test_bad_H14_code_is_refused_by_its_line(
    text: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refusal(text)
    assert list(tmp_path.iterdir()) == []  # no canary


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("while True:\n    pass", "line 1: while is not available"),
        ("a = 9**9**9", "line 1: a power above 64"),
        ("a = 10**30", "line 1: a whole number beyond 2**63"),
        ("a = [0] * 10**12", f"line 1: it takes more than {MOST_STEPS} steps"),
        ("a = 'x' * 10**10", "line 1: a text of 10000000000 characters"),
        ("a = 'x'\nfor i in range(40):\n    a += a", "line 3: a text of"),
        ("for i in range(10**12):\n    pass", f"line 1: it takes more than {MOST_STEPS} steps"),
        ("a = [[j for j in range(999)] for i in range(999)]", f"it takes more than {MOST_STEPS} steps"),
        ("a = [1]\nfor i in range(40):\n    a = a + a", f"line 3: it takes more than {MOST_STEPS} steps"),
        ("a = [1]\nfor i in range(40):\n    a = [a, a]", f"all in all it says more than {MOST_STEPS} values"),
        ("a = []\na.append(a)", "nested too deeply"),
        ("a = []\nfor i in range(900):\n    a = [a]", "nested too deeply"),
        ("a = []\na.append(a)\nb = a == a.copy() * 1", "nested too deeply"),
        ("a = " + "(" * 10_000 + ")" * 10_000, "too many nested parentheses"),
        ("a = " + "-" * 10_000 + "1", "nested too deeply"),
        ("a = " + "1+" * 20_000 + "1", "nested too deeply"),
        ("a = " + "9" * 5000, "line 1"),
        ("a = int('9' * 5000)", "line 1: ValueError, a text of 5000 characters is no whole number"),
        ("a = round(5, -10**9)\nb = [1] * -5\nc = 2**0.5 + (-8)**0.5", "line 3: a complex number"),
    ],
)
def test_bad_H15_what_has_no_end_is_refused_soon(text: str, words: str) -> None:
    assert words in refusal(text)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("'/etc/passwd'", "_base_ is '/etc/passwd'; give one that Luthier has, as /mmdetection/configs/"),
        ("'../../yolof.py'", "_base_ is '../../yolof.py'"),
        ("'http://example.com/x.py'", "_base_ is 'http://example.com/x.py'"),
        ("'/mmdetection/configs/yolof/yolof_r50.py'", f"as {YOLOF}"),
        ("'/mmclassification/configs/resnet/resnet50_8xb32_in1k.py'", "give one that Luthier has"),
        ("[]", "line 1: _base_ is not the name of a configuration, or a list of names"),
        ("3", "line 1: _base_ is not the name of a configuration, or a list of names"),
        (f"['{YOLOF}', '/mmdetection/configs/ssd/ssd300_coco.py']", "_base_: data, load_from"),
    ],
)
def test_bad_H16_only_bundled_bases(base: str, words: str) -> None:
    assert words in refusal(f"_base_ = {base}")


def test_bad_H16_what_a_base_does_not_say() -> None:
    assert "line 2: _base_ has no model.nothing" in refusal(f"_base_ = '{YOLOF}'\na = _base_.model.nothing.more")
    assert "stand both in" in refusal(
        "_base_ = ['/mmdetection/configs/_base_/schedules/schedule_1x.py', "
        "'/mmdetection/configs/_base_/schedules/schedule_2x.py']"
    )


def test_bad_H17_no_variables_of_the_environment() -> None:
    assert "line 2: variables of the environment are not available" in refusal("a = 1\nb = '{{$HOME:x}}'")
    assert "line 1: a set is not available" in refusal("a = {{ nonsense }}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a = {(): 1}", "a key of a dict is a tuple; give a text"),
        ("a = [{(1, 2): 3}]", "a key of a dict is a tuple; give a text"),
        ("a, (b, c) = 1, [2]", "line 1: 2 names are set to 1 values; give as many"),
        ("del a", "line 1: the name a is not set"),
    ],
)
def test_faults_are_told_in_the_configurations_words(text: str, words: str) -> None:
    assert words in refusal(text)


# -- the process that reads --------------------------------------------------------------------------------------------


def test_reading_goes_through_a_process_of_its_own() -> None:
    own = read(f"_base_ = '{YOLOF}'\noptimizer = dict(lr=0.5)\nleft = 1", "mmdetection")
    assert own.config["optimizer"]["lr"] == 0.5 and own.base["optimizer"]["lr"] == 0.015
    assert own.given == {"optimizer", "left"} and own.unread == {"optimizer", "left"}
    assert own.config["train_pipeline"] == own.base["train_pipeline"]


def test_a_busy_machine_is_no_fault_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.catalog.own_config.read.LONGEST_WAIT", 0.0001)
    with pytest.raises(TryAgain, match=r"not read within .* try again when this machine"):
        read(f"_base_ = '{YOLOF}'", "mmdetection")


def test_few_processes_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = [0], [0]

    def slow(*_: Any, **__: Any) -> Any:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        running[0] -= 1
        return SimpleNamespace(stdout='{"error": "read"}', stderr=b"", returncode=0)

    monkeypatch.setattr("luthier.catalog.own_config.read.subprocess.run", slow)
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(read, f"a = {place}", "mmdetection") for place in range(8)]:
            assert isinstance(done.exception(), InvalidTrainingParams)
    assert most == [2]


def test_a_fault_of_the_reader_is_no_fault_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.catalog.own_config.read.PROGRAM", "import nothing_such")
    with pytest.raises(RuntimeError, match="No module named 'nothing_such'"):
        read(f"_base_ = '{YOLOF}'", "mmdetection")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "train_info.params.custom_config has no _base_; give the name of a configuration to build upon"),
        ("import os", "train_info.params.custom_config: line 1: import is not available in restricted templates"),
        (
            f"_base_ = '{YOLOF}'\na = [1]\nfor i in range(40):\n    a = [a, a]\nb = copy.deepcopy(a) == a",
            "more than 1 s or 512 MiB",
        ),
        ("a = " + "1+" * 60_000 + "1", "nested too deeply"),
        ("a = dict()\nb = a['" + "ä" * 9999 + "']", "KeyError"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_the_field(text: str, words: str) -> None:
    with pytest.raises(InvalidTrainingParams) as caught:
        read(text, "mmdetection")
    assert words in caught.value.details and caught.value.code == 21118
    assert len(caught.value.details) < 600 and caught.value.details.removesuffix("…").isascii()
