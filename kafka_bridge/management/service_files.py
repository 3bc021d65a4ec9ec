"""The files of a new service: an app with a consumer group, a handler for each event, a table, a preview and tests."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kafka_bridge.wire.events import Event

INDENT = " " * 4


@dataclass(frozen=True, kw_only=True)
class Service:
    """A service that is to be made."""

    name: str
    """Of its group, and of its app."""
    package: str
    """How it is imported, such as `services.name`."""
    hears: tuple[type[Event], ...]

    @property
    def words(self) -> str:
        """Its name for people."""
        return self.name.replace("_", " ")


def files(service: Service) -> Mapping[str, str]:
    """By path within the service's folder, what stands in each file."""
    return {
        "__init__.py": f'"""What the {service.words} does when other apps speak: one consumer group, one table."""\n',
        "apps.py": _apps(service),
        "models.py": _models(service),
        "services.py": _services(service),
        "handlers.py": _handlers(service),
        "previews.py": _previews(service),
        "migrations/__init__.py": "",
        "migrations/0001_initial.py": _migration(service),
        "tests/__init__.py": "",
        "tests/test_handlers.py": _tests(service),
    }


def _apps(service: Service) -> str:
    name = "".join(part.capitalize() for part in service.name.split("_"))
    return f'''"""The app; the bridge finds its handlers and previews by itself."""

from django.apps import AppConfig


class {name}Config(AppConfig):
    """Installed by its name."""

    name = "{service.package}"
    default_auto_field = "django.db.models.BigAutoField"
'''


def _models(service: Service) -> str:
    return f'''"""What the {service.words} keeps."""

from django.db import models


class Noted(models.Model):
    """That an event of a type came about something."""

    key = models.CharField(max_length=120)
    """The event's key: what it is about."""
    type = models.CharField(max_length=100)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["key", "type"], name="{service.name}_noted_once"),)

    def __str__(self) -> str:
        return f"{{self.type}} about {{self.key}}"
'''


def _migration(service: Service) -> str:
    return f'''from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Noted",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=120)),
                ("type", models.CharField(max_length=100)),
            ],
            options={{
                "constraints": [models.UniqueConstraint(fields=("key", "type"), name="{service.name}_noted_once")],
            }},
        ),
    ]
'''


def _services(service: Service) -> str:
    return f'''"""What the {service.words} does. Handlers call it in a transaction, so it waits for nothing outside."""

from {service.package}.models import Noted


def note(*, key: str, event_type: str) -> None:
    """Note that an event of this type came; a second one changes nothing."""
    Noted.objects.get_or_create(key=key, type=event_type)
'''


def _handlers(service: Service) -> str:
    parts = [
        f'"""What the {service.words} does when it hears an event."""\n',
        _imports(service, f"from {service.package} import services", "from kafka_bridge import Group, stated"),
        f'group = Group("{service.name}", believes=stated)  # manage.py run_consumer {service.name}\n',
    ]
    for event in service.hears:
        says = (inspect.getdoc(event) or event.TYPE).splitlines()[0]
        parts.append(
            f"\n@group.on({event.__name__})\n"
            f"def note_{event.TYPE.replace('.', '_').replace('-', '_')}(event: {event.__name__}) -> None:\n"
            f'{INDENT}"""{says}"""\n'
            f"{INDENT}services.note(key=event.key, event_type=event.TYPE)\n"
        )
    return "\n".join(parts)


def _previews(service: Service) -> str:
    return f'''"""What the {service.words} would make of an event now: for people who decide about dead letters."""

from {service.package}.handlers import group
from {service.package}.models import Noted
from kafka_bridge import Event


def preview(event: Event) -> str:
    """Whether it is noted already."""
    is_noted = Noted.objects.filter(key=event.key, type=event.TYPE).exists()
    return "is noted already: would change nothing" if is_noted else f"would note {{event.TYPE}} about {{event.key}}"


for _event in group.handlers:
    group.preview[_event] = preview
'''


def _tests(service: Service) -> str:
    names = ", ".join(event.__name__ for event in service.hears)
    imports = _imports(
        service,
        f"from {service.package}.handlers import group",
        f"from {service.package}.models import Noted",
        "from kafka_bridge import Event, testing",
        others=("import pytest",),
    )
    return f'''"""What the {service.words} does with what it hears."""

{imports}
pytestmark = pytest.mark.django_db(transaction=True)
HEARD = [{names}]


def noted() -> list[tuple[str, str]]:
    """What is in the table."""
    return list(Noted.objects.values_list("key", "type"))


@pytest.mark.parametrize("event_type", HEARD)
def test_an_event_counts_once(event_type: type[Event]) -> None:
    event = testing.example_of(event_type)
    assert [testing.give(group.name, event) for _ in range(2)] == [1, 0]
    assert noted() == [(event.key, event.TYPE)]


@pytest.mark.parametrize("event_type", HEARD)
def test_what_nobody_stated_changes_nothing(event_type: type[Event]) -> None:
    testing.forge(group.name, testing.example_of(event_type))
    assert noted() == []


@pytest.mark.parametrize("event_type", HEARD)
def test_the_preview_says_what_would_happen(event_type: type[Event]) -> None:
    event = testing.example_of(event_type)
    assert group.preview[event_type](event).startswith("would note")
    testing.give(group.name, event)
    assert "already" in group.preview[event_type](event)
'''


def _imports(service: Service, *lines: str, others: Sequence[str] = ()) -> str:
    """Those of the events and these, sorted as ruff sorts them; `others` are of other people's packages."""
    by_module: dict[str, list[str]] = {}
    for event in service.hears:
        by_module.setdefault(event.__module__, []).append(event.__name__)
    ours = [*(f"from {module} import {', '.join(sorted(names))}" for module, names in by_module.items()), *lines]
    return "\n".join([*others, *([""] if others else []), *sorted(ours), ""])
