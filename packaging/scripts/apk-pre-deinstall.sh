#!/bin/sh
# Runs before a removal. The user is kept, because its groups are settings of the administrator.
set -e

if command -v rc-service >/dev/null; then
	rc-service --ifstarted kamailio_exporter stop
	rc-update --quiet --all delete kamailio_exporter || true # fails if the service is in no runlevel
fi
