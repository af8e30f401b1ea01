#!/bin/sh
# A Delta table in lakeFS, from a branch for the experiment to the inputs of the run in MLflow: `sh run.sh [FOLDER]`.
# Uses the lakeFS of LAKECTL_*, with its objects below $STORAGE; starts one of its own where there is none.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
project=${1:-$(mktemp -d)}
cp "$here"/*.py "$here/repro.toml" "$project"
cd "$project"
if [ -z "${LAKECTL_SERVER_ENDPOINT_URL:-}" ]; then
  trap 'reprolock stack down' EXIT
  reprolock stack up
  eval "$(reprolock stack env)"
fi
set -x

# The table on main; a branch for the experiment, with more patients, committed and tagged.
reprolock data create lakefs://clinic --storage "${STORAGE:-s3://lakefs/clinic}"
python prepare.py first
reprolock data put measurements lakefs://clinic/main/measurements/
reprolock data commit lakefs://clinic/main -m "400 patients"
reprolock data branch lakefs://clinic/main experiment
python prepare.py second
reprolock data put measurements lakefs://clinic/experiment/measurements/
reprolock data commit lakefs://clinic/experiment -m "169 patients more" --meta protocol=B
reprolock data tag lakefs://clinic/experiment patients-569

# Pin the commit, train on it. Spark writes the predictions to a branch of the run's own, which is then merged.
reprolock lock
reprolock run --name first --merge

# The branch moves on, the lock does not.
reprolock data rm lakefs://clinic/experiment/measurements/
reprolock data commit lakefs://clinic/experiment -m "Withdrawn"
reprolock status
reprolock data ls lakefs://clinic/patients-569/
reprolock data ls lakefs://clinic/main/

# What was read, looked up in MLflow.
python inputs.py
