"""Style sheets, scripts and pictures: each is there, and none of it is left over."""

import re
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders

from shop.kafka_window import rendering as kafka
from shop.operations.pages import rendering

ROOT = Path(settings.BASE_DIR)
STATIC = ROOT / "shop" / "static"
# The bridge brings its own admin pages, and the shop dresses them.
TEMPLATES = sorted(
    path for folder in ("templates", "kafka_bridge/templates") for path in (ROOT / folder).rglob("*.html")
)
SCRIPTS = sorted((STATIC / "shop" / "js").glob("*.js"))
STYLES = sorted((STATIC / "shop" / "css").rglob("*.css"))
APPS = ("shop", "orders", "inventory", "payments", "kafka_bridge")
# Django's admin and its theme write these.
OF_THE_THEME = re.compile(r"dark|change-list|model-\w+|material-symbols-outlined|field-\w+")
# A letter must follow: numbers such as 0.5rem have a dot too.
CLASS = re.compile(r"\.([a-zA-Z][\w-]*)")


def selectors(style: Path) -> str:
    """All selectors of a style sheet, without comments, strings and what stands between braces."""
    css = re.sub(r"/\*.*?\*/", "", style.read_text(), flags=re.DOTALL)
    return " ".join(re.findall(r"([^{};]+)\{", css))


@cache
def classes_in_use() -> frozenset[str]:
    """What stands in `class` attributes, in templates and in Python, and every word of the scripts' strings."""
    python = [path for app in APPS for path in (ROOT / app).rglob("*.py") if "tests" not in path.parts]
    found: set[str] = set()
    for path in (*TEMPLATES, *python):
        text = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", " ", path.read_text())
        for words in re.findall(r"""\bclass["']?[=:] ?["']([^"']*)["']""", text):
            found.update(words.split())
    for path in SCRIPTS:
        for words in re.findall(r"""["'`]([^"'`\n]*)["'`]""", path.read_text()):
            found.update(words.split())
    return frozenset(found)


@pytest.mark.parametrize("style", STYLES, ids=lambda path: str(path.relative_to(STATIC)))
def test_every_class_with_a_style_is_in_use(style: Path) -> None:
    styled = {name for name in CLASS.findall(selectors(style)) if not OF_THE_THEME.fullmatch(name)}
    assert styled - classes_in_use() == set()


def test_every_file_that_a_page_asks_for_exists() -> None:
    asked = {name for path in TEMPLATES for name in re.findall(r"{% static '([^']+)' %}", path.read_text())}
    imported = {f"shop/js/{name}" for path in SCRIPTS for name in re.findall(r'from "\./([^"]+)"', path.read_text())}
    assert [name for name in sorted(asked | imported) if finders.find(name) is None] == []


def test_no_file_is_left_over() -> None:
    pages = "".join(path.read_text() for path in (*TEMPLATES, *SCRIPTS, *STYLES))
    of_the_admin = {style(None) for style in cast(list[Any], settings.UNFOLD["STYLES"])}
    left_over = [
        path.relative_to(STATIC)
        for path in sorted(STATIC.rglob("*.*"))
        if path.name not in pages
        and path.stem not in {*rendering.STYLES, *kafka.STYLES, *(page.script for page in kafka.PAGES)}
        and f"/static/{path.relative_to(STATIC)}" not in of_the_admin
    ]
    assert [str(path) for path in left_over] == ["shop/fonts/OFL.txt"]
