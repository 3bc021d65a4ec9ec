"""Reading stock."""

from collections.abc import Iterable

from inventory.models import Stock


def free_by_sku(skus: Iterable[str]) -> dict[str, int]:
    """Units free to order by sku; a sku that was never received is absent."""
    rows = Stock.objects.filter(sku__in=list(skus)).values_list("sku", "received", "held", "sold")
    return {sku: received - held - sold for sku, received, held, sold in rows}
