"""The text-to-text templates: trained, judged, made to write, cut short and gone on with, from tiny language models."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from luthier.catalog.model_type import find_template, templates_of
from luthier.catalog.template import Template
from luthier.catalog.weights import assets, folder
from luthier.engine import adapter_export
from luthier.engine.checkpoint import MODEL, read_tensors
from luthier.engine.devices import choose
from luthier.engine.estimate import estimate
from luthier.engine.evaluate import evaluate, load_served
from luthier.engine.journal import Journal
from luthier.engine.predict import Predictor
from luthier.engine.process import StopRequest
from luthier.engine.recipe import Batch, recipe_for
from luthier.engine.recipes.text_generation import TextGeneration
from luthier.errors import InvalidTrainingParams
from luthier.runs.events import Started
from luthier.runs.manifest import Example, Message
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import events_of, failed, finished, hashes_of_weights, spec_of, stop_here, train_here
from tests.recipes.tiny_writers import TURN, tiny_decoder, tiny_encoder_decoder

CITIES = ("Oslo", "Lima", "Kyoto", "Accra", "Porto", "Minsk")
SENTENCES = ("{} is lovely in spring.", "We went to {} by train.", "My aunt lives in {}.", "Is {} far from here?",
             "The museum of {} is closed.", "{} has two rivers.")  # fmt: skip
WEIGHTS = "tiny/writer"


def question(city: str, sentence: str) -> str:
    return sentence.format(city)


def answer(city: str) -> str:
    return json.dumps({"city": city})


def chat(city: str, sentence: str) -> tuple[Message, ...]:
    return Message("user", question(city, sentence)), Message("assistant", answer(city))


def examples(form: str = "messages") -> list[Example]:
    """Every city in every sentence; a sixth of the pairs is for testing."""
    rows = []
    for place, city in enumerate(CITIES):
        for number, sentence in enumerate(SENTENCES):
            split = "test" if (place + number) % 6 == 0 else "train"
            content: dict[str, Any] = {
                "messages": {"messages": chat(city, sentence)},
                "sections": {"text": f"### Human: {question(city, sentence)}### Assistant: {answer(city)}"},
                "completion": {
                    "messages": (
                        Message("prompt", question(city, sentence) + "\n"),
                        Message("completion", answer(city)),
                    )
                },
            }[form]
            rows.append(Example(f"{city}-{number}", f"{len(rows):064x}", split, **content))
    return rows


TEXTS = [*(question(city, one) for city in CITIES for one in SENTENCES), *map(answer, CITIES)]


def weights_of(root: Path, kind: str = "llama", *, chats: bool = False) -> Path:
    """A weights folder that holds one tiny model under WEIGHTS."""
    place = folder(root, WEIGHTS)
    if kind == "t5":
        tiny_encoder_decoder(place, TEXTS)
    else:
        tiny_decoder(place, TEXTS, kind, chats=chats)
    return root


LEARNS = {"epochs": 24, "learning_rate": 5e-3, "batch_size": 6, "warmup_steps": 10, "clip_gradient_norm": 1.0}


def small_spec(root: Path, name: str = "run", template: str = "HuggingFace_AdvancedConfig", **plan: Any) -> RunSpec:
    overlay = {"batch_size": 4, "epochs": 2, "learning_rate": 1e-3, "max_tokens": 96, **plan}
    spec = spec_of(name, template, concepts=(), plan=overlay, model_type="text-to-text", weights_folder=str(root))
    return replace(spec, weights=WEIGHTS)


def made(path: Path, spec: RunSpec, rows: Sequence[Example]) -> RunFolder:
    return prepare(path, spec, rows, assets(Path(spec.weights_folder), spec.weights))


def asked(run: RunFolder, *texts: str, **options: Any) -> list[str]:
    answers = Predictor(run, run.checkpoints / "best").answer("text", [text.encode() for text in texts], options)
    return [one["text"] for one in answers]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A tiny decoder with a chat template, that has learnt to answer with JSON."""
    root = weights_of(tmp_path_factory.mktemp("weights"), chats=True)
    run = made(tmp_path_factory.mktemp("run") / "run", small_spec(root, judge_answers=True, **LEARNS), examples())
    untrained = made(
        run.path.with_name("before"), small_spec(root, judge_answers=True, epochs=1, learning_rate=0.0), examples()
    )
    assert finished(train_here(untrained)).metrics["exact_match"] < 0.1
    assert finished(train_here(run)).metrics["exact_match"] > 0.9
    return run


