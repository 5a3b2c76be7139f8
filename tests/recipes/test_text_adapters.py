"""Text classifiers on tiny models of every family; adapters of every kind, which plain peft and transformers read."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import safetensors.torch
import torch
import transformers

from luthier.catalog import weights
from luthier.catalog.model_type import find_template, templates_of
from luthier.engine import adapter_export, language_models
from luthier.engine.adapters import LearnsBeside
from luthier.engine.checkpoint import read_tensors
from luthier.engine.evaluate import evaluate
from luthier.engine.predict import Predictor
from luthier.engine.recipe import recipe_for
from luthier.errors import CorruptFile, InvalidTrainingParams
from luthier.runs.manifest import Example
from luthier.runs.prepare import prepare
from luthier.runs.run import RunFolder, RunSpec
from tests.engine.runs import failed, finished, spec_of, train_here
from tests.recipes.test_text_classifiers import CONCEPTS, SUBJECTS, examples
from tests.recipes.tiny_language_models import tiny_model

FAMILIES = {"transformers/auto": "bert"}
TEXTS = [text for texts in SUBJECTS.values() for text in texts]
ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "lora_dropout": 0.0},
    "dora": {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "use_dora": True},
    "ia3": {"peft_type": "IA3"},
    "prompt": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4},
    "prefix": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4},
}
LEARNS = {"epochs": 20, "learning_rate": 1e-2, "backbone_multiplier": 1.0, "schedule": "constant", "dropout": 0.0}
GPT_NEO, LLAMA, ANY_MODEL = "HF_GPTNeo_125m_lora", "HF_Llama_2_7b_chat_GPTQ_lora", "HuggingFace_AdvancedConfig"


@pytest.fixture(scope="module")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of its family under the name of each template's base."""
    root = tmp_path_factory.mktemp("weights")
    for template in templates_of("text-classifier"):
        place = weights.folder(root, template.weights(template.defaults()))
        if not place.exists():
            family = template.backbone.removeprefix("transformers/")
            tiny_model(place, TEXTS, FAMILIES.get(template.backbone, family))
    return root


def spec_for(weights_dir: Path, template: str, given: dict[str, Any] | None = None, **plan: Any) -> RunSpec:
    exclusive = {"mutually_exclusive": True}  # the documented templates default to a sigmoid each
    overlay = {"batch_size": 5, "warmup_steps": 0, **exclusive, **plan}
    return spec_of(
        "run",
        template,
        given=given,
        concepts=tuple(CONCEPTS),
        plan=overlay,
        model_type="text-classifier",
        weights_folder=str(weights_dir),
    )


def made(path: Path, spec: RunSpec, rows: list[Example]) -> RunFolder:
    return prepare(path, spec, rows, weights.assets(Path(spec.weights_folder), spec.weights))


def trained(path: Path, spec: RunSpec, rows: list[Example] | None = None) -> RunFolder:
    run = made(path, spec, rows or examples())
    finished(train_here(run))
    return run


def logits_by(run: RunFolder, texts: list[str]) -> np.ndarray[Any, Any]:
    recipe = recipe_for(run.spec())
    predictor = Predictor(run, run.checkpoints / "best")
    rows = [recipe.encode(text.encode(), Example("", "", "")) for text in texts]
    batch = recipe.collate(rows)
    with torch.inference_mode():
        return predictor.network(batch["tokens"], batch["mask"]).numpy()


@pytest.mark.parametrize("name", [GPT_NEO, LLAMA, "HF_Mistral_7b_instruct_GPTQ_lora", ANY_MODEL, "luthier_modernbert"])
def test_every_family_learns_sixteen_texts_by_heart(weights_dir: Path, tmp_path: Path, name: str) -> None:
    """The documented ones by LoRA, as their templates have it."""
    rows = [*examples(), Example("sixteenth", "", "train", {"games": 1}, text="chess for children")]
    run = trained(tmp_path / "run", spec_for(weights_dir, name, **LEARNS), rows)
    assert (run.spec().plan["adapter"].get("peft_type") == "LORA") == (name not in (ANY_MODEL, "luthier_modernbert"))
    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["examples"] == 16 and judged["metrics"]["accuracy"] >= 0.95
    (answer,) = Predictor(run, run.checkpoints / "best").answer("text", [b"plays music files"])
    assert CONCEPTS[int(np.argmax(answer["values"]))] == "sound"


