"""The options of Spark's CSV reader that are honoured, as one value."""

from __future__ import annotations

from typing import NamedTuple

from reprolock.readers.source import Source

_KNOWN = (
    "header",
    "inferschema",
    "sep",
    "delimiter",
    "quote",
    "escape",
    "comment",
    "nullvalue",
    "emptyvalue",
    "mode",
    "multiline",
    "encoding",
    "charset",
    "enforceschema",
    "ignoreleadingwhitespace",
    "ignoretrailingwhitespace",
)
BLANKS = "".join(map(chr, range(33)))
"""What Java's `trim` takes away."""


class Settings(NamedTuple):
    """`quote`, `escape` and `comment` are "" where they are turned off; `null` and `empty` are nullValue and emptyValue.

    `enforce` is enforceSchema: without it, a column must have the name that stands in the header. `blanks`: whether a line
    of blanks alone is more than nothing.
    """

    header: bool
    infer: bool
    separator: str
    quote: str
    escape: str
    comment: str
    null: str
    empty: str
    drop: bool
    fail: bool
    multiline: bool
    enforce: bool
    trim_left: bool
    trim_right: bool
    blanks: bool

    @property
    def is_simple(self) -> bool:
        """Whether pyarrow has all that is asked for."""
        single = all(len(sign) <= 1 and sign.isascii() for sign in (self.separator, self.quote, self.escape))
        return single and not (self.comment or self.trim_left or self.trim_right)

    def counts(self, line: str) -> bool:
        """Whether a line is a row or a header: blank ones and comments are passed over."""
        return bool(line.strip(BLANKS)) and not (self.comment and line.startswith(self.comment))


def settings_of(source: Source) -> Settings:
    """UsageError names an option, or a value of one, that only Spark understands."""
    source.check_options(_KNOWN)
    source.check_encoding()
    given = source.options
    mode = given.get("mode", "PERMISSIVE").upper()
    if mode not in ("PERMISSIVE", "DROPMALFORMED", "FAILFAST"):
        raise source.refusal(f'the option "mode" with the value "{mode}"')
    settings = Settings(
        header=source.flag("header"),
        infer=source.flag("inferschema"),
        separator=_separator(source),
        quote=_sign(source, "quote", '"'),
        escape=_sign(source, "escape", "\\"),
        comment=_sign(source, "comment", ""),
        null=given.get("nullvalue", ""),
        empty=given.get("emptyvalue", ""),
        drop=mode == "DROPMALFORMED",
        fail=mode == "FAILFAST",
        multiline=source.flag("multiline"),
        enforce=source.flag("enforceschema", "true"),
        trim_left=source.flag("ignoreleadingwhitespace"),
        trim_right=source.flag("ignoretrailingwhitespace"),
        blanks=source.counts_blanks,
    )
    _check(source, settings)
    return settings


def _check(source: Source, settings: Settings) -> None:
    signs = [sign for sign in (settings.separator, settings.quote, settings.comment) if sign]
    if len(set(signs)) < len(signs) or settings.separator == settings.escape:
        raise source.refusal("one character with two meanings (sep, quote, escape, comment)")
    if settings.multiline and not settings.is_simple:
        raise source.refusal("multiLine together with comment, white space options or long separators")


def _separator(source: Source) -> str:
    option = "sep" if "sep" in source.options else "delimiter"
    text = source.options.get(option, ",")
    text = "\t" if text == "\\t" else text
    if not text or "\\" in text or any(sign in text for sign in "\r\n\0"):
        raise source.refusal(f'the option "{option}" with the value {text!r}')
    return text


def _sign(source: Source, option: str, default: str) -> str:
    text = source.options.get(option, default)
    if len(text) > 1 or text in ("\r", "\n", "\0") or ord(text or "a") > 0xFFFF:
        raise source.refusal(f'the option "{option}" with the value {text!r}')
    return text
