"""The contracts for programs of others: valid, as committed, kept by what is on the wire, and readable."""

import copy
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.test import Client

from devtools.testing.bridge.bridge_events import created
from devtools.testing.bridge.dead_letters import headers_of
from devtools.testing.shop.storefront import a_book, api_order
from events import catalogue
from kafka_bridge.runtime import topics
from kafka_bridge.wire import envelope
from shop.contracts import documents

pytestmark = pytest.mark.window
SPECIFICATIONS = Path(settings.BASE_DIR) / "devtools" / "tests" / "data" / "specifications"
SPECIFICATION = {"asyncapi": "asyncapi-3.0.0.json", "openapi": "openapi-3.1.json"}


def faults(name: str, document: Any) -> list[str]:
    """What the specification's own schema has against a document."""
    schema = json.loads((SPECIFICATIONS / SPECIFICATION[name]).read_text())
    return [error.message for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(document)]


def check(document: dict[str, Any], part: dict[str, Any], value: Any) -> None:
    """Fail unless a value is as a schema of the document says."""
    jsonschema.validate(value, {**part, "components": document["components"]}, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("name", documents.NAMES)
def test_a_contract_is_valid_and_committed(name: str) -> None:
    document = documents.make(name)
    assert faults(name, document) == []
    assert documents.path(name).read_text() == documents.render(document), "run manage.py write_contracts"
    broken = copy.deepcopy(document)
    broken["info"].pop("version")
    assert faults(name, broken), "the check would see a fault"


def test_every_topic_and_every_event_is_in_it() -> None:
    document = documents.make("asyncapi", prefix="t1.")
    assert set(document["channels"]) == {topic.name for topic in topics.wanted()}
    assert document["channels"]["orders.events"]["address"] == "t1.orders.events"
    assert {event.TYPE for event in catalogue.ALL_EVENTS} == {
        message["name"] for name, message in document["components"]["messages"].items() if "copy." not in name
    }


def test_what_is_sent_is_what_the_contract_says() -> None:
    document, event = documents.make("asyncapi"), created()
    message = document["components"]["messages"]["order.created.v1"]
    headers = {name: value.decode() for name, value in headers_of(event).items()}
    check(document, message["headers"], headers)
    check(document, message["payload"], json.loads(envelope.encode_body(event)))
    with pytest.raises(jsonschema.ValidationError):
        check(document, message["headers"], headers | {"ce_source": "/elsewhere/orders"})


@pytest.mark.django_db(transaction=True)
def test_the_json_interface_answers_as_its_contract_says(client: Client) -> None:
    document = documents.make("openapi")
    book = a_book(price_minor=700, stock=3)
    placing = document["paths"]["/api/orders/"]["post"]
    reading = document["paths"]["/api/orders/{order_id}/"]["get"]
    good = api_order(book, 2)
    costs_less = good | {"idempotency_key": str(uuid4())}
    costs_less["lines"] = [{"sku": book.isbn, "quantity": 1, "expected_price_minor": 1}]

    def ask(body: Any, kind: str = "application/json") -> Any:
        response = client.post("/api/orders/", body, content_type=kind)
        answer = placing["responses"][str(response.status_code)]
        check(document, content_of(document, answer, response["Content-Type"]), response.json())
        return response

    check(document, content_of(document, placing["requestBody"], "application/json"), good)
    assert [ask(json.dumps(good)).status_code for _ in range(2)] == [201, 200]
    wrong = ask(json.dumps(costs_less))
    assert (wrong.status_code, wrong.json()["problems"][0]["code"]) == (422, "price_changed")
    assert ask(json.dumps(good | {"payment_method": "pm_declined"})).status_code == 409
    assert (ask("{").status_code, ask("x", "text/plain").status_code) == (400, 415)

    state = client.get(ask(json.dumps(good)).json()["status_url"])
    check(document, content_of(document, reading["responses"]["200"], "application/json"), state.json())
    gone = client.get(f"/api/orders/{uuid4()}/")
    check(document, content_of(document, reading["responses"]["404"], gone["Content-Type"]), gone.json())


def content_of(document: dict[str, Any], answer: dict[str, Any], kind: str) -> dict[str, Any]:
    """The schema of an answer's or a request's body."""
    if "$ref" in answer:
        answer = document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema: dict[str, Any] = answer["content"][kind]["schema"]
    return schema


def test_the_page_and_the_documents_are_served(client: Client) -> None:
    page = client.get("/contracts/")
    assert "default-src 'self'" in page["Content-Security-Policy"]
    text = page.content.decode()
    assert all(event.TYPE in text for event in catalogue.ALL_EVENTS)
    assert "ce_correlationid" in text and "POST /api/orders/" in text
    for name in documents.NAMES:
        assert faults(name, client.get(f"/contracts/{name}.json").json()) == []
    assert client.get("/contracts/other.json").status_code == 404


def test_ci_notices_a_contract_that_is_out_of_date(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(documents, "path", lambda name: tmp_path / f"{name}.json")
    with pytest.raises(CommandError, match=r"run manage\.py write_contracts"):
        call_command("write_contracts", check=True)
    assert list(tmp_path.iterdir()) == []
    call_command("write_contracts")
    call_command("write_contracts", check=True)
