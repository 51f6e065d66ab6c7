#!/bin/sh
# Weekly care of the catalog while it is in use. Every step may be cut off and run again.
# Needs PGHOST, PGPORT, PGDATABASE and a folder SECRETS with the files `username` and `password`.
set -eu

PGUSER=$(cat "$SECRETS/username")
PGPASSWORD=$(cat "$SECRETS/password")
# A lock that is not had in 30 s is left to the next week: whoever waits for one holds up everybody behind it.
PGOPTIONS="-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
export PGUSER PGPASSWORD PGOPTIONS

echo "1 of 3: drop what an interrupted REINDEX CONCURRENTLY left behind"
psql --no-psqlrc --set ON_ERROR_STOP=1 <<'SQL'
SELECT format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
\gexec
SQL

echo "2 of 3: VACUUM and ANALYZE"
vacuumdb --analyze --no-password --quiet "$PGDATABASE"

echo "3 of 3: REINDEX CONCURRENTLY"
reindexdb --concurrently --no-password --quiet "$PGDATABASE"
echo "done"
