"""The main job as calls: upload, label, freeze, estimate, train, judge, predict. Each step is one function."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click
from clarifai_grpc.grpc.api import resources_pb2, service_pb2
from google.protobuf.struct_pb2 import Struct

from luthier.commands.demo.calls import Calls
from luthier.commands.demo.digits import Digit
from luthier.commands.demo.live import show_training, show_until
from luthier.commands.durations import spell

BATCH = 128
TEMPLATE = "luthier_tiny_resnet"
EPOCHS, SEED, SIDE = 6, 1, 32  # digits of 8 pixels are learnt in little time
APP, DATASET, MODEL = "demo", "digits", "digit-reader"
VERSION_PENDING, VERSION_IN_PROGRESS, VERSION_READY, TRAINED = 64005, 64010, 64015, 21100
WAIT_SECONDS = 120.0  # for anything but the training
TRAINING_SECONDS = 1200.0  # on two idle cores it is half a minute
SHOWN_PREDICTIONS = 10


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True)
class MainJob:
    """One run of the demo for one user."""

    calls: Calls
    user_id: str

    @property
    def user(self) -> Any:
        return resources_pb2.UserAppIDSet(user_id=self.user_id)

    @property
    def app(self) -> Any:
        return resources_pb2.UserAppIDSet(user_id=self.user_id, app_id=APP)

    def run(self, digits: Sequence[Digit], unseen: Sequence[Digit]) -> float:
        """Returns the accuracy on the test split."""
        labels = sorted({digit.label for digit in digits})
        self.make_app(labels)
        self.upload(digits)
        self.wait_for_inputs(len(digits))
        version_id = self.freeze(digits)
        self.make_model()
        self.estimate(version_id)
        version = self.train(version_id, labels)
        accuracy = self.metrics(version)
        self.predict(unseen, version.id)
        return accuracy

    def make_app(self, labels: Sequence[str]) -> None:
        app = resources_pb2.App(id=APP)
        self.calls.call(service_pb2.PostAppsRequest(user_app_id=self.user, apps=[app]), f"app {APP}")
        concepts = [resources_pb2.Concept(id=f"digit-{label}", name=label) for label in labels]
        request = service_pb2.PostConceptsRequest(user_app_id=self.app, concepts=concepts)
        self.calls.call(request, f"{len(labels)} concepts: {', '.join(labels)}")

    def upload(self, digits: Sequence[Digit]) -> None:
        begun = time.perf_counter()
        for batch in batches(digits):
            request = service_pb2.PostInputsRequest(
                user_app_id=self.app, inputs=[labelled_input(digit) for digit in batch], inputs_add_job_id="upload"
            )
            self.calls.call(request, f"{len(batch)} labelled PNG files, {batch[0].id} to {batch[-1].id}")
        seconds = time.perf_counter() - begun
        click.echo(f"    {len(digits)} files uploaded in {seconds:.1f} s: {len(digits) / seconds:.0f} a second")

    def wait_for_inputs(self, expected: int) -> None:
        request = service_pb2.GetInputsAddJobRequest(user_app_id=self.app, id="upload")

        def decoded() -> tuple[float, bool]:
            progress = self.calls.ask(request).inputs_add_job.progress
            done = progress.success_count + progress.failed_count
            return done / expected, progress.pending_count + progress.in_progress_count == 0

        show_until("decoding", decoded, WAIT_SECONDS)
        answer = self.calls.call(request, "is every input decoded?").inputs_add_job.progress
        click.echo(f"    {answer.success_count} inputs are ready, {answer.failed_count} failed")
        if answer.success_count != expected:
            raise DemoError(f"{answer.success_count} of {expected} inputs became ready")

    def freeze(self, digits: Sequence[Digit]) -> str:
        """Puts the inputs into a dataset and freezes it; returns the version's id."""
        dataset = resources_pb2.Dataset(id=DATASET)
        self.calls.call(service_pb2.PostDatasetsRequest(user_app_id=self.app, datasets=[dataset]), f"dataset {DATASET}")
        for batch in batches(digits):
            members = [resources_pb2.DatasetInput(input=resources_pb2.Input(id=digit.id)) for digit in batch]
            add = service_pb2.PostDatasetInputsRequest(user_app_id=self.app, dataset_id=DATASET, dataset_inputs=members)
            self.calls.call(add, f"{len(batch)} inputs into {DATASET}")
        version = resources_pb2.DatasetVersion(description="all digits, split 80/10/10")
        request = service_pb2.PostDatasetVersionsRequest(
            user_app_id=self.app, dataset_id=DATASET, dataset_versions=[version]
        )
        id: str = self.calls.call(request, "freeze the dataset as a version").dataset_versions[0].id
        get = service_pb2.GetDatasetVersionRequest(user_app_id=self.app, dataset_id=DATASET, dataset_version_id=id)

        def frozen() -> tuple[float, bool]:
            return 0.0, self.calls.ask(get).dataset_version.status.code not in (VERSION_PENDING, VERSION_IN_PROGRESS)

        show_until("freezing", frozen, WAIT_SECONDS)
        status = self.calls.call(get, f"is version {id} frozen?").dataset_version.status
        if status.code != VERSION_READY:
            raise DemoError(f"the dataset could not be frozen: {status.code} {status.details}")
        return id

    def make_model(self) -> None:
        model = resources_pb2.Model(id=MODEL, model_type_id="visual-classifier")
        self.calls.call(
            service_pb2.PostModelsRequest(user_app_id=self.app, models=[model]), f"visual-classifier {MODEL}"
        )

    def estimate(self, dataset_version: str) -> None:
        request = service_pb2.PostModelVersionsTrainingTimeEstimateRequest(
            user_app_id=self.app, model_id=MODEL, model_versions=[self._wanted_version(dataset_version, ())]
        )
        answer = self.calls.call(request, f"how long will {EPOCHS} epochs of {TEMPLATE} take?")
        seconds = answer.training_time_estimates[0].ToTimedelta().total_seconds()
        basis = f" ({answer.status.details})" if answer.status.details else ""
        click.echo(f"    about {spell(seconds)}{basis}")

    def train(self, dataset_version: str, labels: Sequence[str]) -> Any:
        """The trained model version; its log and progress are shown meanwhile."""
        request = service_pb2.PostModelVersionsRequest(
            user_app_id=self.app, model_id=MODEL, model_versions=[self._wanted_version(dataset_version, labels)]
        )
        id = self.calls.call(request, f"train {TEMPLATE} on version {dataset_version}").model.model_version.id
        get = service_pb2.GetModelVersionRequest(user_app_id=self.app, model_id=MODEL, version_id=id)
        version = show_training(lambda: self.calls.ask(get).model_version, self.calls.get_text, TRAINING_SECONDS)
        if version.status.code != TRAINED:
            raise DemoError(f"the training ended with {version.status.code}: {version.status.details}")
        self.calls.call(get, f"version {id} is trained")
        return version

    def _wanted_version(self, dataset_version: str, labels: Sequence[str]) -> Any:
        params = Struct()
        params.update({"template": TEMPLATE, "num_epochs": EPOCHS, "image_size": SIDE, "seed": SEED})
        params.update({"dataset_id": DATASET, "dataset_version_id": dataset_version})
        concepts = [resources_pb2.Concept(id=f"digit-{label}") for label in labels]
        return resources_pb2.ModelVersion(
            train_info=resources_pb2.TrainInfo(params=params),
            output_info=resources_pb2.OutputInfo(data=resources_pb2.Data(concepts=concepts)),
        )

    def metrics(self, version: Any) -> float:
        metrics = dict(version.metadata["luthier"]["metrics"])
        names = sorted(metrics, key=lambda name: (name != "accuracy", name))
        shown = ", ".join(f"{name} {metrics[name]:.4f}" for name in names if isinstance(metrics[name], float))
        click.echo(f"    on the test split: {shown}")
        return float(metrics["accuracy"])

    def predict(self, unseen: Sequence[Digit], version_id: str) -> None:
        """Digits that were never uploaded."""
        inputs = [resources_pb2.Input(data=picture(digit)) for digit in unseen]
        request = service_pb2.PostModelOutputsRequest(
            user_app_id=self.app, model_id=MODEL, version_id=version_id, inputs=inputs
        )
        outputs = self.calls.call(request, f"{len(unseen)} digits that were held back from the upload").outputs
        best = [output.data.concepts[0] for output in outputs]
        for digit, concept in list(zip(unseen, best, strict=True))[:SHOWN_PREDICTIONS]:
            click.echo(f"    {digit.path.name}: {concept.name} ({concept.value:.2f}); it is a {digit.label}")
        right = sum(concept.name == digit.label for digit, concept in zip(unseen, best, strict=True))
        click.echo(f"    {right} of {len(unseen)} right")


def picture(digit: Digit) -> Any:
    return resources_pb2.Data(image=resources_pb2.Image(base64=digit.path.read_bytes()))


def labelled_input(digit: Digit) -> Any:
    data = picture(digit)
    data.concepts.append(resources_pb2.Concept(id=f"digit-{digit.label}", name=digit.label, value=1.0))
    return resources_pb2.Input(id=digit.id, data=data)


def batches(digits: Sequence[Digit]) -> Iterator[Sequence[Digit]]:
    for start in range(0, len(digits), BATCH):
        yield digits[start : start + BATCH]
