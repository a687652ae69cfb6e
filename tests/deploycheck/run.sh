#!/bin/sh
# make deploycheck: docs/install.md ("The long way") followed on a fresh Debian 12 in a folder, with
# its own systemd and without a network; a mail by Postfix, Rspamd and gate; kill -9 of each unit; a reboot.
# Root on Debian with debootstrap and systemd-container; 3 GB below /var/tmp, five to ten minutes.
set -eu
here=$(cd "$(dirname "$0")/../.." && pwd)
[ "$(id -u)" = 0 ] || { echo "deploycheck: needs root" >&2; exit 2; }
for tool in debootstrap systemd-nspawn nsenter git; do
    command -v $tool >/dev/null || { echo "deploycheck: $tool is missing (apt-get install debootstrap systemd-container git)" >&2; exit 2; }
done
work=$(mktemp -d /var/tmp/deploycheck.XXXXXX)
root=$work/root
machine=
init=
inside() {
    nsenter --target "$init" --mount --uts --ipc --net --pid --cgroup --root --wd -- \
        env -i PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
}
end() {
    status=$?
    if [ -n "$machine" ] && kill -0 "$machine" 2>/dev/null; then
        [ $status = 0 ] || inside journalctl --unit='bailey*' --no-pager --lines=40 || true
        inside systemctl poweroff 2>/dev/null || true
        wait "$machine" 2>/dev/null || true
    fi
    rm -rf "$work"
    exit $status
}
trap end EXIT
trap 'exit 130' INT TERM

echo "A fresh Debian 12 in $work …"
debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,libpam-systemd,ca-certificates,iproute2,procps,curl,openssl,adduser \
    bookworm "$root" "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/debootstrap.log"
cp -r /usr/local/share/ca-certificates/. "$root/usr/local/share/ca-certificates/" # of a company's proxy
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" update-ca-certificates >/dev/null 2>&1
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing starts while it is a folder
chmod 755 "$root/usr/sbin/policy-rc.d"
echo "postfix postfix/main_mailer_type select No configuration" | chroot "$root" debconf-set-selections
chroot "$root" apt-get -qq update
DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get -qq install --yes --no-install-recommends \
    git python3 python3-venv python3-pip-whl postgresql redis-server nginx postfix postfix-lmdb rspamd \
    dnsmasq >"$work/apt.log" 2>&1
rm "$root/usr/sbin/policy-rc.d"
git clone --quiet --no-hardlinks "$here" "$root/opt/bailey"
chroot "$root" sh -c 'cd /opt/bailey && UV_COMPILE_BYTECODE=1 python3 deploy/bootstrap.py &&
    .venv/bin/python -m compileall -q -j 0 console incidents seg_bridge api_bridge tenants'

echo mx1 >"$root/etc/hostname"
echo "127.0.0.1 localhost mx1 soc.example.com mail-security.example.com ingest.example.com mx1.example.com" >"$root/etc/hosts"
echo "nameserver 127.0.0.1" >"$root/etc/resolv.conf"
printf 'no-resolv\nlisten-address=127.0.0.1\nbind-interfaces\nlocal=/#/\ntxt-record=sender.example,"v=spf1 ip4:127.0.0.1 -all"\nhost-record=sender.example,192.0.2.7\n' \
    >"$root/etc/dnsmasq.d/check.conf"
: >"$root/etc/machine-id"
boot() {
    systemd-nspawn --directory="$root" --boot --private-network --register=no --keep-unit --machine=mx1 \
        --resolv-conf=off --timezone=off --console=pipe </dev/null >>"$work/boot.log" 2>&1 &
    machine=$!
    for _ in $(seq 90); do
        sleep 1
        init=$(pgrep -P "$machine" | head -1)
        [ -n "$init" ] || continue
        if inside systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; then return; fi
    done
    echo "deploycheck: the machine does not boot" && exit 1
}
boot
inside bash /opt/bailey/tests/deploycheck/inside.sh begin
inside systemctl reboot || true
wait "$machine" || true # with 133: its unit, if it had one, would start it again
boot
inside bash /opt/bailey/tests/deploycheck/inside.sh again
echo "Everything started, worked, came back (kill -9, reboot) and stopped."
