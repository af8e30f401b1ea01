#!/bin/sh
# A notebook as the command of a run: `sh run.sh [FOLDER]`. Needs the package index for Jupyter, and no service.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=${1:-$(mktemp -d)}
cp "$here"/visits.* "$here/repro.toml" "$project"
cd "$project"
set -x

reprolock data create lakefs://clinic
reprolock data put visits.csv lakefs://clinic/main/visits.csv
reprolock data commit lakefs://clinic/main -m "Visits of a week"

# Jupyter and its kernel are locked like every other package.
reprolock lock
reprolock run --name week
reprolock run --name longer --set longest=60
reprolock diff week longer

# The notebook again, from the record alone.
reprolock replay week
