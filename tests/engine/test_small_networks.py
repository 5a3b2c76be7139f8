"""What the small networks of our own see."""

import torch

from luthier.engine.small_networks import EdgeStem


def test_edges_are_the_same_in_a_negative_and_in_weak_light_and_an_even_surface_has_none() -> None:
    torch.manual_seed(0)
    stem = EdgeStem(edges=6, plain=2).eval()
    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    seen = stem(picture)
    for changed in (-picture, 0.5 * picture):
        torch.testing.assert_close(stem(changed)[:, :6], seen[:, :6], rtol=0.02, atol=0.02)
    assert not torch.allclose(stem(-picture)[:, 6:], seen[:, 6:], atol=1e-2)  # the others keep colours apart
    assert stem(torch.full((1, 3, 32, 32), 0.7))[:, :6, 1:-1, 1:-1].abs().max() < 1e-3
