#!/bin/sh
# Runs after a removal. Argument: number of versions that remain installed. The user is kept, because its groups are settings
# of the administrator.
set -e

if [ "$1" = 0 ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
