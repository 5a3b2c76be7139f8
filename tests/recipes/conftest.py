"""The recipes are tested in float32 on every processor, as thresholds of learning hang on few steps; a column of
`test_every_template` trains each template in bfloat16."""

from collections.abc import Iterator

import pytest

from luthier.engine import devices


@pytest.fixture(scope="package", autouse=True)
def _float32() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "cpu_has_bfloat16", lambda: False)
        yield
