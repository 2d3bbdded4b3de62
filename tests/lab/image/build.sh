#!/usr/bin/env bash
# Builds the guest of the lab: Debian 12 with systemd, udev, sshd, FFmpeg, vivid and v4l2loopback.
#
#   build.sh OUT AUTHORISED_KEY
#
# OUT (made by the caller, empty) receives disk.raw, vmlinuz, initrd.img and host_key.pub. As root: it needs a chroot.
# Mirror, keys, proxies and pins are the host's own: its apt configuration is copied in and taken out again, so
# that nothing in here names a registry, and the finished guest knows of none.
set -euo pipefail

out=$1
authorised_key=$2
here=$(cd "$(dirname "$0")" && pwd)
release=bookworm
root=$out/root

die() {
  echo "lab image: $*" >&2
  exit 1
}

[ "$(id -u)" -eq 0 ] || die "building the image needs root (debootstrap, chroot)"

unmount() {
  for point in sys proc; do
    if mountpoint -q "$root/$point"; then umount "$root/$point"; fi
  done
}
trap unmount EXIT

# What the host's apt fetches the release from; debootstrap cannot read that configuration itself.
# shellcheck disable=SC2016
targets=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages')
mirror=$(awk -v release="$release" '$1 == release && $2 == "main" { print $3; exit }' <<<"$targets")
[ -n "$mirror" ] || die "the host's apt sources hold no $release/main: the guest is built from the host's own mirror"
eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
export http_proxy=${http_proxy:-} https_proxy=${https_proxy:-}

# debootstrap brings only what apt needs; apt, with the host's configuration, brings the rest in one transaction.
debootstrap --variant=minbase --include=ca-certificates "$release" "$root" "$mirror"

in_guest() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }

mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mkdir "$out/apt"
cp -a "$root/etc/apt/." "$out/apt"
rm -rf "$root/etc/apt"
cp -a /etc/apt "$root/etc/apt"
cp -a -n /usr/share/keyrings/. "$root/usr/share/keyrings/"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
  cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
fi
# No package may start a daemon in the chroot.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
# In place before the kernel's packages: they build the initrd with this configuration.
cp -a --no-preserve=ownership "$here/rootfs/." "$root/"

in_guest apt-get update -qq
in_guest apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold \
  systemd systemd-sysv udev dbus kmod openssh-server iproute2 procps python3 python3-venv sudo \
  ffmpeg v4l-utils ustreamer curl zstd linux-image-amd64 linux-headers-amd64 v4l2loopback-dkms v4l2loopback-utils
find "$root/lib/modules" -name 'v4l2loopback.ko*' | grep -q . || die "DKMS built no v4l2loopback for the guest's kernel"
in_guest apt-get clean

install -d -m 700 "$root/root/.ssh"
install -m 600 "$authorised_key" "$root/root/.ssh/authorized_keys"
echo lab >"$root/etc/hostname"
printf '127.0.0.1 localhost lab\n' >"$root/etc/hosts"
printf '/dev/vda / ext4 defaults,noatime 0 1\n' >"$root/etc/fstab"
in_guest systemctl enable -q systemd-networkd ssh
# Nothing in the lab waits for these, and emulated they cost seconds of every boot.
in_guest systemctl mask -q apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
  e2scrub_reap.service fstrim.timer systemd-networkd-wait-online.service man-db.timer
rm -rf "$root/etc/apt" "$root/usr/sbin/policy-rc.d" "$root/var/lib/apt/lists" "$root/etc/resolv.conf"
cp -a "$out/apt" "$root/etc/apt"
rm -f "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/*
in_guest update-ca-certificates --fresh >/dev/null
unmount

cp -L "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp -L "$root"/boot/initrd.img-* "$out/initrd.img"
cp "$root/etc/ssh/ssh_host_ed25519_key.pub" "$out/host_key.pub"
truncate -s 6G "$out/disk.raw"
mke2fs -q -t ext4 -L lab -d "$root" "$out/disk.raw"
rm -rf "$root" "$out/apt"