def test_a_format_is_learnt_and_needs_nothing_but_the_run_folder(trained: RunFolder, tmp_path: Path) -> None:
    metrics = trained.report()["metrics"]["test"]
    assert metrics["perplexity"] < 1.3 and metrics["rouge_l"] > 0.9 and metrics["chrf"] > 0.9
    trained.spec_file.write_text(replace(trained.spec(), weights_folder="/nowhere").to_json(), encoding="utf-8")
    plain, conversation = asked(
        trained,
        "Oslo is lovely in spring.",
        json.dumps({"messages": [{"role": "user", "content": "Is Lima far from here?"}]}),
    )
    assert json.loads(plain) == {"city": "Oslo"} and json.loads(conversation) == {"city": "Lima"}


def test_what_a_caller_may_choose(trained: RunFolder) -> None:
    text = "My aunt lives in Kyoto."
    (short,) = Predictor(trained, trained.checkpoints / "best").answer("text", [text.encode()], {"max_tokens": 2})
    assert (short["tokens"], short["finish"]) == (2, "length")
    assert asked(trained, text, stop=["Kyo"])[0].endswith('"')
    hot = {"temperature": 2.0, "max_tokens": 20}
    drawn = [asked(trained, text, seed=seed, **hot)[0] for seed in (1, 1, 2, 3)]
    assert drawn[0] == drawn[1] and len(set(drawn)) > 1
    assert asked(trained, text, top_k=1, **hot) == asked(trained, text, top_p=1e-9, **hot) == asked(trained, text)
    alone, beside = asked(trained, text)[0], asked(trained, "The museum of Accra is closed.", text)[1]
    assert alone == beside  # whoever else is asked


def test_a_bad_prompt_gets_its_own_error(trained: RunFolder) -> None:
    predictor = Predictor(trained, trained.checkpoints / "best")
    empty, latin, good = predictor.answer("text", [b"  ", b"caf\xe9", b"Is Porto far from here?"])
    assert "the text is empty" in empty["details"] and "byte 0xe9 at 3" in latin["details"]
    assert json.loads(good["text"]) == {"city": "Porto"}


@pytest.mark.parametrize("form", ["sections", "completion"])
def test_other_forms_of_data(tmp_path: Path, form: str) -> None:
    root = weights_of(tmp_path / "weights")
    run = made(tmp_path / "run", small_spec(root, **LEARNS), examples(form))
    finished(train_here(run))
    prompt = "My aunt lives in Minsk." + ("\n" if form == "completion" else "")
    assert json.loads(asked(run, prompt)[0]) == {"city": "Minsk"}


@pytest.mark.parametrize("template", templates_of("text-to-text"), ids=lambda one: one.id)
def test_every_template_takes_steps_is_judged_and_writes(tmp_path: Path, template: Template) -> None:
    kind = template.backbone.removeprefix("transformers/")
    root = weights_of(tmp_path / "weights", "opt" if kind == "any" else kind)
    run = made(tmp_path / "run", small_spec(root, template=template.id, epochs=1, batch_size=16), examples())
    event = finished(train_here(run))
    assert event.step == 2 and 1 < event.metrics["perplexity"] < float("inf")
    assert evaluate(run, run.checkpoints / "best", run.manifest_file)["examples"] == len(examples())
    (answer,) = Predictor(run, run.checkpoints / "best").answer("text", [b"Oslo"], {"max_tokens": 3})
    assert answer["tokens"] <= 3 and answer["finish"] in ("end", "length")


def test_an_encoder_decoder_learns_sixteen_texts_by_heart(tmp_path: Path) -> None:
    root = weights_of(tmp_path / "weights", "t5")
    rows = [replace(row, split="train") for row in examples()[:16]]
    learns = {**LEARNS, "epochs": 80, "learning_rate": 1e-2, "batch_size": 16}
    run = made(tmp_path / "run", small_spec(root, judge_answers=True, **learns), rows)
    finished(train_here(run))
    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["metrics"]["exact_match"] >= 0.95


