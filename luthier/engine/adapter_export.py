"""A trained adapter for use without Luthier, as plain peft and transformers read it; or merged into its base model.

`python -m luthier.engine.adapter_export RUN CHECKPOINT OUT [--merged]`. Next: `adapters`.

    adapter_config.json, adapter_model.safetensors     PeftModel.from_pretrained(base model, OUT)
    config.json, model.safetensors                     where merged: AutoModel….from_pretrained(OUT)
    head.safetensors                                   of an encoder: mean of last hidden states x weight + bias
    concepts.json                                      names of the logits, in order
    tokenizer.json, tokenizer_config.json              how texts become tokens
    chat_template.jinja                                of a generator: how conversations were written in training
    text_preparation.json                              what was done to texts before, where anything was
"""

import argparse
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import safetensors.torch

from luthier.engine import language_models
from luthier.engine.adapters import BETWEEN, ComesApart, Parts
from luthier.engine.devices import choose
from luthier.engine.evaluate import load_served
from luthier.engine.generation.wording import SETTINGS_FILE, TEMPLATE_FILE, Wording
from luthier.engine.recipes.text_generation import TextGeneration
from luthier.errors import InvalidRequest, InvalidTrainingParams, LuthierError
from luthier.runs.run import RunFolder

HEAD = "score"  # transformers' name of a decoder's linear head


def export(run: RunFolder, checkpoint: Path, out: Path, *, merged: bool) -> None:
    """Writes the files into `out`, a folder that is not there yet. Raises InvalidTrainingParams, CorruptFile."""
    spec = replace(run.spec(), device="cpu")  # where nothing is quantised: a merged model is to be whole
    recipe, network = load_served(spec, checkpoint, choose("cpu", spec.threads))
    if not isinstance(network, ComesApart):
        raise InvalidTrainingParams(f"a model of the template {spec.template} has no adapter and is no language model")
    parts = network.parts()
    if not merged and not hasattr(parts.model, "peft_config"):
        raise InvalidTrainingParams(f"{run.path} has learnt without an adapter: give --merged for the whole model")
    if parts.task == "SEQ_CLS":
        _require_linear(parts)
    names = [concept.name for concept in spec.concepts]
    whole = _whole(parts, names) if merged else None
    out.mkdir(parents=True)  # what is refused has been by now
    if whole is not None:
        whole.save_pretrained(out, safe_serialization=True)
    else:
        _adapter(parts, spec.weights, out)
    if parts.task == "FEATURE_EXTRACTION":
        safetensors.torch.save_file(parts.head, out / "head.safetensors")
    if names:
        _write_json(out / "concepts.json", names)
    if spec.text_preparation:
        _write_json(out / "text_preparation.json", spec.text_preparation)
    wording = recipe.wording if isinstance(recipe, TextGeneration) else None
    _copy_tokenizer(run.assets, out, wording)
    if wording is not None:
        (out / TEMPLATE_FILE).write_text(wording.whole_template(), encoding="utf-8")


def _write_json(file: Path, content: Any) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _copy_tokenizer(assets: Path, out: Path, wording: Wording | None) -> None:
    """Where the base model has no tokenizer_config.json, one says that tokenizer.json is all there is to know; a chat
    template finds there what ends a text.
    """
    shutil.copyfile(assets / language_models.TOKENIZER_FILE, out / language_models.TOKENIZER_FILE)
    file = assets / SETTINGS_FILE
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    if file.is_file():
        settings = json.loads(file.read_text(encoding="utf-8"))
    if wording is not None and not settings.get("eos_token"):
        settings["eos_token"] = wording.ending
    _write_json(out / SETTINGS_FILE, settings)


def _adapter(parts: Parts, base: str, out: Path) -> None:
    from peft import get_peft_model_state_dict

    model: Any = parts.model
    config = model.peft_config["default"]
    tensors = get_peft_model_state_dict(model, save_embedding_layers=False)
    if parts.task == "SEQ_CLS":
        wrapped = config.peft_type.value in BETWEEN
        tensors = {_inside(name, model, wrapped=wrapped): tensor for name, tensor in tensors.items()}
        place = "base_model.model." if wrapped else "base_model."
        tensors |= {f"{place}{HEAD}.{name}": tensor for name, tensor in parts.head.items()}
    config.base_model_name_or_path, config.task_type, config.inference_mode = base, parts.task, True
    config.save_pretrained(out)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    safetensors.torch.save_file(on_cpu, out / "adapter_model.safetensors", {"format": "pt"})


def _inside(name: str, model: Any, *, wrapped: bool) -> str:
    """The body's tensor under the name that it has within a model with a head."""
    return name.replace("base_model.model.", f"base_model.model.{_prefix(model)}.", 1) if wrapped else name


def _require_linear(parts: Parts) -> None:
    if set(parts.head) != {"weight"}:
        raise InvalidTrainingParams(
            "transformers' heads are linear: train with head_hidden_layers 0 to export the model"
        )


def _prefix(model: Any) -> str:
    prefix: str = _classifier(model.config).base_model_prefix
    return prefix


def _classifier(config: Any) -> Any:
    """transformers' class for a decoder with a linear head on the last token."""
    auto = language_models.quiet_transformers().AutoModelForSequenceClassification
    return auto._model_mapping[type(config)]


def _whole(parts: Parts, names: list[str]) -> Any:
    """A model of transformers' with what was learnt in it."""
    model: Any = parts.model
    if hasattr(model, "peft_config"):
        kind = model.peft_config["default"].peft_type.value
        if kind not in BETWEEN:
            raise InvalidTrainingParams(f"{kind} adds tokens to every text and cannot be merged into the base model")
        model = model.merge_and_unload()
    if parts.task != "SEQ_CLS":
        return model
    config = model.config
    config.num_labels = len(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    config.pad_token_id = 0 if config.pad_token_id is None else config.pad_token_id
    whole = _classifier(config)(config)
    setattr(whole, _prefix(model), model)
    getattr(whole, HEAD).load_state_dict(parts.head)
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description="Write a trained adapter for use without Luthier.")
    for name in ("run", "checkpoint", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--merged", action="store_true")
    given = parser.parse_args()
    try:
        if given.out.exists():
            raise InvalidRequest(f"{given.out} is there already; name a folder that is not")
        export(RunFolder(given.run), given.checkpoint, given.out, merged=given.merged)
    except LuthierError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
