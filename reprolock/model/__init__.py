"""The nouns: frozen values that are valid once they exist. No IO, no clock, no environment here.

    Spec ─▶ Lock ─▶ Workspace ─▶ Outcome ─▶ Record ─▶ Verdict

Each noun has one module; `uri` and `digest` are what they are made of.
"""
