"""The simulated flash sale, all in one process; over real Kafka in `running_shop/test_flash_sale_proof.py`."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from rich.console import Console

from devtools.testing.shop.storefront import a_book
from events import catalogue
from inventory.models import Stock
from inventory.redis_counters import counter_sync
from kafka_bridge import testing
from orders.cancel_reasons import CancelCode
from orders.models import Order, Status
from payments.gateways.sandbox import SandboxGateway
from shop.flashsales import flash_sales
from shop.models import AuditRun, Book, FlashSale
from shop.simulation import buyers, report, runner, verdict
from shop.simulation.buyers import BadPlan, SalePlan
from shop.simulation.runner import SaleSnapshot
from shop.simulation.sale_state import CancelledOrder
from shop.simulation.verdict import BookCount

pytestmark = pytest.mark.stock


@pytest.fixture
def shelf(transactional_db: None, sandbox_gateway: SandboxGateway) -> None:
    """A shop with a shelf, and a gateway that answers at once."""
    a_book()


def at_work(then: Callable[[SaleSnapshot], None] = lambda snapshot: None) -> runner.Show:
    """The shop's other roles: whenever the sale is looked at, all that waits is done; afterwards comes `then`."""
    broker = testing.MemoryBroker()

    def show(snapshot: SaleSnapshot) -> None:
        counter_sync.sync()
        broker.drain()
        then(snapshot)

    return show


def play(plan: SalePlan, show: runner.Show) -> verdict.SaleVerdict:
    """Without Kafka, in this process."""
    return runner.play(plan, url=None, patience_seconds=30, show=show, rest_within_seconds=3)


# -- the crowd ------------------------------------------------------------------------------------
def test_the_same_seed_brings_the_same_crowd() -> None:
    def wishes(seed: int) -> list[tuple[tuple[int, ...], str]]:
        plan = SalePlan(buyers=50, books=5, basket=3, declined_percent=40, seed=seed)
        return [(buyer.wants, buyer.card) for buyer in buyers.generate(plan)]

    assert wishes(1) == wishes(1) != wishes(2)
    assert {len(set(wants)) for wants, _ in wishes(1)} == {3}
    assert {card for _, card in wishes(1)} == {"pm_success", "pm_declined"}


def test_every_buyer_is_a_customer_of_their_own() -> None:
    generate = buyers.generate(SalePlan(buyers=50))
    assert len({buyer.contact.email for buyer in generate}) == len({buyer.key for buyer in generate}) == 50


@pytest.mark.parametrize(
    "changes",
    [
        {"buyers": 0},
        {"units": 0},
        {"books": 2, "basket": 3},
        {"customer_limit": 0},
        {"declined_percent": 101},
        {"threads": 0},
        {"rate": -1},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadPlan):
        SalePlan(**changes).check()


# -- the sale -------------------------------------------------------------------------------------
@pytest.mark.parametrize("flow", catalogue.FLOWS)
@pytest.mark.usefixtures("shelf")
def test_each_unit_is_sold_once_and_every_loser_hears_why(flow: str) -> None:
    result = play(SalePlan(buyers=30, units=4, flow=flow, threads=8, customer_limit=1), at_work())
    assert result.problems == []
    assert (result.units_sold, result.state.confirmed, result.state.left) == (4, 4, 0)
    assert result.state.cancelled == {CancelCode.OUT_OF_STOCK: 26}
    assert [(c.set_aside, c.held, c.sold, c.by_orders) for c in result.counts] == [(4, 0, 4, 4)]
    assert AuditRun.objects.get().is_clean


@pytest.mark.usefixtures("shelf")
def test_afterwards_its_books_are_off_the_shelf_and_its_sale_is_over() -> None:
    play(SalePlan(buyers=3, units=2, books=2), at_work())
    assert set(Book.objects.filter(title__startswith="Simulated").values_list("is_listed", flat=True)) == {False}
    sale = FlashSale.objects.get()
    closes = Stock.objects.filter(sale_id=sale.pk).values_list("closes_at", flat=True)
    assert set(closes) == {flash_sales.closes_at(sale)}


@pytest.mark.usefixtures("shelf")
def test_a_unit_with_two_winners_is_noticed() -> None:
    def cheat(snapshot: SaleSnapshot) -> None:
        loser = Order.objects.filter(status=Status.CANCELLED).values("pk")[:1]
        Order.objects.filter(pk__in=loser).update(status="PAID", confirmed_at="2026-01-01T00:00Z", cancel_reason="")

    result = play(SalePlan(buyers=3, units=2, threads=1), at_work(once(cheat)))
    [sku] = [count.sku for count in result.counts]
    assert [problem for problem in result.problems if not problem.startswith("the audit")] == [
        f"{sku} is oversold: 3 units in confirmed orders, 2 were set aside",
        f"{sku}: inventory sold 2 units, confirmed orders have 3",
    ]
    assert (result.is_exact, result.oversold) == (False, 1)


def once(cheat: Callable[[SaleSnapshot], None]) -> Callable[[SaleSnapshot], None]:
    """Done as soon as all have their outcome, and then never again."""
    done: list[bool] = []

    def then(snapshot: SaleSnapshot) -> None:
        if not done and Order.objects.filter(status=Status.CANCELLED).exists():
            done.append(True)
            cheat(snapshot)

    return then


# -- the verdict ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("count", "problems"),
    [
        (BookCount(sku="1", set_aside=5, held=0, sold=5, by_orders=5), 0),
        (BookCount(sku="1", set_aside=5, held=0, sold=3, by_orders=3), 0),
        (BookCount(sku="1", set_aside=5, held=1, sold=4, by_orders=4), 1),
        (BookCount(sku="1", set_aside=5, held=0, sold=4, by_orders=5), 1),
        (BookCount(sku="1", set_aside=6, held=0, sold=6, by_orders=6), 2),
    ],
)
def test_counts_that_do_not_fit_are_noticed(count: BookCount, problems: int) -> None:
    assert len(list(verdict.check_count(count, units=5))) == problems


