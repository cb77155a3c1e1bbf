#!/bin/sh
# Install the missing ones of the named Debian packages; without root, print the command.
# On systems without dpkg, do nothing: the libraries come another way there.
set -eu

command -v dpkg-query >/dev/null || exit 0

missing=
for package in "$@"; do
    # newer releases rename some libraries to NAMEt64
    dpkg-query -W -f '${db:Status-Status}\n' "$package" "${package}t64" 2>/dev/null |
        grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "System packages are missing. Install them, then run make again:" >&2
    echo "    sudo apt-get update && sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # one word per package
apt-get install -qq -y --no-install-recommends $missing >/dev/null
