#!/bin/sh
# Runs after a removal, with the number of versions that stay. The user stays: the groups that an administrator put it into
# are settings.
set -e

if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
