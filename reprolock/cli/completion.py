"""`completion`: the completion script of a shell."""

from __future__ import annotations

import click

from reprolock.cli.options import Settings, add_shared_options

_WHOLE_WORDS = r"""
_reprolock_whole_words() {
    # Bash breaks words at @, = and :, all of which names of runs have: join the pieces, and answer with the last one alone.
    local rest=$COMP_LINE breaks=${COMP_WORDBREAKS//[!@=:]} piece broken number
    local -a joined=()
    for ((number = 0; number <= COMP_CWORD; number++)); do
        piece=${COMP_WORDS[number]}
        if ((number)) && [[ -n $rest && $rest != [[:space:]]* ]]; then
            joined[${#joined[@]}-1]+=$piece
        else
            rest=${rest#"${rest%%[![:space:]]*}"}
            joined+=("$piece")
        fi
        rest=${rest#"$piece"}
    done
    local COMP_CWORD=$((${#joined[@]} - 1))
    local -a COMP_WORDS=("${joined[@]}")
    _reprolock_completion "$@"
    piece=${joined[COMP_CWORD]}
    [[ $piece == [\"\']* ]] && return
    if [[ -n $breaks ]]; then
        broken=${piece%"${piece##*[$breaks]}"}
        broken=${broken%@}  # which readline, unlike bash, takes for the beginning of a word
        COMPREPLY=("${COMPREPLY[@]#"$broken"}")
    fi
    COMPREPLY=("${COMPREPLY[@]/#\#/\\#}")  # else a comment
    if [[ ${COMPREPLY[0]-} == *= ]]; then
        compopt -o nospace
    fi
}

complete -o nosort -F _reprolock_whole_words reprolock
"""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@add_shared_options
def completion(settings: Settings, shell: str) -> None:
    """Print the completion script of a shell: `eval "$(reprolock completion bash)"`."""
    from click.shell_completion import get_completion_class  # only where the script is asked for

    from reprolock.cli.main import reprolock as group

    found = get_completion_class(shell)
    assert found is not None  # the three choices above are click's own
    script = found(group, {}, "reprolock", "_REPROLOCK_COMPLETE").source()
    if shell == "bash":
        script += _WHOLE_WORDS
    settings.document(script.rstrip("\n") + "\n")
    settings.result({"shell": shell, "script": script})
