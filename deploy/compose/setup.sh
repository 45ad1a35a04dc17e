#!/bin/sh
# Creates the secrets of compose.yaml at the first start, and folders that no image has.
# Every installation has its own secrets; the repository contains none.
#
#   setup.sh             creates missing secrets; prints the path to register if it is new
#   setup.sh url         prints the path to register
#   setup.sh add-token   adds a webhook token; the old ones stay valid
#   setup.sh keep-newest removes all webhook tokens except the newest
#
# The receivers read the tokens when they start.
set -eu
umask 022 # only the containers that need a volume mount it

secrets=${SECRETS:-/secrets} state=${STATE:-/state}
tokens=$secrets/receiver/webhook-tokens

fail() {
  echo "$0: $*" >&2
  exit 1
}

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# write replaces a file by its input, atomically; empty input is an error.
write() {
  cat >"$1.new"
  [ -s "$1.new" ] || fail "no content for $1"
  sync
  mv "$1.new" "$1"
}

newest() {
  [ -s "$tokens" ] || fail "there is no token yet"
  cut -d, -f1 "$tokens"
}

print_url() {
  token=$(newest)
  echo "register with Deep Image: <address of the proxy>/webhooks/deep-image/$token"
}

make_missing() {
  mkdir -p "$secrets/receiver" "$secrets/postgres" "$secrets/s3"
  [ -s "$tokens" ] || {
    random | write "$tokens"
    print_url
  }

  [ -s "$secrets/postgres/password" ] || random | write "$secrets/postgres/password"
  # No TLS: the network is private to this project and machine.
  echo "postgres://receiver:$(cat "$secrets/postgres/password")@postgres:5432/receiver?sslmode=disable" |
    write "$secrets/receiver/database-url"

  [ -s "$secrets/s3/secret-key" ] || random | write "$secrets/s3/secret-key"
  printf '[default]\naws_access_key_id = receiver\naws_secret_access_key = %s\n' "$(cat "$secrets/s3/secret-key")" |
    write "$secrets/receiver/aws-credentials"

  chmod 0777 "$state/s3" "$state/proxy" # each is mounted by one container, which is not root
}

case ${1:-} in
  '') make_missing ;;
  url) print_url ;;
  add-token)
    [ -s "$tokens" ] || fail "there is no token yet"
    { random && printf ',' && cat "$tokens"; } | write "$tokens"
    print_url
    ;;
  keep-newest) newest | write "$tokens" ;;
  *)
    echo "usage: setup.sh [url | add-token | keep-newest]" >&2
    exit 2
    ;;
esac
