"""Objects whose checksum only their lake can compute: notes in a cache say which bytes they have."""

from __future__ import annotations

from reprolock.files.object_cache import ObjectCache
from reprolock.lake.protocol import Object
from reprolock.model.content import Content


def note_opaque(cache: ObjectCache, scheme: str, repository: str, item: Object, content: Content) -> None:
    """Note in a cache which bytes an object has whose checksum only its lake can compute."""
    cache.write_note(opaque_name(scheme, repository, item), content.checksum.encode())


def opaque_name(scheme: str, repository: str, item: Object) -> bytes:
    """All that is known of bytes whose checksum only its maker understands: it names them in its repository alone."""
    return repr((scheme, repository, item.checksum, item.size)).encode()
