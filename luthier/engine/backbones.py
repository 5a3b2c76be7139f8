"""Networks by name, with pre-trained weights and a fresh head; freezing. Next: `small_networks`, `bn_inception`.

Names are `timm/NAME` (any network of timm) and `luthier/NAME` (our own). `python -m luthier.engine.backbones --check
NAME FILE.safetensors` says whether weights fit a network.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import nn

from luthier.catalog.weights import RECORD_FILE, require
from luthier.engine.bn_inception import BNInception
from luthier.engine.checkpoint import sha256
from luthier.engine.rows import Rows, plain_rows
from luthier.engine.small_networks import Cifar10Cnn, TinyResNet, with_stochastic_depth
from luthier.errors import CorruptFile, InvalidTrainingParams, shown

Tensors = dict[str, torch.Tensor]

OWN_NETWORKS: dict[str, Callable[[int], nn.Module]] = {
    "luthier/tiny_resnet": TinyResNet,
    "luthier/cifar10_cnn": Cifar10Cnn,
    "luthier/bn_inception": BNInception,
}


@dataclass(frozen=True)
class Fit:
    """How the tensors of a file match a network, its head left out. Names, at most a few thousand."""

    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.missing or self.unexpected or self.mismatched)


def build(
    name: str,
    classes: int,
    image_size: int,
    weights_folder: str = "",
    weights: str = "",
    stochastic_depth: float = 0.0,
) -> nn.Module:
    """The network `name` for square pictures of `image_size` pixels, on the CPU.

    Where `weights` names a file of the weights folder its tensors are loaded, all but the head's; raises
    MissingWeights if it is not there and CorruptFile if it does not fit. "" leaves the network random.
    """
    network = create(name, classes, image_size, stochastic_depth)
    if weights:
        load_weights(network, require(Path(weights_folder), weights))
    return network


def create(name: str, classes: int, image_size: int, stochastic_depth: float = 0.0) -> nn.Module:
    """A freshly initialised network; raises InvalidTrainingParams for an unknown name or a size it cannot take."""
    if name in OWN_NETWORKS:
        return with_stochastic_depth(OWN_NETWORKS[name](classes), stochastic_depth)
    library, _, timm_name = name.partition("/")
    if library != "timm" or not timm_name:
        known = ", ".join(OWN_NETWORKS)
        raise InvalidTrainingParams(f"backbone is {shown(name)}; give timm/NAME or one of {known}")
    return _create_timm(timm_name, classes, image_size, stochastic_depth)


def _create_timm(name: str, classes: int, image_size: int, stochastic_depth: float) -> nn.Module:
    import timm  # takes seconds, and our own networks do without it

    if not timm.is_model(name):
        raise InvalidTrainingParams(f"backbone is {shown('timm/' + name)}; timm {timm.__version__} has no such network")
    fixed = timm.get_pretrained_cfg(name.split(".")[0], allow_unregistered=True)
    sized: dict[str, Any] = {"img_size": image_size} if fixed is not None and fixed.fixed_input_size else {}
    skipping: dict[str, Any] = {"drop_path_rate": stochastic_depth} if stochastic_depth else {}  # not all know the word
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, **sized, **skipping)
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", (1,))[0]
    if sized and image_size % patch:
        near = max(patch, round(image_size / patch) * patch)
        raise InvalidTrainingParams(
            f"image_size is {image_size}; timm/{name} takes multiples of {patch}: the nearest is {near}"
        )
    return network


def head_of(network: nn.Module) -> nn.Module:
    """The last layer, which maps features to concepts."""
    return cast(nn.Module, network.get_classifier())  # type: ignore[operator]


def head_names(network: nn.Module) -> set[str]:
    """Names of the head's parameters in the network."""
    own = {id(parameter) for parameter in head_of(network).parameters()}
    return {name for name, parameter in network.named_parameters() if id(parameter) in own}


def without_head(network: nn.Module) -> nn.Module:
    """The same network, its head taken off; `features_of` asks it then."""
    if callable(reset := getattr(network, "reset_classifier", None)):
        reset(0)
    else:
        network.head = nn.Identity()
    return network