# -- adapters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_learns_and_plain_peft_reads_it(weights_dir: Path, tmp_path: Path, kind: str) -> None:
    spec = spec_for(weights_dir, GPT_NEO, {"peft_config": ADAPTERS[kind]}, **LEARNS)
    run = trained(tmp_path / "run", spec)
    base = weights.folder(weights_dir, spec.weights)
    kept = read_tensors(run.checkpoints / "best" / "model.safetensors")
    assert sum(one.numel() for one in kept.values()) < 0.5 * sum(
        one.numel() for one in safetensors.torch.load_file(base / "model.safetensors").values()
    )
    assert not [name for name in kept if name.endswith("wte.weight")]
    judged = evaluate(run, run.checkpoints / "best", run.manifest_file)
    assert judged["metrics"]["accuracy"] >= (0.95 if kind in ("lora", "dora") else 0.6)

    out = tmp_path / "adapter"
    adapter_export.export(run, run.checkpoints / "best", out, merged=False)
    assert {file.suffix for file in out.iterdir()} <= {".json", ".safetensors"}
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=3, pad_token_id=0)
    model = peft.PeftModel.from_pretrained(plain, out).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    text = "plays music files"
    with torch.inference_mode():
        theirs = model(**{k: v for k, v in tokenizer(text, return_tensors="pt").items() if k != "token_type_ids"})
    assert np.allclose(theirs.logits.numpy(), logits_by(run, [text]), atol=1e-5)
    assert json.loads((out / "concepts.json").read_text(encoding="utf-8")) == [f"name of {c}" for c in CONCEPTS]


def test_merged_it_is_a_model_like_any_other(weights_dir: Path, tmp_path: Path) -> None:
    spec = replace(spec_for(weights_dir, GPT_NEO, **LEARNS), text_preparation={"lower_case": True})
    run = trained(tmp_path / "run", spec)
    adapter_export.export(run, run.checkpoints / "best", tmp_path / "merged", merged=True)
    assert json.loads((tmp_path / "merged" / "text_preparation.json").read_text()) == {"lower_case": True}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "merged")
    texts = ["plays music files", "chess for two"]
    for text, ours in zip(texts, logits_by(run, texts), strict=True):
        with torch.inference_mode():
            theirs = model(tokenizer(text, return_tensors="pt")["input_ids"]).logits
        assert np.allclose(theirs.numpy()[0], ours, atol=1e-5)
    assert model.config.id2label[0] == f"name of {CONCEPTS[0]}"


