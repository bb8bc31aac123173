#!/bin/sh
# Runs before a removal (remove) and before an upgrade (upgrade). An upgrade does not stop the service.
set -e

if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	deb-systemd-invoke stop kamailio_exporter.socket kamailio_exporter.service 'kamailio_exporter@*.service'
fi
