"""Where records go: MLflow, and an outbox on disk for what cannot reach it.

    Record, files ──▶ Tracker ──▶ the MLflow run        (down: Outbox ──sync──▶ Tracker)

`open_tracker(place)` gives the `Tracker` of an address; `protocol` is the contract with the steps.
"""
