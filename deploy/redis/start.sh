#!/bin/sh
# Redis with the users of users.acl, whose passwords are in the environment: start.sh TEMPLATE redis-server OPTION...
set -eu
umask 077

template=$1
shift
users=$(mktemp)
# Redis knows no comments there. A password that is missing is an error, not an empty one.
awk '
    /^#/ { next }
    {
        while (match($0, /[$][{][A-Z_]+[}]/)) {
            name = substr($0, RSTART + 2, RLENGTH - 3)
            if (ENVIRON[name] == "") { print "redis: set " name > "/dev/stderr"; exit 1 }
            $0 = substr($0, 1, RSTART - 1) ENVIRON[name] substr($0, RSTART + RLENGTH)
        }
        print
    }
' "$template" > "$users"
exec "$@" --aclfile "$users"
