# Sourced by the other tools: makes the virtual environment at the project's root and finds or
# installs the cross compiler. Everything is skipped when already in place.

set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
python=.venv/bin/python

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
stop() { printf '%s\n' "$*" >&2; exit 2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
    else return 1
    fi
}

# install WHAT PACKAGE…: install Debian packages because WHAT is missing, or say how
install() {
    what=$1
    shift
    command -v apt-get >/dev/null ||
        stop "$what is missing and this system has no apt-get. Install the equivalent of: $*"
    as_root true || stop "$what is missing. Install it, then run this again:  sudo apt-get install -y $*"
    say "Installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
        >/dev/null || stop "apt-get could not install $*"
}

# need COMMAND PACKAGE…: install packages unless the command is there
need() {
    command -v "$1" >/dev/null || install "$@"
}

# make_venv KIND: the package with what KIND (demo or test) needs; a stamp makes re-running fast
make_venv() {
    need python3 python3 python3-venv
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "Python 3.11 or newer is needed; python3 is $(python3 -V)"
    if [ ! -x "$python" ] || ! "$python" -m pip --version >/dev/null 2>&1; then
        say "Making the virtual environment .venv"
        if ! python3 -m venv .venv >/dev/null 2>&1; then
            rm -rf .venv
            install python3-venv python3-venv
            python3 -m venv .venv
        fi
    fi
    stamp=.venv/m7sim-$1.stamp
    if [ ! -e "$stamp" ] || ! cmp -s pyproject.toml "$stamp"; then
        say "Installing the package ($1)"
        pip="$python -m pip install -q --disable-pip-version-check"
        $pip --upgrade 'pip>=25.1' # the first with --group
        if [ "$1" = test ]; then $pip -e '.[figures,sweeps,networks]' --group dev; else $pip -e '.[figures,sweeps]'; fi
        cp pyproject.toml "$stamp"
    fi
}

need_compiler() {
    need arm-none-eabi-gcc gcc-arm-none-eabi libnewlib-arm-none-eabi
    # the compiler can be there without its C library
    [ "$(arm-none-eabi-gcc -print-file-name=libc.a)" != libc.a ] ||
        install newlib libnewlib-arm-none-eabi
}
