"""What is read of PostgreSQL's own counts."""

from pathlib import Path

from benchmarks import postgres_counters


def test_statements_are_counted_by_who_made_them(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    head = "2026-11-28 16:00:00.000 UTC [71] "
    log.write_text(
        f"{head}web LOG:  statement: BEGIN\n{head}web LOG:  execute <unnamed>: INSERT INTO\n\torders\n"
        f"{head}relay LOG:  execute _pg3_0: SELECT 1\n{head} LOG:  statement: SHOW all\n"
        f"{head}web ERROR:  no\n{head}web STATEMENT:  SELECT no\n"
    )
    assert postgres_counters.statements_in(log) == {"web": 2, "relay": 1}
    assert postgres_counters.statements_in(log, start=log.read_text().index("relay") - len(head)) == {"relay": 1}
