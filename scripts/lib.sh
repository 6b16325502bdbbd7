# shellcheck shell=bash
# What the scripts share. Sourced, never run.

# The root of the source tree.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# The oldest Rust that builds it (rust-version in Cargo.toml).
RUST_NEEDED=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml")

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

need_root() { [ "$(id -u)" = 0 ] || die "must be run as root: it makes network namespaces ($1)"; }

# need_packages PACKAGE...: installs those Debian packages that are missing.
need_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "missing packages, and no apt-get to install them with: ${missing[*]}"
    [ "$(id -u)" = 0 ] || die "missing packages: apt-get install ${missing[*]}"
    say "installing ${missing[*]}"
    # A list of packages may be old or absent; a failed update is only fatal if the install fails too.
    apt-get -q update >/dev/null 2>&1 || true
    DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}" >/dev/null ||
        die "could not install ${missing[*]}"
}

# need_rust: a cargo that is new enough, from where Debian or rustup put it.
need_rust() {
    [ -d "$HOME/.cargo/bin" ] && PATH=$HOME/.cargo/bin:$PATH
    need_packages gcc libc6-dev
    if ! command -v cargo >/dev/null; then
        apt-get -q update >/dev/null 2>&1 || true
        if apt-cache show rustup >/dev/null 2>&1; then
            need_packages rustup && rustup default stable
        else
            need_packages cargo
        fi
    fi
    local have
    have=$(rustc --version | cut -d' ' -f2)
    [ "$(printf '%s\n%s\n' "$RUST_NEEDED" "$have" | sort -V | head -n 1)" = "$RUST_NEEDED" ] ||
        die "rustc $have is too old, $RUST_NEEDED or newer is needed: https://rustup.rs"
}
