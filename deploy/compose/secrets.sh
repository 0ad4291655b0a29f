#!/bin/sh
# Makes the secrets of compose.yaml, each in a file of the folder secrets, which only you can enter.
# The files themselves are readable: in a container they are read by another user.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
	echo "the folder $PWD/secrets exists; remove it to make new secrets" >&2
	exit 1
fi
mkdir -m 700 secrets
password=$(openssl rand -hex 24)
openssl rand -base64 32 >secrets/session-key
openssl ecparam -name prime256v1 -genkey -noout -out secrets/assertion-key.pem
printf 'redis://default:%s@redis:6379/0\n' "$password" >secrets/redis-url
printf 'requirepass %s\nappendonly yes\nmaxmemory-policy noeviction\ndir /data\n' "$password" >secrets/redis.conf
openssl rand -hex 16 >secrets/keycloak-admin
chmod 444 secrets/*
