"""The verbs. Each module is one step of the line of data; each takes nouns of `reprolock.model` and returns the next.

    lock       Spec ─▶ Lock              resolve, jars, environment; check says what is stale, status what moved on
    run        Lock ─▶ Record            ready ─▶ perform (rebuild ─▶ the command ─▶ measure, publish) ─▶ recording, reporting
    replay     Record ─▶ Verdict         recorded ─▶ ready ─▶ perform ─▶ compare
    verify     Lock against the world    as does pins, in a moment, before each run

A step asks the packages beside it (files, lake, environment, engine, tracker) and knows none of their
foreign libraries. It never prints: what a person sees is made of what it returns.

Where a command wants files, `materialise` brings a pinned dataset to the disk, and `data_get` an address of the lake:

    listing ─▶ what stands in the tree ─▶ what the cache has ─▶ what must be fetched ─▶ links, renamed into place
               (local_tree)               (fetching)            (lake.transfer)         (local_tree)
"""
