"""How the bridge's pages in the admin look: as django-unfold does where it is installed, else as Django's own admin.

Only this module, and the folders `unfold/` and `plain/` beside the templates, know which.
"""

from typing import Any

from django.apps import apps
from django.utils.module_loading import import_string

IS_UNFOLD = apps.is_installed("unfold")

LIST_TEMPLATE = None if IS_UNFOLD else "admin/kafka_bridge/plain/change_list.html"
"""A list with what `list_before_template` names above it, which unfold's lists have by themselves."""
LABEL_TEMPLATE = "unfold/helpers/label.html" if IS_UNFOLD else "admin/kafka_bridge/plain/label.html"
FIELDS_TEMPLATE = f"admin/kafka_bridge/{'unfold' if IS_UNFOLD else 'plain'}/fields.html"
STYLES = {"all": ["kafka_bridge/admin.css"]}


def either(unfold: str, otherwise: str) -> Any:
    """The class of that name for this look."""
    return import_string(unfold if IS_UNFOLD else otherwise)
