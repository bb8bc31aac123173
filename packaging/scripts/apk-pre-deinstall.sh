#!/bin/sh
# Runs before a removal. The user stays: the groups that an administrator put it into are settings.
set -e

if command -v rc-service >/dev/null; then
	rc-service --ifstarted kamailio_exporter stop
	rc-update --quiet --all delete kamailio_exporter || true # it may be in no runlevel
fi
