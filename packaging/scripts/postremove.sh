#!/bin/sh
# Runs after a removal, from the deb (remove, then purge), the rpm (number of versions that stay) and the apk (VERSION).
# The user stays until a purge: the groups that an administrator put it into are settings.
set -e

case "$1" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
	fi
	;;
purge)
	deb-systemd-helper purge kamailio_exporter.service kamailio_exporter.socket >/dev/null
	if id kamailio_exporter >/dev/null 2>&1; then
		userdel kamailio_exporter # and its group, which has its name
	fi
	;;
esac