def test_whoever_could_have_been_served_was_wronged() -> None:
    counts = [BookCount(sku=sku, set_aside=5, held=0, sold=sold, by_orders=sold) for sku, sold in (("a", 5), ("b", 3))]

    def loser(*skus: str, reason: str = CancelCode.OUT_OF_STOCK) -> CancelledOrder:
        return CancelledOrder(reference="BR-1", reason=reason, skus=skus)

    assert verdict.check_refusals([loser("a"), loser("a", "b")], counts, turned_away=[["a"]]) == []
    assert verdict.check_refusals([loser("a"), loser("b")], counts, turned_away=[["b"], ["a", "b"]]) == [
        "1 orders were refused, such as BR-1, and their books are left",
        "1 buyers were turned away, and their books are left",
    ]
    # The declined card's copy came back after the other had been refused.
    assert verdict.check_refusals([loser("b"), loser("b", reason="payment failed: no")], counts, turned_away=[]) == []


# -- the naive shop -------------------------------------------------------------------------------
@pytest.mark.parametrize("plan", [SalePlan(buyers=2, units=1), SalePlan(buyers=60, units=5, books=3, basket=2)])
@pytest.mark.django_db(transaction=True)
def test_check_then_act_oversells_and_leaves_nothing_behind(plan: SalePlan) -> None:
    sold = runner.play_naive(plan, show=lambda units, seconds: None)
    assert sold.failures == ()
    assert sold.oversold > 0
    assert sold.confirmed + sold.told_no == plan.buyers
    assert sold.twice is not None
    assert [name for name in connection.introspection.table_names() if name.startswith("simulation_")] == []


# -- the command ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments",
    [["--units", "0"], ["--basket", "2"], ["--http", "shop"], ["--mode", "naive", "--http"], ["--patience", "0"]],
)
def test_options_that_make_no_sense_are_refused(arguments: list[str]) -> None:
    with pytest.raises(CommandError) as refusal:
        call_command("simulate_flash_sale", *arguments)
    assert refusal.value.returncode == 2


@pytest.mark.django_db(transaction=True)
def test_an_empty_shop_says_what_to_do() -> None:
    with pytest.raises(CommandError, match=r"manage\.py prepare") as refusal:
        call_command("simulate_flash_sale", "--buyers", "1")
    assert refusal.value.returncode == 3


@pytest.mark.usefixtures("shelf")
def test_a_shop_without_its_roles_is_told_from_a_broken_one() -> None:
    with pytest.raises(CommandError, match="3 events wait in the outbox: no relay seems to run") as refusal:
        call_command("simulate_flash_sale", "--buyers", "3", "--patience", "0.5")
    assert refusal.value.returncode == 3
    assert not Book.objects.filter(is_listed=True, title__startswith="Simulated").exists()


@pytest.mark.django_db(transaction=True)
def test_the_naive_shop_as_json() -> None:
    output = StringIO()
    call_command("simulate_flash_sale", "--mode", "naive", "--buyers", "2", "--units", "1", "--json", stdout=output)
    found = json.loads(output.getvalue())
    assert {name: found[name] for name in ("mode", "buyers", "units", "units_sold", "oversold", "charged_in_vain")} == {
        "mode": "naive",
        "buyers": 2,
        "units": 1,
        "units_sold": 2,
        "oversold": 1,
        "charged_in_vain": 1,
    }


@pytest.mark.usefixtures("shelf")
def test_both_side_by_side_fit_a_terminal_of_80_columns() -> None:
    plan = SalePlan(buyers=30, units=4, threads=8)
    result, output = play(plan, at_work()), StringIO()
    sold = runner.play_naive(plan, show=lambda units, seconds: None)
    report.print_comparison(result, sold, Console(file=output, width=80))
    assert max(map(len, output.getvalue().splitlines())) <= 80
    assert ["units", "oversold", "0", f"{sold.oversold:,}"] in [line.split() for line in output.getvalue().splitlines()]
    assert report.as_json(result, over_http=False)["verdict"] == "exact"
