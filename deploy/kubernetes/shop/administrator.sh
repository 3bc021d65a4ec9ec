#!/bin/sh
# A certificate for the brokers' administrator, valid for a day: administrator.sh AUTHORITY FOLDER. The folder AUTHORITY
# has ca.crt and ca.key, by which the brokers know their clients; FOLDER gets admin.pem, with its key and its certificate.
set -eu
umask 077

authority=$1
folder=$2
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT

openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=admin" -keyout "$draft/key" -out "$draft/csr"
printf 'extendedKeyUsage=clientAuth\n' > "$draft/extensions"
openssl x509 -req -in "$draft/csr" -CA "$authority/ca.crt" -CAkey "$authority/ca.key" \
    -set_serial "0x$(openssl rand -hex 16)" -days 1 -extfile "$draft/extensions" -out "$draft/certificate"
cat "$draft/key" "$draft/certificate" > "$folder/admin.pem"
