#!/bin/sh
# Makes the secrets of compose.yaml at the first start, each once, and sees to folders that
# no image brings. Nothing in the repository is a secret, and no two installations share one.
#
#   setup.sh             makes what is missing, and prints the path to register if that is new
#   setup.sh url         prints the path to register
#   setup.sh add-token   makes a new webhook token and keeps the old ones beside it
#   setup.sh keep-newest forgets all webhook tokens but the newest
#
# The receivers read their tokens when they start.
set -eu
umask 022 # each volume is mounted by the containers that need it and by nobody else

secrets=${SECRETS:-/secrets} state=${STATE:-/state}
tokens=$secrets/receiver/webhook-tokens

fail() {
  echo "$0: $*" >&2
  exit 1
}

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# write puts its input under a name only when it is whole, and is not nothing.
write() {
  cat >"$1.new"
  [ -s "$1.new" ] || fail "nothing to write to $1"
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
  # The network between them is the project's own, on this machine: hence no TLS.
  echo "postgres://receiver:$(cat "$secrets/postgres/password")@postgres:5432/receiver?sslmode=disable" |
    write "$secrets/receiver/database-url"

  [ -s "$secrets/s3/secret-key" ] || random | write "$secrets/s3/secret-key"
  printf '[default]\naws_access_key_id = receiver\naws_secret_access_key = %s\n' "$(cat "$secrets/s3/secret-key")" |
    write "$secrets/receiver/aws-credentials"

  chmod 0777 "$state/s3" "$state/proxy" # of one container each, which is not root
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
