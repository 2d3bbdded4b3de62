#!/usr/bin/env bash
# Installs what the lab needs on a Debian 12 host: QEMU, the tools that build the guest's image, ssh.
# As root. Does nothing, and asks the mirror nothing, when all of it is there.
set -euo pipefail

packages=(qemu-system-x86 qemu-utils debootstrap e2fsprogs openssh-client)

missing=()
for package in "${packages[@]}"; do
  # ${db:...} is dpkg-query's own syntax, not the shell's.
  # shellcheck disable=SC2016
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "the lab needs ${missing[*]}: run $0 as root" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
