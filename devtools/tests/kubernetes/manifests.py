"""Reads deploy/kubernetes: file by file, and as kubectl builds an overlay; checks against the schemas of Kubernetes."""

import functools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from django.conf import settings

FOLDER = Path(settings.BASE_DIR) / "deploy" / "kubernetes"
OVERLAYS = ("small", "production")
# The schemas of these are not Kubernetes' own; each file in the folder says where it is from.
_SCHEMAS = Path(__file__).parent / "schemas"
OPERATORS = {file.stem: json.loads(file.read_text()) for file in _SCHEMAS.glob("*.json")}
# The oldest and the newest version that the files are for.
VERSIONS = ("1.32", "1.37")
Document = dict[str, Any]


@functools.cache
def built(overlay: str) -> tuple[Document, ...]:
    """Everything that `kubectl apply -k` would apply; the test is skipped where there is no kubectl that can."""
    if not shutil.which("kubectl"):
        # Debian's own is too old, so continuous integration cannot install one: file by file is all that is checked.
        pytest.skip("there is no kubectl here (1.25 or newer)")
    command = ["kubectl", "kustomize", str(FOLDER / overlay)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own command line
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def files() -> Iterator[Path]:
    """Every file with whole resources: what a kustomization lists as such."""
    for kustomization in sorted(FOLDER.glob("*/kustomization.yaml")):
        for name in yaml.safe_load(kustomization.read_text()).get("resources", []):
            path = kustomization.parent / name
            if path.is_file():
                yield path


def documents(path: Path) -> list[Document]:
    """The resources of one file."""
    return list(yaml.safe_load_all(path.read_text()))


def refuse_invalid(document: Document, version: str = VERSIONS[-1]) -> None:
    """Fail where this is not what its kind may be; fields that its kind does not have are errors too."""
    if schema := OPERATORS.get(document["kind"]):
        jsonschema.validate(document, schema)
    else:
        kubernetes_validate.validate(document, version, strict=True)


def of_kind(overlay: str, kind: str) -> dict[str, Document]:
    """By name, what an overlay has of one kind."""
    return {each["metadata"]["name"]: each for each in built(overlay) if each["kind"] == kind}


def roles(overlay: str) -> dict[str, Document]:
    """By role, the pod of each of our Deployments and of the Job."""
    ours = [*of_kind(overlay, "Deployment").values(), *of_kind(overlay, "Job").values()]
    found = {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["template"] for each in ours}
    assert len(found) == len(ours)
    return found


def container(pod: Document) -> Document:
    """The only container of a role's pod."""
    (only,) = pod["spec"]["containers"]
    return dict(only)


def shared_settings(overlay: str) -> dict[str, str]:
    """What all roles are told by the ConfigMap."""
    (found,) = (each["data"] for name, each in of_kind(overlay, "ConfigMap").items() if name.startswith("settings-"))
    return dict(found)


def environment(overlay: str, pod: Document) -> dict[str, Any]:
    """By name, what a role is told beyond its Secret: a value, or whence Kubernetes takes it."""
    own = {each["name"]: each.get("value", each.get("valueFrom")) for each in container(pod).get("env", [])}
    return {**shared_settings(overlay), **own}


def only_for_others(pod: Document) -> set[str]:
    """Variables that are there to become part of others, by `$(NAME)`."""
    values = [each.get("value", "") for each in container(pod).get("env", [])]
    return {name for value in values for name in re.findall(r"\$\((\w+)\)", value)}
