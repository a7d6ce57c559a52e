"""Completion of commands and flags: scripts for three shells, and the words that these ask the console command for."""

from collections.abc import Callable
from types import ModuleType

from absl import flags

from spotrust_jax.command_line.help import Command, sections
from spotrust_jax.errors import InputError

# Where there are no words, shells complete names of files. bash takes "=" for the beginning of a word.
_SCRIPTS = {
    "bash": r"""
_spotrust() {
    local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\n'
    COMPREPLY=($(spotrust completion --line="$line" 2>/dev/null))
    [[ ${line##* } != *=* ]] || COMPREPLY=("${COMPREPLY[@]#*=}")
    [[ ${COMPREPLY[0]} != *= ]] || compopt -o nospace
}
complete -o default -F _spotrust spotrust
""",
    "zsh": r"""
_spotrust() {
    local -a found
    found=(${(f)"$(spotrust completion --line="${(j: :)words[1,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then
        compadd -S '' -- $found
    else
        compset -P '*='
        _files
    fi
}
compdef _spotrust spotrust
""",
    "fish": r"""
function __spotrust_words
    spotrust completion --line=(commandline -cp) 2>/dev/null
end
complete -c spotrust -f -a '(__spotrust_words)'
complete -c spotrust -n 'not string length -q -- (__spotrust_words)' -F
""",
}


def script(shell: str) -> str:
    """What the shell is to read.

    Raises:
        InputError: for a shell that is not known.
    """
    if shell not in _SCRIPTS:
        raise InputError(f"completion is for {', '.join(_SCRIPTS)}: there is none for {shell!r}")
    return _SCRIPTS[shell].strip()


def words(line: str, commands: list[Command], load: Callable[[str], ModuleType]) -> list[str]:
    """What the last word of a command line may become; nothing where that is the name of a file.

    Args:
        line: as far as it is typed.
        commands: the programs.
        load: imports one of them.
    """
    _, *before, current = line.split(" ")
    before, names = [word for word in before if word], [command.name for command in commands]
    if not before:
        found = [*names, "completion", "--help", "--version"]
    elif before == ["completion"]:
        found = list(_SCRIPTS)
    elif before[0] in names:
        program = load(before[0])
        flags_of = [flag for section in sections(program, str(program.__package__)) for flag in section.flags]
        found = ["--help", *(word for flag in flags_of for word in _words(flag, "=" in current))]
    else:
        found = []
    return [word for word in found if word.startswith(current)]


def _words(flag: flags.Flag, with_value: bool) -> list[str]:
    """The flag with each of the values that it can have, where these are few, or without."""
    if not with_value:
        return [f"--{flag.name}" if flag.boolean else f"--{flag.name}="]
    values = flag.parser.enum_values if isinstance(flag, flags.EnumFlag) else []
    return [f"--{flag.name}={value}" for value in values]
