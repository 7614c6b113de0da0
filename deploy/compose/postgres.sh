#!/bin/bash
# Runs once, when the data directory is made: a database for each service, and a role that owns it and
# may connect to nothing else. The passwords come from docker-compose.yml.
set -euo pipefail

for service in users orders products notifications; do
    variable="${service^^}_DB_PASSWORD"
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
        --set=name="$service" --set=password="${!variable:?is not set}" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
-- By default everybody may connect to every database; its owner still may.
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
# Those that every cluster has are nobody's business either.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres \
    --command='REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC'
