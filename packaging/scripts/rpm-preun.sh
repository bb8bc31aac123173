#!/bin/sh
# Runs before a removal. Argument: number of versions that remain installed, 1 in an upgrade, which does not stop the service.
set -e

if [ "$1" != 0 ]; then
	exit 0
fi
if command -v systemctl >/dev/null; then
	systemctl --no-reload disable kamailio_exporter.socket kamailio_exporter.service kamailio_exporter@.service
fi
if [ -d /run/systemd/system ]; then
	systemctl stop kamailio_exporter.socket kamailio_exporter.service 'kamailio_exporter@*.service'
fi