def test_an_encoder_s_adapter_comes_with_its_head_beside_it(weights_dir: Path, tmp_path: Path) -> None:
    given = {"peft_config": ADAPTERS["lora"] | {"target_modules": ["query", "value", "dense"]}}
    spec = spec_for(weights_dir, "luthier_minilm", given, **LEARNS)
    run = trained(tmp_path / "run", spec)
    out = tmp_path / "adapter"
    adapter_export.export(run, run.checkpoints / "best", out, merged=False)
    base = transformers.AutoModel.from_pretrained(weights.folder(weights_dir, spec.weights))
    model = peft.PeftModel.from_pretrained(base, out).eval()
    head = safetensors.torch.load_file(out / "head.safetensors")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(out / "tokenizer.json"))
    ids = tokenizer("plays music files", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        theirs = model(ids).last_hidden_state.mean(1) @ head["weight"].T + head["bias"]
    assert np.allclose(theirs.numpy(), logits_by(run, ["plays music files"]), atol=1e-5)


def test_soft_prompts_cannot_be_merged(weights_dir: Path, tmp_path: Path) -> None:
    spec = spec_for(weights_dir, GPT_NEO, {"peft_config": ADAPTERS["prompt"]}, epochs=1)
    run = trained(tmp_path / "run", spec)
    with pytest.raises(InvalidTrainingParams, match="cannot be merged"):
        adapter_export.export(run, run.checkpoints / "best", tmp_path / "out", merged=True)
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_the_base_model_is_refused(weights_dir: Path, tmp_path: Path) -> None:
    for name, given, words in (
        (GPT_NEO, {"peft_type": "LORA", "target_modules": ["nothing"]}, "finds no place in the base model .gpt_neo"),
        ("luthier_minilm", {"peft_type": "PREFIX_TUNING"}, "the base model is an encoder .bert."),
        ("luthier_modernbert", {"peft_type": "IA3"}, "give target_modules that it has"),
    ):
        run = made(tmp_path / f"{name}-run", spec_for(weights_dir, name, {"peft_config": given}), examples())
        assert failed(train_here(run)).code == InvalidTrainingParams.code
        with pytest.raises(InvalidTrainingParams, match=words):
            recipe_for(run.spec()).build(pretrained=True)


def test_a_base_model_larger_than_the_memory_is_refused_before_it_is_read(
    weights_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_for(weights_dir, LLAMA)
    spec = replace(spec, assets_folder=str(weights.folder(weights_dir, spec.weights)))
    monkeypatch.setattr(language_models, "free_memory", lambda: 1000.0)
    with pytest.raises(InvalidTrainingParams, match=r"GiB in bfloat16, and 0\.0 GiB of memory are free here"):
        recipe_for(spec).build(pretrained=True)


def test_the_base_model_is_held_as_torch_dtype_says_and_the_adapter_in_float32(weights_dir: Path) -> None:
    given = {"model_config": {"torch_dtype": "torch.bfloat16"}}
    spec = spec_for(weights_dir, GPT_NEO, given)
    spec = replace(spec, assets_folder=str(weights.folder(weights_dir, spec.weights)))
    network = recipe_for(spec).build(pretrained=True)
    assert isinstance(network, LearnsBeside)
    found = {(parameter.requires_grad, parameter.dtype) for parameter in network.parameters()}
    assert found == {(True, torch.float32), (False, torch.bfloat16)}


def test_a_base_model_in_four_bits_learns_by_its_adapter(
    weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bitsandbytes computes on a processor too, slowly: enough to see what a GPU is asked for."""
    monkeypatch.setattr(language_models, "place_to_quantise", lambda device: "cpu")
    # where a processor multiplies bfloat16, it packs weights anew for predictions, which those of so few rows cannot be
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: False)
    given = {"model_config": {"torch_dtype": "torch.float32"}}
    run = made(tmp_path / "run", spec_for(weights_dir, LLAMA, given, epochs=2), examples())
    network = recipe_for(run.spec()).build(pretrained=True)
    kinds = {type(one).__name__ for name, one in network.named_modules() if name.endswith("q_proj.base_layer")}
    assert kinds == {"Linear4bit"}
    finished(train_here(run))
    Predictor(run, run.checkpoints / "best").answer("text", [b"plays music files"])


def test_nothing_is_quantised_where_no_gpu_is_asked_for_or_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert language_models.place_to_quantise("cpu") == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert language_models.place_to_quantise("auto") == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    places = [language_models.place_to_quantise(device) for device in ("auto", "cuda", "cuda:1", "cpu", "mps")]
    assert places == ["cuda:0", "cuda:0", "cuda:1", "", ""]


def test_bad_P8_an_adapter_is_not_laid_over_another_base_model(weights_dir: Path, tmp_path: Path) -> None:
    own = tmp_path / "weights"
    source = tiny_model(tmp_path / "source", TEXTS, "gpt_neo")
    name = find_template("text-classifier", GPT_NEO).weights({"model_config": {"pretrained_model_name": "mine/neo"}})
    weights.add(own, name, source)
    given = {"model_config": {"pretrained_model_name": name}}
    run = trained(tmp_path / "run", spec_for(own, GPT_NEO, given, epochs=1))
    Predictor(run, run.checkpoints / "best")
    model = source / "model.safetensors"
    tensors = {key: tensor + 1 for key, tensor in safetensors.torch.load_file(model).items()}
    safetensors.torch.save_file(tensors, model, {"format": "pt"})
    weights.add(own, name, source)
    with pytest.raises(CorruptFile, match="is not the base model that this adapter learns beside, which was mine/neo"):
        Predictor(run, run.checkpoints / "best")


def test_texts_are_cut_at_the_start_where_truncation_side_is_left(weights_dir: Path) -> None:
    given = {"tokenizer_config": {"truncation_side": "left", "model_max_length": 8}}
    spec = spec_for(weights_dir, GPT_NEO, given)
    spec = replace(spec, assets_folder=str(weights.folder(weights_dir, spec.weights)))
    recipe = recipe_for(spec)
    cut = recipe.encode(b"chess " * 20 + b"music", Example("", "", "train", {"sound": 1}))
    last = recipe.encode(b"music", Example("", "", "train", {"sound": 1}))["tokens"][-1]
    assert (len(cut["tokens"]), cut["tokens"][-1], int(cut["lost"][0])) == (8, last, 14)
