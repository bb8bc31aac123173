#!/bin/sh
# Runs before a removal, from the deb (remove), the rpm (number of versions that stay) and the apk (VERSION); the deb and
# the rpm run it before an upgrade too, which must not stop the service.
set -e

case "$1" in
remove)
	if [ -d /run/systemd/system ]; then
		deb-systemd-invoke stop kamailio_exporter.socket kamailio_exporter.service
	fi
	;;
0)
	if command -v systemctl >/dev/null; then
		systemctl --no-reload disable kamailio_exporter.socket kamailio_exporter.service
	fi
	if [ -d /run/systemd/system ]; then
		systemctl stop kamailio_exporter.socket kamailio_exporter.service
	fi
	;;
[0-9]*.*) # an apk's version
	if command -v rc-service >/dev/null; then
		rc-service --ifstarted kamailio_exporter stop
		rc-update --quiet --all delete kamailio_exporter || true # it need not be in a runlevel
	fi
	;;
esac
