"""A local stack: a real lakeFS on a real object store, and an MLflow server, as processes of one project on loopback.

    programs ─▶ ports, keys ─▶ servers ─▶ processes        `verbs` holds up, down, status, variables and logs

It stands beside the line of data and not in it: with what `variables` gives, a project finds the stack's
servers as it would find any others.
"""