def test_gpt_neo_learns_sixteen_texts_by_heart_by_lora(tmp_path: Path) -> None:
    root = weights_of(tmp_path / "weights", "gpt_neo")
    rows = [replace(row, split="train") for row in examples()[:16]]
    template = find_template("text-to-text", "HF_GPTNeo_125m_lora")
    lora = {"peft_type": "LORA", "r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear"}
    adapter = template.plan_for(template.checked({"peft_config": lora})).adapter
    learns = {**LEARNS, "epochs": 60, "batch_size": 16, "schedule": "constant", "adapter": adapter}
    run = made(tmp_path / "run", small_spec(root, template=template.id, judge_answers=True, **learns), rows)
    finished(train_here(run))
    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["metrics"]["exact_match"] >= 0.95 and judged["metrics"]["perplexity"] < 1.1


def test_packed_and_padded_batches_have_the_same_loss(tmp_path: Path) -> None:
    root = weights_of(tmp_path / "weights", "gpt_neo")
    losses = []
    for packing in (True, False):
        spec = small_spec(root, f"packing-{packing}", packing=packing)
        recipe = recipe_for(made(tmp_path / spec.run, spec, examples()).spec())
        torch.manual_seed(1)
        network = recipe.build(pretrained=True).eval()
        batch = recipe.collate([recipe.encode(_bytes(row), row) for row in examples()])
        assert (len(batch["tokens"]) < len(examples())) == packing
        losses.append(recipe.loss(network, batch).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def _bytes(row: Example) -> bytes:
    return json.dumps({"messages": [{"role": one.role, "content": one.content} for one in row.messages]}).encode()


def test_a_batch_computed_in_parts_has_the_same_loss(tmp_path: Path) -> None:
    root = weights_of(tmp_path / "weights")
    recipe = recipe_for(made(tmp_path / "run", small_spec(root, row_tokens=64), examples()).spec())
    network = recipe.build(pretrained=True).eval()
    batch = recipe.collate([recipe.encode(_bytes(row), row) for row in examples()])
    rows = len(batch["tokens"])
    assert rows > 3
    parts = [{name: tensor[start : start + 2] for name, tensor in batch.items()} for start in range(0, rows, 2)]
    total = sum(recipe.loss(network, part).item() * len(part["tokens"]) / rows for part in parts)
    assert total == pytest.approx(recipe.loss(network, batch).item(), rel=1e-5)


def test_small_batches_of_unequal_answers_are_as_good_as_a_large_one(tmp_path: Path) -> None:
    root = weights_of(tmp_path / "weights")
    rows = [
        Example(f"{n}", f"{n:064x}", "train", messages=(Message("user", "Oslo?"), Message("assistant", "Lima " * n)))
        for n in (1, 2, 3, 4, 10, 15, 20, 30)
    ]
    learns = {"epochs": 2, "optimizer": "sgd", "learning_rate": 0.5, "warmup_steps": 0, "clip_gradient_norm": 0.0}
    learnt = []
    for size, accumulate in ((8, 1), (2, 4)):
        spec = small_spec(root, f"by-{size}", batch_size=size, accumulate=accumulate, **learns)
        run = made(tmp_path / spec.run, spec, rows)
        assert finished(train_here(run)).step == 2
        tensors = read_tensors(run.checkpoints / "last" / MODEL)
        learnt.append(torch.cat([one.flatten().double() for one in tensors.values()]))
    assert torch.allclose(*learnt, atol=1e-5)


def test_half_a_packed_batch_is_half_of_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, seen = TextGeneration.loss, []

    def loss(self: TextGeneration, network: Any, batch: Batch) -> torch.Tensor:
        seen.append(len(batch["tokens"]))
        if len(seen) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return honest(self, network, batch)

    monkeypatch.setattr(TextGeneration, "loss", loss)
    spec = small_spec(weights_of(tmp_path / "weights"), epochs=1, batch_size=16, row_tokens=96)
    run = made(tmp_path / "run", spec, [replace(row, split="train") for row in examples()[:16]])
    finished(train_here(run))
    assert 1 < seen[0] < 16 and max(seen[1:]) <= (seen[0] + 1) // 2
    assert run.log_file.read_text(encoding="utf-8").count("Out of memory at step 1") == 1


def test_a_single_row_that_does_not_fit_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_of = []

    def loss(self: TextGeneration, network: Any, batch: Batch) -> torch.Tensor:
        rows_of.append(len(batch["tokens"]))
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(TextGeneration, "loss", loss)
    root = weights_of(tmp_path / "weights")
    spec = small_spec(root, epochs=1, batch_size=16, row_tokens=96)
    event = failed(train_here(made(tmp_path / "run", spec, examples())))
    assert rows_of[-2:] == [2, 1]  # one row is tried once
    assert "even with a single row, which holds several texts, at once, after" in event.details
    assert event.details.endswith(
        "Set packing to false, or give a smaller tokenizer_config.model_max_length, or set "
        "trainer_config.gradient_checkpointing"
    )
    alone = small_spec(root, "alone", "luthier_qwen_lora", epochs=1, packing=False, gradient_checkpointing=True)
    event = failed(train_here(made(tmp_path / "alone", alone, examples())))
    assert "even with 1 example at once" in event.details
    assert event.details.endswith("Give a smaller max_tokens")


def test_what_a_step_costs_is_measured_without_weights(tmp_path: Path) -> None:
    spec = small_spec(weights_of(tmp_path / "weights"), template="HF_Mistral_7b_lora", epochs=1)
    beside = assets(tmp_path / "weights", WEIGHTS)
    run = prepare(tmp_path / "run", replace(spec, weights="", estimate_only=True), [], beside)
    estimate(run, Journal(run, echo=False), StopRequest(Journal(run, echo=False)), time.monotonic())
    assert 0 < run.report()["seconds_per_step"] < 5 and run.report()["seconds_per_validation_item"] > 0


def _logits(network: Any, batch: Batch) -> torch.Tensor:
    logits: torch.Tensor = network.model(input_ids=batch["tokens"]).logits
    return logits[:, -batch["tokens"].shape[1] :]


def test_goes_on_where_it_was_cut_with_the_same_bytes(tmp_path: Path) -> None:
    spec = small_spec(weights_of(tmp_path / "weights"))
    whole, cut = (made(tmp_path / name, spec, examples()) for name in ("whole", "cut"))
    finished(train_here(whole))
    assert stop_here(cut) == 1
    finished(train_here(cut))
    assert [event.step for event in events_of(cut) if isinstance(event, Started)] == [0, 1]
    assert hashes_of_weights(cut) == hashes_of_weights(whole)


@pytest.mark.parametrize("form", ["own", "sections"])
def test_what_is_exported_has_the_chat_template_of_the_training(tmp_path: Path, form: str) -> None:
    """Also where the tokenizer puts a token first, and where config.json alone says what ends a text."""
    root = weights_of(tmp_path / "weights", chats=True)
    if form == "sections":
        tokenizer = Tokenizer.from_file(str(root / WEIGHTS / "tokenizer.json"))
        tokenizer.post_processor = TemplateProcessing(single=f"{TURN} $A", special_tokens=[(TURN, 2)])
        tokenizer.save(str(root / WEIGHTS / "tokenizer.json"))
        (root / WEIGHTS / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ 1 / 0 }}"}))
    run = made(tmp_path / "run", small_spec(root, epochs=1, batch_size=16, chat_template=form), examples())
    finished(train_here(run))
    adapter_export.export(run, run.checkpoints / "best", tmp_path / "out", merged=True)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")
    turns = [("system", "Be brief."), ("user", "Is Lima far?"), ("assistant", "Yes."), ("user", "Is Oslo?")]
    rows = [{"role": role, "content": content} for role, content in turns]
    ours: Any = recipe_for(run.spec())
    prompt = ours.wording.prompt(json.dumps({"messages": rows}), chat=True)
    assert theirs.apply_chat_template(rows, add_generation_prompt=True, return_dict=False) == prompt
    assert (prompt[0] == 2) and (theirs.eos_token_id in prompt)


