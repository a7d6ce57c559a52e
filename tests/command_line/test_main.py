"""The console command around its programs: help, version, completion, Ctrl-C."""

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import spotrust_jax
from spotrust_jax.config import PretrainConfig, TrainConfig
from spotrust_jax.fields import describe

REPOSITORY = Path(__file__).resolve().parents[2]
SPOTRUST = [sys.executable, "-c", "from spotrust_jax.command_line.main import main; main()"]
# The programs of the contract that must be among the commands; launch/ may have more.
PROGRAMS = (
    "predict",
    "train",
    "prepare_data",
    "calibrate",
    "evaluate",
    "compare",
    "convert",
    "export",
    "fleet",
    "demo",
)


def spotrust(*arguments, **environment):
    environment = {**os.environ, "COLUMNS": "100", **environment}
    return subprocess.run(
        [*SPOTRUST, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )


def modules():
    """Files of launch/ that define a program, as their source says."""
    return [path.stem for path in (REPOSITORY / "launch").glob("*.py") if "\ndef main() -> int:" in path.read_text()]


def test_help_names_every_program_with_what_it_does():
    for flag in ("--help", "-h", "help"):
        result = spotrust(flag)
        assert result.returncode == 0 and not result.stderr
    listed = re.findall(r"^  (\w+)  +[A-Z]\w+", result.stdout, re.MULTILINE)
    assert listed == sorted(modules()) and set(PROGRAMS) <= set(listed)
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize("program", modules())
def test_help_of_a_program_has_its_flags_and_their_defaults(program):
    """Flags as the sources define them, and none of absl's."""
    result = spotrust(program, "--help")
    assert result.returncode == 0 and not result.stderr
    assert result.stdout.startswith(f"usage: spotrust {program}")
    source = (REPOSITORY / "launch" / f"{program}.py").read_text()
    shared = [
        name for name in re.findall(r"\w+_flags|distributed", source.split("\ndef ")[0]) if name != "config_flags"
    ]
    sources = [source, *((REPOSITORY / "launch" / f"{name}.py").read_text() for name in {*shared, "program"})]
    defined = {name for text in sources for name in re.findall(r'DEFINE_\w+\(\s*"(\w+)"', text)}
    shown = set(re.findall(r"^  --(?:\[no\])?(\w+)", result.stdout, re.MULTILINE))
    assert shown == defined
    assert not re.search(r"helpfull|flagfile|undefok|logtostderr|absl|None\b", result.stdout)
    assert "where to compute" in result.stdout.lower() and "(default: auto)" in result.stdout


def test_help_says_what_is_required_and_what_the_defaults_are():
    result = spotrust("predict", "--help")
    text = " ".join(result.stdout.split())
    assert text.startswith("usage: spotrust predict") and "--input=..." in text.partition("Flags:")[0]
    for words in (
        "--num_samples=N Stochastic passes of each network. (default: 24)",
        "--palette=paper|colour_blind Colours of pictures. (default: paper)",
        "--[no]calibrated Whether probabilities are calibrated, where the model is. (default: true)",
        "--output=... Folder for the maps. (required)",
    ):
        assert words in text
    module = subprocess.run(
        [sys.executable, "-m", "launch.predict", "--help"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert module.returncode == 0 and " ".join(module.stdout.split()) == text


@pytest.mark.parametrize(("program", "config"), [("train", TrainConfig()), ("pretrain", PretrainConfig())])
def test_help_lists_every_field_of_the_configuration_with_range_and_default(program, config):
    text = " ".join(spotrust(program, "--help").stdout.split())
    fields = list(describe(config))
    assert {field.path for field in fields} >= {"seed", "model.preset", "augmentation.crop_size"}
    for field in fields:
        assert f"--config.{field.path}=... {field.meaning} ({field.values}; default: {field.default})" in text
    assert "(a finite number above 0; default: 0.003)" in text or program == "pretrain"


def test_version_is_that_of_the_package():
    result = spotrust("--version")
    assert (result.returncode, result.stdout) == (0, f"spotrust {spotrust_jax.__version__}\n")
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", spotrust_jax.__version__)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no command is given"),
        (["predikt"], "did you mean predict?"),
        (["predict"], "--input, --output must be given"),
        (["predict", "--inputs=x"], "Did you mean: input ?"),
        (["predict", "photograph.jpg"], "'photograph.jpg': options are written --name=value"),
        (["completion", "tcsh"], "none for 'tcsh'"),
    ],
)
def test_wrong_command_lines_are_one_line(arguments, words):
    if words.startswith("'photo"):
        arguments = [*arguments, "--checkpoint=x", "--input=x", "--output=x"]
    result = spotrust(*arguments)
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and words in result.stderr


