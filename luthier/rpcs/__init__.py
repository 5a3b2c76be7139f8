"""What a call means: one file per noun, one function per RPC, named as on the wire. Next: `context`, then `apps`."""

from types import ModuleType

from luthier.rpcs import (
    add_jobs,
    annotations,
    apps,
    concepts,
    dataset_inputs,
    dataset_versions,
    datasets,
    estimates,
    inputs,
    luthier_service,
    model_types,
    model_versions,
    models,
    outputs,
    status_codes,
    users,
)

MODULES: tuple[ModuleType, ...] = (
    users,
    status_codes,
    apps,
    concepts,
    inputs,
    add_jobs,
    annotations,
    datasets,
    dataset_inputs,
    dataset_versions,
    model_types,
    models,
    model_versions,
    estimates,
    outputs,
    luthier_service,
)
