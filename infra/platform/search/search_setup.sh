#!/bin/sh
# Waits for Elasticsearch, then sends the requests of the file REQUESTS: lines of "METHOD PATH FILE", FILE "-" for no body.
# Needs URL, CA (a file), USERNAME, PASSWORD, REQUESTS; bodies lie beside REQUESTS. May be run again at any time.
set -eu

umask 077
credentials=$(mktemp)
trap 'rm -f "$credentials"' EXIT
# In a file, because everybody on the machine may read a command's arguments.
printf 'user = "%s:%s"\n' "$USERNAME" "$PASSWORD" > "$credentials"

call() {
    curl --silent --show-error --fail-with-body --max-time 60 --cacert "$CA" --config "$credentials" "$@"
}

tries=0
until call "$URL/_cluster/health?wait_for_status=yellow&timeout=30s" > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge "${WAIT_TRIES:-200}" ]; then
        echo "Elasticsearch at $URL is not ready; kubectl -n teal-search get elasticsearch,pods says why" >&2
        exit 1
    fi
    sleep "${WAIT_SECONDS:-5}"
done

folder=$(dirname "$REQUESTS")
while read -r method path body; do
    if [ "$body" = "-" ]; then
        set -- --request "$method"
    else
        set -- --request "$method" --header "Content-Type: application/json" --data-binary "@$folder/$body"
    fi
    if ! call "$@" "$URL$path"; then
        printf '\nrefused: %s %s\n' "$method" "$path" >&2
        exit 1
    fi
    printf '\ndone: %s %s\n' "$method" "$path"
done < "$REQUESTS"
