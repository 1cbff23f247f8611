# Sourced by the other tools: makes the virtual environment at the project's root and finds or
# installs the cross compiler. Everything is skipped when already in place.
# usage: . tools/setup.sh [extra packages of pip …]

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

# need COMMAND PACKAGE…: install Debian packages unless the command is there
need() {
    command -v "$1" >/dev/null && return 0
    wanted=$1
    shift
    command -v apt-get >/dev/null ||
        stop "$wanted is missing and this system has no apt-get. Install the equivalent of: $*"
    as_root true ||
        stop "$wanted is missing. Install it, then run this again:  sudo apt-get install -y $*"
    say "Installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" \
        >/dev/null || stop "apt-get could not install $*"
}

# make_venv EXTRAS GROUP: a stamp of pyproject.toml makes re-running fast
make_venv() {
    interpreter=$(command -v python3) || { need python3 python3 python3-venv; interpreter=python3; }
    "$interpreter" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "Python 3.11 or newer is needed, $interpreter is $("$interpreter" -V)"
    if [ ! -x "$python" ] || ! "$python" -m pip --version >/dev/null 2>&1; then
        say "Making the virtual environment .venv"
        if ! "$interpreter" -m venv .venv >/dev/null 2>&1; then
            rm -rf .venv
            as_root true ||
                stop "python3-venv is missing. Install it:  sudo apt-get install -y python3-venv"
            as_root apt-get update -qq
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            "$interpreter" -m venv .venv
        fi
    fi
    stamp=.venv/m7sim-$1.stamp
    if [ ! -e "$stamp" ] || ! cmp -s pyproject.toml "$stamp"; then
        say "Installing the package ($1)"
        # groups need pip 25.1
        "$python" -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1'
        shift_args=$1
        case $shift_args in
            test) "$python" -m pip install -q --disable-pip-version-check -e '.[figures]' --group dev ;;
            *) "$python" -m pip install -q --disable-pip-version-check -e '.[figures]' ;;
        esac
        cp pyproject.toml "$stamp"
    fi
}

need_compiler() {
    need arm-none-eabi-gcc gcc-arm-none-eabi libnewlib-arm-none-eabi
    # the compiler can be there without its C library
    [ "$(arm-none-eabi-gcc -print-file-name=libc.a)" != libc.a ] || {
        as_root true || stop "newlib is missing. Install it:  sudo apt-get install -y libnewlib-arm-none-eabi"
        as_root apt-get update -qq
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libnewlib-arm-none-eabi >/dev/null
    }
}
