"""Files and what is built of them are what Kubernetes, Strimzi, CloudNativePG and KEDA take; no secret is in them."""

import copy
import re
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest

from devtools.tests.kubernetes import manifests

pytestmark = pytest.mark.operations


@pytest.mark.parametrize("path", list(manifests.files()), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_file_is_valid_by_itself(path: Path) -> None:
    for document in manifests.documents(path):
        manifests.refuse_invalid(document)


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
@pytest.mark.parametrize("version", manifests.VERSIONS)
def test_what_is_built_is_valid(overlay: str, version: str) -> None:
    for document in manifests.built(overlay):
        manifests.refuse_invalid(document, version)


@pytest.mark.parametrize("overlay", manifests.OVERLAYS)
def test_everything_is_in_one_namespace(overlay: str) -> None:
    places = {each["metadata"].get("namespace") for each in manifests.built(overlay) if each["kind"] != "Namespace"}
    assert places == {"bookrush"}
    assert list(manifests.of_kind(overlay, "Namespace")) == ["bookrush"]


@pytest.mark.parametrize("kind", ["Deployment", *sorted(manifests.OPERATORS)])
def test_a_field_that_does_not_exist_is_found(kind: str) -> None:
    """Or the tests above would prove nothing."""
    found = next(each for path in manifests.files() for each in manifests.documents(path) if each["kind"] == kind)
    wrong = copy.deepcopy(found)
    wrong["spec"]["replicass"] = 3
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        manifests.refuse_invalid(wrong)


def test_no_file_has_a_secret() -> None:
    every = [file for file in manifests.FOLDER.rglob("*") if file.is_file()]
    assert every
    for file in every:
        text = file.read_text()
        assert not re.search(r"^kind: Secret$", text, re.MULTILINE), file
        assert not re.search(r"^\w*(PASSWORD|SECRET|TOKEN)\w*=", text, re.MULTILINE), file
        assert "secretGenerator" not in text, file
        for name, value in re.findall(r"name: (\w*(?:PASSWORD|SECRET|AUTH|TOKEN)\w*), value: (.*)\}", text):
            assert not value, f"{file}: {name}"
