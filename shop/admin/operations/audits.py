"""Audits in the admin: their history, the findings of each, and a button to run one now."""

import re
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from kafka_bridge import admin as facts
from orders.models import Order
from shop import audit
from shop.admin.site import navigation
from shop.audit.runner import RULES
from shop.models import AuditRun

STALE = timedelta(minutes=10)
"""An older result says little about the present."""
_LIMIT_SECONDS = 20.0
_ORDER_ID = re.compile(r"\b([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


@admin.register(AuditRun)
class AuditRunAdmin(facts.FactsAdmin):
    """One row for each audit, newest first."""

    list_display = ("started", "verdict", "broken", "took", "by")
    list_display_links = ("started",)
    list_filter = ("is_clean",)
    list_before_template = "admin/shop/audit_now.html"
    ordering = ("-started_at",)
    fieldsets = ((None, {"fields": ("started", "verdict", "took", "by")}), ("Invariants", {"fields": ("invariants",)}))
    readonly_fields = ("started", "verdict", "took", "by", "invariants")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, with the button to run an audit."""
        now_url = reverse("admin:shop_auditrun_now") if self.has_audit_permission(request) else ""
        response: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "audit_now_url": now_url})
        return response

    def has_audit_permission(self, request: HttpRequest) -> bool:
        """Whether this user may run an audit."""
        return request.user.has_perm("shop.add_auditrun")

    def get_urls(self) -> list[URLPattern]:
        """The usual pages, and the one that runs an audit."""
        now = path("now/", self.admin_site.admin_view(self.now_view), name="shop_auditrun_now")
        return [now, *super().get_urls()]

    @transaction.non_atomic_requests
    def now_view(self, request: HttpRequest) -> HttpResponse:
        """Run an audit and show its result."""
        if not self.has_audit_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        by = navigation.person(request).get_username()
        try:
            report = audit.run(grace_seconds=settings.AUDIT_GRACE_SECONDS, by=by, limit_seconds=_LIMIT_SECONDS)
        except audit.TooSlow as error:
            messages.error(request, f"The audit was aborted: {error}.")
            return HttpResponseRedirect(reverse("admin:shop_auditrun_changelist"))
        if report.is_clean:
            messages.success(request, f"All {len(report.findings)} invariants hold.")
        else:
            messages.error(request, f"{len(report.broken)} of {len(report.findings)} invariants do not hold.")
        newest = AuditRun.objects.filter(by=by).order_by("-started_at").values_list("pk", flat=True)[0]
        return HttpResponseRedirect(facts.page_of(AuditRun, newest))

    @admin.display(description="when")
    def started(self, run: AuditRun) -> str:
        """When the audit started."""
        return facts.moment(run.started_at)

    @admin.display(description="result")
    def verdict(self, run: AuditRun) -> str:
        """Clean, or how many invariants do not hold."""
        return verdict_label(run)

    @admin.display(description="does not hold", empty_value="")
    def broken(self, run: AuditRun) -> str | None:
        """The names of the invariants that do not hold."""
        return "; ".join(finding["name"] for finding in run.findings if finding["count"]) or None

    @admin.display(description="took")
    def took(self, run: AuditRun) -> str:
        """How long it took."""
        return facts.as_age(timedelta(seconds=run.seconds))

    @admin.display(description="invariants")
    def invariants(self, run: AuditRun) -> str:
        """Every invariant with its count and examples, violations first."""
        found = sorted(run.findings, key=lambda finding: not finding["count"])
        rows = [
            {
                **finding,
                "rule": RULES.get(finding["name"]),
                "more": finding["count"] - len(finding["examples"]),
                "examples": [_with_links(example) for example in finding["examples"]],
            }
            for finding in found
        ]
        return render_to_string("admin/shop/audit_findings.html", {"rows": rows})


def verdict_label(run: AuditRun) -> SafeString:
    """Clean, or how many invariants do not hold, as a coloured word."""
    if run.is_clean:
        return facts.label("clean", "success")
    return facts.label(f"{broken_in(run)} wrong", "danger")


def broken_in(run: AuditRun) -> int:
    """How many invariants did not hold."""
    return sum(finding["count"] > 0 for finding in run.findings)


def age_of(run: AuditRun) -> timedelta:
    """The time since the audit started."""
    return timezone.now() - run.started_at


def _with_links(example: str) -> SafeString:
    """The example with its order ids as links to their pages."""
    pieces = _ORDER_ID.split(example)
    return format_html_join(
        "",
        "{}",
        ((facts.link(facts.page_of(Order, piece), piece) if n % 2 else piece,) for n, piece in enumerate(pieces)),
    )
