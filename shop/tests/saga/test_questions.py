"""What the apps ask one another is listed completely: no call from app to app is hidden in a setting."""

import ast
import inspect
import re
from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from shop.saga import tables
from shop.saga.questions import QUESTIONS

APPS = ("orders", "inventory", "payments")
# What payments takes its gateway from; asked and answered within payments.
WITHIN = {"PAYMENT_GATEWAY"}


def asked_in(app: str) -> set[str]:
    """The settings whose functions this app imports by their dotted path."""
    found = set()
    for source in (Path(settings.BASE_DIR) / app).rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_string", "import_module")):
                found.add(ast.unparse(node.args[0]).removeprefix("settings."))
    return found - WITHIN


def test_every_call_by_a_dotted_path_is_listed_with_its_asker() -> None:
    asked = {(app, setting) for app in APPS for setting in asked_in(app)}
    assert asked == {(each.asker, each.setting) for each in QUESTIONS}


def test_every_setting_that_names_a_function_of_an_app_is_listed() -> None:
    names = {
        name
        for name in dir(settings)
        if name.isupper()
        and isinstance(value := getattr(settings, name), str)
        and re.fullmatch(rf"({'|'.join(APPS)})(\.\w+)+", value)
    }
    assert names - WITHIN == {each.setting for each in QUESTIONS}


def test_the_app_that_is_said_to_answer_has_the_function() -> None:
    for each in QUESTIONS:
        assert each.answered_by.partition(".")[0] == each.asked
        assert inspect.isfunction(import_string(each.answered_by))
        assert each.what and each.when and each.why


def test_questions_are_shown_and_drawn_as_what_they_are() -> None:
    assert tables.BETWEEN in tables.as_markdown()
    for each in QUESTIONS:
        assert each.answered_by in tables.as_markdown()
        name = each.answered_by.rpartition(".")[2]
        assert f'{each.asker} -. "{name}?" .-> {each.asked}' in tables.as_mermaid()
