#!/bin/sh
# Runs before the Debian package is removed or upgraded: a gateway whose program is removed must not
# run on.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now gatehouse-gateway.service
fi
