#!/bin/sh
# Pictures, and a script that knows nothing of reprolock: `sh run.sh [FOLDER]`. Needs no service.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=${1:-$(mktemp -d)}
cp "$here"/*.py "$here/../compare.py" "$here/repro.toml" "$project"
cd "$project"
set -x

# Photographs on main, and the same in the evening on a branch.
python prepare.py
reprolock data create lakefs://album
reprolock data put day lakefs://album/main/photos/
reprolock data commit lakefs://album/main -m "Two photographs"
reprolock data branch lakefs://album/main evening
reprolock data put evening lakefs://album/evening/photos/
reprolock data commit lakefs://album/evening -m "The same, darker"

# The script gets the files of the commit in a read-only folder; what it wrote goes back to main, tagged.
reprolock lock
reprolock run --name day --tag palettes-1 --merge
reprolock data ls -r lakefs://album/palettes-1/
reprolock data log -v -n 1 lakefs://album/palettes-1

# The same on the other branch of the data. Its results are not those of main, and go to that branch.
reprolock run --name evening --data photos=evening --publish-to evening --merge
reprolock data ls -r lakefs://album/evening/
python compare.py palettes

# Years later: the first run again, from its record alone.
reprolock replay "$(reprolock data log --json -n 1 lakefs://album/palettes-1 |
  python -c 'import json, sys; print(json.load(sys.stdin)["commits"][0]["metadata"]["mlflow_run"])')"
