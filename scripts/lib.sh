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

POLICY=/usr/sbin/policy-rc.d
saved_policy=

# What was there comes back, however this ends.
restore_policy() {
    [ -n "$saved_policy" ] || return 0
    if [ -e "$saved_policy/policy-rc.d" ]; then
        mv -f "$saved_policy/policy-rc.d" "$POLICY"
    else
        rm -f "$POLICY"
    fi
    rm -rf "$saved_policy"
    saved_policy=
}

# need_packages_asleep PACKAGE...: as need_packages, for servers that are only wanted as children of a test: while they
# are installed, policy-rc.d forbids to start any service here, and the next boot does not start them either.
need_packages_asleep() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "missing packages: apt-get install ${missing[*]}"
    saved_policy=$(mktemp -d)
    trap restore_policy EXIT
    trap 'exit 130' INT TERM HUP
    if [ -e "$POLICY" ]; then cp -a "$POLICY" "$saved_policy/policy-rc.d"; fi
    # Beside and renamed: never half a file, and a policy that is a symlink is replaced, not written through.
    printf '#!/bin/sh\nexit 101\n' >"$POLICY.asleep"
    chmod 755 "$POLICY.asleep"
    mv -f "$POLICY.asleep" "$POLICY"
    need_packages "${missing[@]}"
    restore_policy
    trap - EXIT INT TERM HUP
    # A package's services, by the units it brought: none is named after all packages.
    if command -v systemctl >/dev/null; then
        local unit
        for unit in $(dpkg-query -L "${missing[@]}" | sed -nE 's,.*/lib/systemd/system/([^/@]*\.(service|socket|timer))$,\1,p'); do
            systemctl disable --quiet "$unit" >/dev/null 2>&1 || true
        done
    fi
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