def features_of(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """(B, features) of a network `without_head`: what its head would be given."""
    found: torch.Tensor = network(images)
    return found


def width_of(network: nn.Module) -> int:
    """How many features a network `without_head` gives."""
    known = getattr(network, "num_features", None)
    if isinstance(known, int):
        return getattr(network, "head_hidden_size", None) or known
    with torch.no_grad():
        was = network.training
        width = features_of(network.eval(), torch.zeros(1, 3, 64, 64)).shape[1]
        network.train(was)
    return int(width)


# -- weights -----------------------------------------------------------------------------------------------------------


def load_weights(network: nn.Module, file: Path) -> None:
    """Fills all but the head from a safetensors file; raises CorruptFile unless every tensor finds its place."""
    tensors = read_weights(file)
    fit = compare(network, tensors)
    if not fit.ok:
        raise CorruptFile(f"{file} does not fit the network: {_in_words(fit)}; add the right file: luthier weights add")
    own = network.state_dict()
    with torch.no_grad():
        for name in own.keys() - head_names(network):
            own[name].copy_(_resized(name, tensors[name], own[name], network))


def compare(network: nn.Module, tensors: Tensors, aside: set[str] | None = None) -> Fit:
    """Which tensors lack, are too many, or have another shape; `aside`, else the head, does not count."""
    head = head_names(network) if aside is None else aside
    own = {name: tensor for name, tensor in network.state_dict().items() if name not in head}
    given = {name: tensor for name, tensor in tensors.items() if name not in head}
    fitting = {name for name in own.keys() & given.keys() if _fits(name, given[name], own[name])}
    return Fit(
        missing=sorted(own.keys() - given.keys()),
        unexpected=sorted(given.keys() - own.keys()),
        mismatched=sorted((own.keys() & given.keys()) - fitting),
    )


def read_weights(file: Path) -> Tensors:
    """The tensors of a weights file; raises CorruptFile where it is none, or has changed since it was added."""
    _check_unchanged(file)
    return _read(file)


def _check_unchanged(file: Path) -> None:
    """Against the hash that was recorded when the weights were added, where one was."""
    record = file.parent / RECORD_FILE
    if not record.exists():
        return
    recorded = json.loads(record.read_text(encoding="utf-8")).get("sha256")
    if recorded and recorded != sha256(file):
        raise CorruptFile(f"{file} has changed since it was added: its SHA-256 is not the recorded one; add it again")


def _read(file: Path) -> Tensors:
    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise CorruptFile(f"{file} is not a readable safetensors file: {error}") from error


def _fits(name: str, given: torch.Tensor, own: torch.Tensor) -> bool:
    resizable = name == "pos_embed" and given.ndim == 3 and given.shape[0] == 1 and given.shape[2] == own.shape[2]
    return given.shape == own.shape or resizable


def _resized(name: str, given: torch.Tensor, own: torch.Tensor, network: nn.Module) -> torch.Tensor:
    """Position embeddings of a vision transformer, interpolated to the grid of this picture size."""
    if given.shape == own.shape:
        return given
    from timm.layers.pos_embed import resample_abs_pos_embed

    grid = cast(list[int], network.patch_embed.grid_size)  # type: ignore[union-attr]
    prefix = 0 if getattr(network, "no_embed_class", False) else cast(int, network.num_prefix_tokens)
    resampled: torch.Tensor = resample_abs_pos_embed(given, new_size=list(grid), num_prefix_tokens=prefix)
    return resampled


def _in_words(fit: Fit) -> str:
    parts = []
    for word in ("missing", "unexpected", "mismatched"):
        names: list[str] = getattr(fit, word)
        if names:
            parts.append(f"{len(names)} {word}, as {', '.join(names[:3])}")
    return "; ".join(parts)


# -- incremental training ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CarriedOver:
    """How many concepts the earlier head knew, and whether the head is `fresh` as the earlier one had another shape."""

    known: int
    fresh: bool = False


def load_previous(network: nn.Module, tensors: Tensors, previous: list[str], concepts: list[str]) -> CarriedOver:
    """Starts from an earlier run's tensors (incremental training).

    What speaks of concepts is matched by their ids. A head of another shape, as one with more layers, is left aside as
    a whole; raises CorruptFile if the rest does not fit.
    """
    here, there = concept_rows(network, len(concepts)), concept_rows(network, len(previous))
    own = network.state_dict()
    fresh = not _same_head(network, tensors, there)
    aside = head_names(network) | (tensors.keys() - own.keys()) if fresh else set(here)
    fit = compare(network, tensors, aside=aside)
    if not fit.ok:
        raise CorruptFile(f"the checkpoint to go on from does not fit this network: {_in_words(fit)}")
    pairs = [(concepts.index(concept), row) for row, concept in enumerate(previous) if concept in concepts]
    with torch.no_grad():
        for name in own.keys() - aside:
            own[name].copy_(_resized(name, tensors[name], own[name], network))
        for name in here.keys() & tensors.keys() - (aside if fresh else set()):
            own[name][here[name].shared] = tensors[name][there[name].shared]
            for new, old in pairs:
                own[name][here[name].of_concept[new]] = tensors[name][there[name].of_concept[old]]
    return CarriedOver(0 if fresh else len(pairs), fresh)


def _same_head(network: nn.Module, tensors: Tensors, rows: dict[str, Rows]) -> bool:
    """Whether the heads differ in the number of concepts alone."""
    own = network.state_dict()
    head = head_names(network)
    if not head <= tensors.keys() <= own.keys():
        return False
    fitting = all(tensors[name].shape[name in rows :] == own[name].shape[name in rows :] for name in head)
    return fitting and all(len(tensors[name]) == one.of_concept.numel() + len(one.shared) for name, one in rows.items())


def concept_rows(network: nn.Module, classes: int) -> dict[str, Rows]:
    """By name, the tensors whose shape depends on the number of concepts; a plain head has a row for each of them."""
    if callable(own := getattr(network, "concept_rows", None)):
        return cast(dict[str, Rows], own(classes))
    last = {id(parameter) for parameter in head_of(network).parameters(recurse=False)}
    return {name: plain_rows(classes) for name, parameter in network.named_parameters() if id(parameter) in last}


def main() -> None:
    parser = argparse.ArgumentParser(description="Does a safetensors file hold the weights of a network?")
    parser.add_argument("--check", nargs=2, metavar=("NAME", "FILE"), required=True)
    name, file = parser.parse_args().check
    try:
        fit = compare(create(name, classes=2, image_size=224), _read(Path(file)))
        answer: dict[str, object] = {"ok": fit.ok, **asdict(fit)}
    except (CorruptFile, InvalidTrainingParams) as error:
        answer = {"ok": False, "missing": [], "unexpected": [], "mismatched": [], "details": str(error)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
