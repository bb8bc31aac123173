#!/bin/sh
# Runs after a removal (remove, then purge). The user stays until a purge: the groups that an administrator put it into are
# settings.
set -e

case "$1" in
remove)
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload
	fi
	;;
purge)
	deb-systemd-helper purge kamailio_exporter.service kamailio_exporter.socket >/dev/null
	if id kamailio_exporter >/dev/null 2>&1; then
		userdel kamailio_exporter # and its group, which has the same name
	fi
	;;
esac
