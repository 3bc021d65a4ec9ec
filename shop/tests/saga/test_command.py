"""`manage.py saga`."""

from io import StringIO

from django.core.management import call_command

from shop.saga import tables


def printed(*arguments: str) -> str:
    """What the command writes to standard output."""
    out = StringIO()
    call_command("saga", *arguments, stdout=out)
    return out.getvalue()


def test_the_saga_is_printed_as_a_table_as_markdown_and_as_mermaid() -> None:
    assert "inventory.insufficient" in printed()
    assert printed("--markdown").strip() == tables.as_markdown()
    mermaid = printed("--mermaid").splitlines()
    assert mermaid[0] == "flowchart LR"
    assert '    orders -- "order.created<br/>reserve_first" --> inventory' in mermaid
    assert '    payments -- "payment.failed" --> orders' in mermaid
    assert '    inventory -. "prevent_charge?" .-> payments' in mermaid


def test_the_questions_are_printed_too() -> None:
    words = " ".join(printed().split())
    assert "INVENTORY" not in words
    for asker, asked, *_ in tables.question_rows():
        assert asker in words and asked in words
    assert tables.BETWEEN.partition(":")[0] in words
