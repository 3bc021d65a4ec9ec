#!/bin/sh
# Before any role starts: the tables, the topics, who may do what with them, the books. Safe to run again; arguments go to seed_shop.
set -eu

python manage.py migrate --noinput
python manage.py create_database_roles

# A broker that answers may still wait to be let into the cluster; topics with three copies need all three.
attempt=1
until python manage.py create_topics; do
    if [ "$attempt" -ge 15 ]; then
        echo "setup: the brokers did not take the topics in $attempt attempts; see 'docker compose logs kafka-1'" >&2
        exit 1
    fi
    attempt=$((attempt + 1))
    sleep 2
done

python manage.py create_acls --prune
python manage.py seed_shop "$@"
