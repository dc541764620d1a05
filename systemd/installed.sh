#!/bin/sh
# Run by `meson install`: makes the users and /run/pgcertd, and has systemd read the units. Nothing
# is started or enabled. Not for DESTDIR (a package does this itself), not without root or systemd.
set -eu
[ -z "${DESTDIR:-}" ] && [ "$(id -u)" = 0 ] && [ -d /run/systemd/system ] || exit 0
prefix=$MESON_INSTALL_PREFIX
systemd-sysusers "$prefix/lib/sysusers.d/pgcertd.conf"
systemd-tmpfiles --create "$prefix/lib/tmpfiles.d/pgcertd.conf"
journalctl --update-catalog
systemctl daemon-reload
