"""`GitLake`: the embedded lake, bare Git repositories in a folder."""
