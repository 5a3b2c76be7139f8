"""Makes luthier_pb2.py and luthier_pb2.pyi from luthier.proto: python -m luthier.wire.generate (needs grpcio-tools).

The clarifai-grpc package ships no .proto files, only compiled descriptors; they are handed to the compiler as such.
"""

import re
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from clarifai_grpc.grpc.api import service_pb2
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).parents[2]
PROTO = "luthier/wire/luthier.proto"
GENERATED = ("luthier/wire/luthier_pb2.py", "luthier/wire/luthier_pb2.pyi")


def generate(target: Path) -> None:
    """Write the generated files below the folder `target`, under their package's path.

    Raises RuntimeError with the compiler's exit code.
    """
    from grpc_tools import protoc

    with tempfile.TemporaryDirectory() as folder:
        descriptors = Path(folder) / "clarifai.binpb"
        descriptors.write_bytes(_descriptors().SerializeToString())
        code = protoc.main(
            [
                "protoc",
                f"--proto_path={ROOT}",
                f"--proto_path={files('grpc_tools') / '_proto'}",
                f"--descriptor_set_in={descriptors}",
                f"--python_out={target}",
                f"--pyi_out={target}",
                PROTO,
            ]
        )
    if code:
        raise RuntimeError(f"the protobuf compiler ended with code {code}")
    for name in GENERATED:
        path = target / name
        path.write_text(_as_ours(name, path.read_text(encoding="utf-8")), encoding="utf-8")


def _descriptors() -> FileDescriptorSet:
    """Everything that service.proto stands on, dependencies first."""
    collected: dict[str, FileDescriptor] = {}

    def visit(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            visit(dependency)
        collected.setdefault(file.name, file)

    visit(service_pb2.DESCRIPTOR)
    result = FileDescriptorSet()
    for file in collected.values():
        file.CopyToProto(result.file.add())
    return result


def _as_ours(name: str, text: str) -> str:
    """The compiler names modules after .proto paths, the package has them elsewhere; its stubs are not strict."""
    text = re.sub(r"\bproto\.clarifai\.(api|auth)", r"clarifai_grpc.grpc.\1", text)
    return "# mypy: ignore-errors\n" + text if name.endswith(".pyi") else text


if __name__ == "__main__":
    generate(ROOT)
    sys.stdout.write(f"written: {', '.join(GENERATED)}\n")
