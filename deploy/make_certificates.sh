#!/bin/sh
# Certificates for brokers and their administrator: make_certificates.sh FOLDER NAME...
# The folder gets ca.pem, and for each name NAME.pem with its key and its certificate. The authority's own key is thrown
# away, so that nobody can sign another one: to renew, empty the folder, run this again, and restart the brokers.
# Safe to run again: what is there stays.
set -eu
umask 022

folder=$1
shift
if [ -e "$folder/ca.pem" ]; then
    echo "certificates: $folder has them, valid until $(openssl x509 -enddate -noout -in "$folder/ca.pem" | cut -d= -f2)"
    exit 0
fi

draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT
days=1825
new_key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

# shellcheck disable=SC2086 - several words
openssl req -x509 $new_key -days $days -subj "/CN=bookrush-brokers" -keyout "$draft/ca.key" -out "$draft/ca.pem" 2> /dev/null

for name in "$@"; do
    # shellcheck disable=SC2086
    openssl req -new $new_key -subj "/CN=$name" -keyout "$draft/$name.key" -out "$draft/$name.csr" 2> /dev/null
    printf 'subjectAltName=DNS:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' "$name" \
        > "$draft/$name.ext"
    openssl x509 -req -in "$draft/$name.csr" -CA "$draft/ca.pem" -CAkey "$draft/ca.key" -CAcreateserial -days $days \
        -extfile "$draft/$name.ext" -out "$draft/$name.crt" 2> /dev/null
    cat "$draft/$name.key" "$draft/$name.crt" > "$folder/$name.pem"
done
# Last: a folder without it is one that is not finished.
cp "$draft/ca.pem" "$folder/ca.pem"
echo "certificates: made for $*"
