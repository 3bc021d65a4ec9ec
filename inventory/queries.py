"""Reading stock."""

from collections.abc import Iterable

from inventory import admission
from inventory.models import Stock


def free_by_bin(bins: Iterable[str]) -> dict[str, int]:
    """Free units by bin, by PostgreSQL's own count; a bin that never had a unit is absent."""
    rows = Stock.objects.filter(bin__in=list(bins)).values_list("bin", "received", "held", "sold")
    return {name: received - held - sold for name, received, held, sold in rows}


def left_by_bin(bins: Iterable[str]) -> dict[str, int]:
    """Units that can be ordered right now, by bin, for telling people; a bin that never had a unit is absent.

    The gate answers, and PostgreSQL for what the gate cannot vouch for.
    """
    bins = list(bins)
    left = admission.read_counters(bins)
    if unknown := [name for name in bins if name not in left]:
        left |= free_by_bin(unknown)
    return left


def counts() -> list[admission.Count]:
    """Every bin with its free units and their version."""
    rows = Stock.objects.order_by("bin").values_list("bin", "received", "held", "sold", "version")
    return [(name, received - held - sold, version) for name, received, held, sold, version in rows]
