#!/bin/sh
# Runs after a removal (remove) and after a purge (purge). The user is kept until a purge, because its groups are settings of
# the administrator.
set -e

case "$1" in
remove)
	if [ -d /run/systemd/system ]; then
		systemctl --system daemon-reload
	fi
	;;
purge)
	deb-systemd-helper purge kamailio_exporter.service kamailio_exporter.socket >/dev/null
	rm -f /etc/systemd/system/multi-user.target.wants/kamailio_exporter@*.service # of enabled instances
	if id kamailio_exporter >/dev/null 2>&1; then
		userdel kamailio_exporter # also removes its group
	fi
	;;
esac