def completed(line):
    """What bash makes of a line: the words it offers, as it would call the function."""
    script = spotrust("completion", "bash").stdout
    ask = """
        spotrust() { "$PYTHON" -c 'from spotrust_jax.command_line.main import main; main()' "$@"; }
        compopt() { :; }
        COMP_LINE=$1 COMP_POINT=${#1}; _spotrust
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    command = ["bash", "-c", f"{script}\n{ask}", "bash", line]
    environment = {**os.environ, "PYTHON": sys.executable}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert not result.stderr
    return result.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_commands_flags_and_values():
    assert completed("spotrust predi") == ["predict"]
    assert completed("spotrust pre") == [name for name in sorted(modules()) if name.startswith("pre")]
    assert completed("spotrust predict --pa") == ["--palette=", "--panel"]
    assert completed("spotrust predict --input=x --palette=") == ["paper", "colour_blind"]
    assert completed("spotrust predict --palette=c") == ["colour_blind"]
    assert completed("spotrust predict --input=") == []  # names of files
    assert completed("spotrust completion ") == ["bash", "zsh", "fish"]


# What the shell makes of a line when Tab is pressed; names of files where the program offers none.
COMPLETED = {
    "spotrust predi": "spotrust predict",
    "spotrust predict --pal": "spotrust predict --palette=",
    "spotrust predict --palette=c": "spotrust predict --palette=colour_blind",
    "spotrust predict --input=READM": "spotrust predict --input=README.md",
}


@pytest.fixture
def command(tmp_path):
    """Environment of a shell in which `spotrust` is this checkout's."""
    script = tmp_path / "spotrust"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(SPOTRUST)} "$@"\n')
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path), "TERM": "dumb"}


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes(command):
    offered = {line: [whole.split()[-1]] for line, whole in COMPLETED.items()}
    offered["spotrust predict --palette="] = ["--palette=colour_blind", "--palette=paper"]  # and no files
    for line, expected in offered.items():
        ask = f"spotrust completion fish | source; complete -C {shlex.quote(line)}"
        shown = subprocess.run(
            ["fish", "-c", ask], cwd=REPOSITORY, env=command, capture_output=True, text=True, check=True
        )
        assert not shown.stderr and shown.stdout.split() == expected


@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_zsh_completes(command):
    terminal, other_end = pty.openpty()
    streams = {"stdin": other_end, "stdout": other_end, "stderr": other_end, "start_new_session": True}
    zsh = subprocess.Popen(["zsh", "-f", "-i"], cwd=REPOSITORY, env=command, **streams)
    start = "PS1=; autoload -Uz compinit; compinit -u -D; source <(spotrust completion zsh); print -- READ''Y"
    _typed(terminal, f"{start}\n", until="READY")
    for line, expected in COMPLETED.items():
        assert expected in _typed(terminal, f"{line}\t", until=expected)
        os.write(terminal, b"\x15")  # Ctrl-U: an empty line
    zsh.kill()
    zsh.wait()
    os.close(terminal)
    os.close(other_end)


def _typed(terminal, keys, until, seconds=60):
    """What the terminal shows after these keys, once `until` is there or the time is over."""
    shown, end = "", time.monotonic() + seconds
    os.write(terminal, keys.encode())
    while until not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 1.0)[0]:
            shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