def test_goes_on_from_a_trained_model(trained: RunFolder, tmp_path: Path) -> None:
    root = weights_of(tmp_path / "weights", chats=True)
    spec = replace(small_spec(root, epochs=1, learning_rate=1e-6), resume_from=str(trained.checkpoints / "best"))
    more = made(tmp_path / "more", spec, examples())
    finished(train_here(more))
    assert json.loads(asked(more, "We went to Accra by train.")[0]) == {"city": "Accra"}


def test_a_text_without_an_answer_is_skipped_and_told(tmp_path: Path) -> None:
    rows = [*examples(), Example("mute", "1" * 64, "train", messages=(Message("user", "Anyone?"),))]
    run = made(tmp_path / "run", small_spec(weights_of(tmp_path / "weights"), epochs=1), rows)
    finished(train_here(run))
    assert "mute: Input bytes cannot be read: there is no answer to learn from" in run.log_file.read_text(
        encoding="utf-8"
    )


def test_only_answers_are_learnt(tmp_path: Path) -> None:
    recipe = recipe_for(made(tmp_path / "run", small_spec(weights_of(tmp_path / "weights", chats=True)), []).spec())
    turns = [("system", "Be brief."), ("user", "One?"), ("assistant", "Yes."), ("user", "Two?"), ("assistant", "No.")]
    text = json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]})
    worded = recipe.wording.example(text)  # type: ignore[attr-defined]
    learned = recipe.wording.text(worded.tokens[worded.learned].tolist())  # type: ignore[attr-defined]
    assert learned == "Yes.No."
    assert worded.tokens[-1] in recipe.wording.ends and worded.learned[-1]  # type: ignore[attr-defined]


