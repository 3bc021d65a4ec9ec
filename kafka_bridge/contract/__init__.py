"""What the bridge promises, tried against a project's own settings, database and brokers.

    python -m kafka_bridge.contract            a report; --json for machines; exit code 0 kept, 1 broken, 2 cannot run
    pytest --pyargs kafka_bridge.contract      the same as tests, against the project's test database

It works with topics, groups and rows of its own, whose names begin with `contract-`, beside whatever else is going on,
and deletes them afterwards. One thing stays: what was done to a dead letter is history, which PostgreSQL lets nobody
delete for a month; that one closed letter goes when `prune_tables` takes it.
"""