@pytest.mark.parametrize(
    ("variable", "flag", "words"),
    [
        ("cuda", "auto", "JAX_PLATFORMS=cuda asks for a platform that is not there: unset it or give --platform=cpu"),
        ("nonsense", "auto", "JAX_PLATFORMS=nonsense asks for a platform that is not there"),
        ("", "tpu", "--platform=tpu is not on this machine: try --platform=auto"),
        ("cuda", "tpu", "--platform=tpu is not on this machine: unset JAX_PLATFORMS, or try --platform=cpu"),
    ],
)
def test_a_platform_that_is_not_there_is_named_by_what_asked_for_it(variable, flag, words, tmp_path):
    result = spotrust("compare", f"--workdir={tmp_path}", f"--platform={flag}", JAX_PLATFORMS=variable)
    assert result.returncode == 2 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert words in result.stderr


def test_public_names_are_listed():
    assert {"load", "Segmenter", "Prediction", "InputError", "__version__"} == set(dir(spotrust_jax))
    for name in dir(spotrust_jax):
        assert getattr(spotrust_jax, name) is not None


@pytest.fixture
def heeding_interrupts():
    """A shell starts what runs in its background, such as these tests, deaf to Ctrl-C, and so what they start."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted(command, seconds, **environment):
    """Exit code, what was printed, and how long the process took to end after Ctrl-C."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        time.sleep(seconds)
        assert process.poll() is None, "ended too early to be interrupted"
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        printed = process.communicate(timeout=30)[0].decode()
        return process.returncode, printed, time.monotonic() - start
    finally:
        process.kill()


@pytest.mark.usefixtures("heeding_interrupts")
@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.6, 1.0, 1.5, 2.5, 4.0])
def test_ctrl_c_is_one_line_and_code_130(seconds, tmp_path):
    """While it imports, draws scenes, compiles and trains."""
    command = [*SPOTRUST, "demo", f"--workdir={tmp_path}", "--platform=cpu"]
    code, printed, _ = interrupted(command, seconds)
    assert code == 130
    assert [line for line in printed.splitlines() if "error" in line.lower()] == ["error: interrupted"]
    assert "Traceback" not in printed and "KeyboardInterrupt" not in printed


PROGRAM = """
import ctypes, sys, time
from spotrust_jax.launch import program

def swallows():
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

def compiled_code():
    ctypes.CDLL(None).sleep(60)

class Finalised:
    def __del__(self):
        time.sleep(60)

def finaliser():
    Finalised()
    while True:
        time.sleep(0.01)

def progress_bar():
    from tqdm import tqdm
    for _ in tqdm(range(10), "photographs"):
        time.sleep(60)

def fails_instead():
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("cannot import name")

main = globals()[sys.argv.pop()]
program._prepare_jax = lambda join: None
program.run(main)
"""


@pytest.mark.usefixtures("heeding_interrupts")
@pytest.mark.parametrize(
    ("main", "most"), [("swallows", 7), ("compiled_code", 7), ("finaliser", 4), ("fails_instead", 4)]
)
def test_ctrl_c_cannot_get_lost(main, most):
    code, printed, seconds = interrupted([sys.executable, "-c", PROGRAM, main], 0.5)
    assert (code, printed) == (130, "error: interrupted\n")
    assert seconds < most


@pytest.mark.usefixtures("heeding_interrupts")
def test_ctrl_c_at_a_progress_bar_begins_a_line():
    code, printed, _ = interrupted([sys.executable, "-c", PROGRAM, "progress_bar"], 1.5)
    bar, line, end = printed.split("\n")
    assert code == 130 and "photographs:   0%" in bar and (line, end) == ("error: interrupted", "")


@pytest.mark.usefixtures("heeding_interrupts")
def test_second_ctrl_c_does_not_wait():
    command = [sys.executable, "-c", PROGRAM, "swallows"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=REPOSITORY)
    time.sleep(0.5)
    start = time.monotonic()
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert process.wait(timeout=10) == 130 and time.monotonic() - start < 3
    assert process.stderr.read() == b"error: interrupted\n"
