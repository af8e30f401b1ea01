#!/bin/sh
# One change and all else constant: `sh run.sh [FOLDER]`. Needs no service.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=${1:-$(mktemp -d)}
cp "$here"/*.py "$here/../compare.py" "$here/repro.toml" "$project"
cd "$project"
newest() { reprolock show --json | python -c 'import json, sys; print(json.load(sys.stdin)["run_id"])'; }
set -x

# The data: all wines on main, the usual ones on a branch.
python prepare.py
reprolock data create lakefs://cellar
reprolock data put all.csv lakefs://cellar/main/wines.csv
reprolock data commit lakefs://cellar/main -m "All wines"
reprolock data branch lakefs://cellar/main usual
reprolock data put usual.csv lakefs://cellar/usual/wines.csv
reprolock data commit lakefs://cellar/usual -m "Without measurements far from the others"

# The run that all others are held against.
reprolock lock
reprolock run --name baseline
baseline=$(newest)

# Another value of one parameter; then another branch of the data. repro.lock stays as it is.
reprolock run --name deeper --set max_depth=4
deeper=$(newest)
reprolock run --name usual-wines --data wines=usual
usual=$(newest)

# Side by side.
reprolock diff "$baseline" "$deeper"
reprolock diff "$baseline" "$usual"
python compare.py wines
