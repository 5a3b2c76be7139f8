"""The published API from Java over TLS, with Debian's grpc-java. `make java` runs it; compiling takes a minute or two.

The published client itself is on Maven Central alone. This one has stubs made from the same descriptors, and a channel
made as the published client makes it.
"""

import os
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from clarifai_grpc.grpc.api import service_pb2
from google.protobuf import descriptor_pb2

from tests.e2e.conftest import Server

HERE = Path(__file__).parent
BUILD = HERE.parents[2] / "build" / "java" / version("clarifai-grpc")
JARS = Path("/usr/share/java")
NEEDED = (
    *("protobuf", "proto-google-common-protos", "guava", "jsr305", "perfmark-api", "jctools-core", "opencensus-api"),
    *("grpc-api", "grpc-context", "grpc-core", "grpc-netty", "grpc-protobuf", "grpc-protobuf-lite", "grpc-stub"),
    *("netty-buffer", "netty-codec", "netty-codec-http", "netty-codec-http2", "netty-codec-socks", "netty-common"),
    *("netty-handler", "netty-handler-proxy", "netty-resolver", "netty-tcnative", "netty-transport"),
    *("netty-transport-native-unix-common", "opencensus-contrib-grpc-metrics", "geronimo-annotation-1.3-spec"),
)
NATIVE = "*/jni/libnetty-tcnative.so"  # Netty looks for it under another name, and refuses a link


@pytest.fixture(scope="module")
def java() -> list[str]:
    """The command before the arguments of Flow."""
    missing = [name for name in NEEDED if not (JARS / f"{name}.jar").exists()]
    assert not missing, f"not in {JARS}: {missing}; `make java` as root installs them"
    classes = BUILD / "classes"
    path = os.pathsep.join([str(classes), *(str(JARS / f"{name}.jar") for name in NEEDED)])
    if not (BUILD / "stubs").exists():
        _compile_stubs(classes, path)
    call("javac", "-proc:none", "-d", str(classes), "-cp", path, str(HERE / "Flow.java"))
    shutil.copy(next(Path("/usr/lib").glob(NATIVE)), BUILD / "libnetty_tcnative.so")
    return ["java", f"-Djava.library.path={BUILD}", "-cp", path, "Flow"]


def _compile_stubs(classes: Path, path: str) -> None:
    sources = BUILD / "sources"
    for folder in (sources, classes):
        folder.mkdir(parents=True, exist_ok=True)
    files = _files()
    (BUILD / "descriptors.bin").write_bytes(files.SerializeToString())
    plugin = f"--plugin=protoc-gen-grpc-java={shutil.which('grpc_java_plugin')}"
    into = [f"--java_out={sources}", f"--grpc-java_out={sources}", plugin]
    names = [file.name for file in files.file if "clarifai" in file.name]
    call("protoc", f"--descriptor_set_in={BUILD / 'descriptors.bin'}", *into, *names)
    (BUILD / "sources.txt").write_text("\n".join(f'"{file}"' for file in sources.rglob("*.java")))
    call("javac", "-nowarn", "-proc:none", "-J-Xmx3g", "-d", str(classes), "-cp", path, f"@{BUILD / 'sources.txt'}")
    (BUILD / "stubs").touch()


def _files() -> descriptor_pb2.FileDescriptorSet:
    """The published descriptors, each after those that it needs."""
    found: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: object) -> None:
        for needed in file.dependencies:  # type: ignore[attr-defined]
            add(needed)
        if file.name not in found:  # type: ignore[attr-defined]
            found[file.name] = descriptor_pb2.FileDescriptorProto()  # type: ignore[attr-defined]
            file.CopyToProto(found[file.name])  # type: ignore[attr-defined]

    add(service_pb2.DESCRIPTOR)
    return descriptor_pb2.FileDescriptorSet(file=found.values())


def call(*command: str, **environment: str) -> str:
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize("trust", ["every certificate", "tls/ca.pem"])
def test_the_guides_calls_from_java(server: Server, java: list[str], trust: str) -> None:
    port = server.tls.rpartition(":")[2]
    authority = [] if trust == "every certificate" else [str(server.data_dir / trust)]
    app_id = f"java-{len(authority)}"
    said = call(*java, port, *authority, PAT=server.token, USER_ID=server.user_id, APP_ID=app_id).splitlines()
    assert said[:2] == ["app SUCCESS", "model petsID MODEL_UNTRAINED"]
    assert {"template MMClassification_ResNet_50_RSB_A1", "template MMDetection_FasterRCNN"} <= set(said)
    assert said[-1] == "estimate SUCCESS"


def test_without_the_authority_java_refuses_too(server: Server, java: list[str], tmp_path: Path) -> None:
    """It does, as soon as it is told whom to trust: another authority is not enough."""
    other = tmp_path / "other.pem"
    other.write_bytes(next(Path("/etc/ssl/certs").glob("*.pem")).read_bytes())
    done = subprocess.run(
        [*java, server.tls.rpartition(":")[2], str(other)],
        env=os.environ | {"PAT": server.token, "USER_ID": server.user_id, "APP_ID": "java-2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and "UNAVAILABLE" in done.stderr, done.stderr
