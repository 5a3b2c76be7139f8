"""What a template says a forward pass costs, against a count of the network's own operations."""

import json
import subprocess
import sys

import pytest

from luthier.catalog.model_type import find_template, templates_of

COUNT = """
import json, sys, torch
from torch.utils.flop_counter import FlopCounterMode
from luthier.catalog.model_type import find_template
from luthier.engine.backbones import create, head_of
from luthier.engine.segmentation import networks
counts, segformers = [], []
for backbone, side in json.load(sys.stdin):
    with torch.device("meta"):
        network = create(backbone, 2, side).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side, device="meta"))
    own = sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in head_of(network).parameters())
    counts.append((counter.get_total_flops() / 1e9, own / 1e6))
segformer = find_template("visual-segmenter", "MMSegmentation_SegFormer")
for size in ("b0", "b1", "b2"):
    plan = segformer.plan_for(segformer.checked({"model_size": size}))
    with torch.device("meta"):
        network = networks.build(segformer.backbone, 2, plan).eval()
    for side in (256, 1024):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, side, side, device="meta"))
        segformers.append((size, side, counter.get_total_flops() / 1e9))
print(json.dumps([counts, segformers]))
"""


def test_gflops_and_parameters_are_those_of_the_network() -> None:
    templates = [template for template in templates_of("visual-classifier") if template.backbone_at is None]
    asked = [(template, side) for template in templates for side in (template.defaults()["image_size"], 336)]
    networks = sorted({(template.backbone, side) for template, side in asked})  # templates share some
    run = subprocess.run(
        [sys.executable, "-c", COUNT],
        input=json.dumps(networks),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    counts, segformers = json.loads(run.stdout.splitlines()[-1])
    counted = dict(zip(networks, counts, strict=True))
    for template, side in asked:
        gflops, parameters = counted[template.backbone, side]
        assert template.gflops_for({"image_size": side}) == pytest.approx(gflops, rel=0.1), (template.id, side)
        assert template.parameters_m == pytest.approx(parameters, rel=0.05), template.id
    segformer = find_template("visual-segmenter", "MMSegmentation_SegFormer")
    for size, side, gflops in segformers:
        values = segformer.checked({"model_size": size, "image_size": [side]})
        assert segformer.gflops_for(values) == pytest.approx(gflops, rel=0.02), (size, side)
    assert segformer.gflops == pytest.approx(segformer.gflops_for(segformer.defaults()), rel=0.01)


def test_cost_of_pictures_with_one_side_two_sides_or_a_side_as_text() -> None:
    yolof = find_template("visual-detector", "MMDetection_YoloF")
    assert yolof.gflops_for({"image_size": (1024,)}) == pytest.approx(4 * yolof.gflops)
    assert yolof.gflops_for({"image_size": [1024, 512]}) == pytest.approx(2 * yolof.gflops)
    inception = find_template("visual-detector", "Clarifai_InceptionV4")
    assert inception.gflops_for({"image_size": "512"}) == pytest.approx(inception.gflops)


def test_cost_of_a_language_model_is_two_per_parameter_and_token() -> None:
    small = find_template("text-classifier", "HF_GPTNeo_125m_lora")
    assert small.gflops == pytest.approx(2 * 125.2e6 * 256 / 1e9)


def test_cost_of_a_text_goes_by_what_is_read_of_it() -> None:
    minilm = find_template("text-classifier", "luthier_minilm")
    short, long = ({**minilm.defaults(), "max_tokens": tokens} for tokens in (32, 512))
    assert minilm.gflops_for(short) == pytest.approx(minilm.gflops / 4)  # nobody knows how long the texts are
    assert minilm.gflops_for(long) == pytest.approx(4 * minilm.gflops)
    assert minilm.gflops_for(long, 1000.0) == pytest.approx(minilm.gflops * 252 / 64)
    assert minilm.gflops_for(short, 1000.0) == pytest.approx(minilm.gflops * 32 / 64)
    neo = find_template("text-to-text", "HF_GPTNeo_125m_lora")
    values = neo.checked({"tokenizer_config": {"model_max_length": 64}})
    assert neo.gflops_for(values) == pytest.approx(neo.gflops / 8)
    assert neo.gflops_for(neo.checked({"tokenizer_config": {"truncation_side": "left"}})) == neo.gflops
