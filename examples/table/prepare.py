"""scikit-learn's breast cancer measurements as a Delta table: 400 patients, then 169 more as the table's next version."""

import sys

import deltalake
from sklearn.datasets import load_breast_cancer

patients = load_breast_cancer(as_frame=True).frame
patients.columns = [name.replace(" ", "_") for name in patients.columns]
part = patients.head(400) if sys.argv[1] == "first" else patients.tail(-400)
deltalake.write_deltalake("measurements", part, mode="append")
print(f"version {deltalake.DeltaTable('measurements').version()}: {len(part)} patients more")
