#!/bin/sh
# Runs before a removal, with the number of versions that stay: 0, or 1 in an upgrade, which does not stop the service.
set -e

if [ "$1" != 0 ]; then
	exit 0
fi
if command -v systemctl >/dev/null; then
	systemctl --no-reload disable kamailio_exporter.socket kamailio_exporter.service
fi
if [ -d /run/systemd/system ]; then
	systemctl stop kamailio_exporter.socket kamailio_exporter.service
fi