def test_a_network_that_mixes_texts_in_a_row_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(tmp_path / "run", small_spec(weights_of(tmp_path / "weights")), [])
    recipe = recipe_for(run.spec())
    monkeypatch.setattr(
        "luthier.engine.generation.decoder.Decoder._arguments", lambda network, batch: {"input_ids": batch["tokens"]}
    )
    with pytest.raises(InvalidTrainingParams, match="would see each other; set packing to false"):
        recipe.build(pretrained=True)


@pytest.mark.parametrize("kind", ["LORA", "IA3", "PROMPT_TUNING", "PREFIX_TUNING"])
def test_adapters_alone_learn_and_are_gone_on_from(tmp_path: Path, kind: str) -> None:
    root = weights_of(tmp_path / "weights")
    template = find_template("text-to-text", "HF_Mistral_7b_lora")
    values = template.checked({"peft_config": {"peft_type": kind}})
    plan = {"adapter": template.plan_for(values).adapter, "packing": template.plan_for(values).packing}
    spec = small_spec(root, template=template.id, epochs=2, batch_size=16, **plan)
    run = made(tmp_path / "run", spec, examples())
    finished(train_here(run))
    base, learnt = (
        load_file(file) for file in (root / WEIGHTS / "model.safetensors", run.checkpoints / "best" / MODEL)
    )
    assert sum(one.numel() for one in learnt.values()) < sum(one.numel() for one in base.values()) / 4
    adapter_export.export(run, run.checkpoints / "best", tmp_path / "adapter", merged=False)
    plain = AutoModelForCausalLM.from_pretrained(root / WEIGHTS)
    theirs = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()
    recipe, ours = load_served(run.spec(), run.checkpoints / "best", choose("cpu", 1))
    batch = recipe.collate([recipe.encode(_bytes(row), row) for row in examples()[:1]])
    with torch.inference_mode():
        logits = theirs(input_ids=batch["tokens"]).logits[:, -batch["tokens"].shape[1] :]
        assert torch.allclose(logits, _logits(ours, batch), atol=1e-5)
    again = replace(spec, run="more", resume_from=str(run.checkpoints / "best"))
    more = made(tmp_path / "more", again, examples())
    finished(train_here(more))
    losses = [one.report()["metrics"]["test"]["loss"] for one in (run, more)]
    assert losses[1] <= losses[0] + 0.05
    assert asked(more, "Oslo is lovely in spring.", "Lima", max_tokens=3)
