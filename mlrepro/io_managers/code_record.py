"""What a result record says of the code: what it was made of, and what it takes to run it again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlrepro.dagster_internals import (
    FileCodePointer,
    ModuleCodePointer,
    PackageCodePointer,
    StepExecutionContext,
)
from mlrepro.io_managers.computation import Computation
from mlrepro.io_managers.key import StepKey
from mlrepro.io_managers.key_record import code_sources
from mlrepro.store import Store
from mlrepro.versioning import canonical_json, reference
from mlrepro.versioning.code.files import ProjectFiles, files_of


def code_record(
    step_context: StepExecutionContext, store: Store, computation: Computation, key: StepKey
) -> dict[str, Any]:
    """Write the closure's sources and the files that they lie in, as blobs, and name them.

    Sources are what is compared; a file is what can be imported. The files of a code location are one blob, which
    stays the same until one of them changes.

    Args:
        step_context: The step.
        store: Takes the blobs.
        computation: The step's function.
        key: The step's key.

    Returns:
        The record's part on code, beside its fingerprint.
    """
    pointer = definitions_pointer(step_context)
    modules = {source.name.partition(":")[0] for source in key.code.sources}
    modules |= {str(reader).partition(":")[0] for reader in _readers(key.inputs)}
    function = reference(computation.fn)
    # what only the definitions know: the resources, and which assets a function that makes assets was called for
    if pointer is not None and (step_context.op_def.required_resource_keys or "<locals>" in function):
        modules.add(pointer.get("module") or Path(pointer["file"]).stem)
    first_party = {*computation.first_party, function.partition(".")[0].partition(":")[0]}
    files = files_of(modules, first_party=first_party)
    return {
        "sources": store.write_bytes(canonical_json(code_sources(key.code)).encode()),
        "not_followed": [report.message for report in key.code.reports if not report.followed],
        "function": function,
        "definitions": pointer,
        "files": _kept(store, files) if files.texts else None,
    }


def _kept(store: Store, files: ProjectFiles) -> str:
    """Have the files in the own scope: written once, then only asked for."""
    there = store.has_blob(files.digest, len(files.packed), scope=store.scope)
    return files.digest if there else store.write_bytes(files.packed)


def definitions_pointer(step_context: StepExecutionContext) -> dict[str, Any] | None:
    """How the run's code location was loaded; None for a run without one (a test, a script)."""
    origin = step_context.dagster_run.job_code_origin
    match origin.repository_origin.code_pointer if origin else None:
        case ModuleCodePointer(module=module, fn_name=attribute):
            return {"module": module, "attribute": attribute}
        case PackageCodePointer(module=module, attribute=attribute):
            return {"module": module, "attribute": attribute}
        case FileCodePointer(python_file=file, fn_name=attribute, working_directory=folder):
            path = Path(folder or ".", file)
            relative = path.relative_to(folder) if folder and path.is_relative_to(folder) else Path(path.name)
            return {"file": relative.as_posix(), "attribute": attribute}
        case _:
            return None


def _readers(inputs: Mapping[str, Any]) -> list[str]:
    found = [origin.get("source", {}).get("reader") for origin in inputs.values()]
    return [each for each in found if each]
