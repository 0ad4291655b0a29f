#!/bin/sh
# Runs after the Debian package is installed or upgraded. A gateway that runs is restarted with the
# new program; a first installation starts nothing, because gateway.yaml is only an example.
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if [ -n "$2" ]; then # the version before
		systemctl try-restart gatehouse-gateway.service ||
			echo "gatehouse: the gateway did not restart; journalctl -u gatehouse-gateway has the reason" >&2
	fi
fi
