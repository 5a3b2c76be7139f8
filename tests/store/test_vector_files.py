"""Vectors go with the bytes that they were made of."""

import hashlib
from pathlib import Path

import numpy as np

from luthier.engine.vector_file import VectorFile
from luthier.store.blobs import Blobs
from luthier.store.vector_files import forget


def test_vectors_of_bytes_that_are_gone_are_forgotten(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path / "blobs")
    datas = [f"text {number}".encode() for number in range(5000)]
    shas = blobs.put_many(datas[:3]) + [hashlib.sha256(data).hexdigest() for data in datas[3:]]
    vectors = np.random.default_rng(1).standard_normal((5000, 2)).astype(np.float32)
    file = tmp_path / "vectors" / "abc-2.vectors"
    VectorFile(file, 2).add([bytes.fromhex(sha) for sha in shas], vectors)
    with file.open("ab") as end:
        end.write(b"cut off")

    blobs.delete(shas[1])
    assert forget(tmp_path / "vectors", blobs.exists) == 4998
    kept = VectorFile(file, 2)
    found = [kept.get(bytes.fromhex(sha)) for sha in shas]
    assert [place for place, vector in enumerate(found) if vector is not None] == [0, 2]
    assert np.array_equal(np.stack([vector for vector in found if vector is not None]), vectors[[0, 2]])
    assert forget(tmp_path / "vectors", blobs.exists) == 0 and forget(tmp_path / "nowhere", blobs.exists) == 0
