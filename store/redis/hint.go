package redis

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/redis/go-redis/v9"
)

// hints say what to do about an error of the server that begins with a text.
var hints = []struct{ prefix, fix string }{
	{"NOAUTH", "the server wants a user and a password; set them in the options of the client, like redis://user:password@host:6379"},
	{"WRONGPASS", "correct the user and the password in the options of the client"},
	{"READONLY", "the server is a replica; connect to the primary server, for example with redis.NewFailoverClient"},
	{"WRONGTYPE", "something else than Gatehouse uses a key of this name; set another Prefix"},
	{"OOM", "the server has no memory left; raise maxmemory, or remove other data"},
	{"MISCONF", "the server cannot save its data; its log says why"},
	{"MOVED", "the server is part of a cluster; use redis.NewClusterClient"},
	{"ERR DB index is out of range", "set DB in the options of the client to 0, or to another database that the server has"},
	{"ERR unknown command", "use Redis 6.2 or later, or Valkey"},
	{"ERR syntax error", "use Redis 6.2 or later, or Valkey"},
}

// hint adds to an error of the store what to do.
func (s *Store) hint(err error) error { return withHint(err, "~{gatehouse}:* +multi …", s.usesTLS) }

// hint adds to an error of the limiter what to do.
func (l *Limiter) hint(err error) error {
	return withHint(err, "~gatehouse:limit:* +evalsha +eval +time +get +set +del", l.usesTLS)
}

// withHint adds to an error what to do. rights are those that the user needs, for the default prefix. The
// error has no password.
func withHint(err error, rights string, usesTLS bool) error {
	var server redis.Error
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return nil
	case isNoPermission(err):
		return fmt.Errorf("%w; give the user the rights for this prefix that the package documentation has: ACL SETUSER … %s", err, rights)
	case errors.As(err, &server):
		for _, h := range hints {
			if strings.HasPrefix(server.Error(), h.prefix) {
				return fmt.Errorf("%w; %s", err, h.fix)
			}
		}
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; set RootCAs in the TLSConfig of the client to the certificate of the authority that signed the server's", err)
	case errors.Is(err, io.EOF) && !usesTLS:
		return fmt.Errorf("the server closed the connection: %w; if its port is for TLS, use rediss:// or set TLSConfig", err)
	case errors.Is(err, context.DeadlineExceeded) && usesTLS:
		return fmt.Errorf("the server did not answer: %w; if its port is not for TLS, use redis:// or leave TLSConfig unset", err)
	}
	return err
}

// isNoPermission reports whether the user may not do something. The errors about a command inside of a
// script have other texts: the first one is of Redis 7.0, the second one of later versions.
func isNoPermission(err error) bool {
	return redis.HasErrorPrefix(err, "NOPERM") || redis.HasErrorPrefix(err, "The user executing the script can't") ||
		redis.HasErrorPrefix(err, "ACL failure in script")
}

// cause returns the error of a transaction. If a command was rejected before the server began, that
// is its error: the one of the transaction only says that there was one.
func cause(commands []redis.Cmder, err error) error {
	if !redis.HasErrorPrefix(err, "EXECABORT") {
		return err
	}
	for _, c := range commands {
		if e := c.Err(); e != nil && !redis.HasErrorPrefix(e, "EXECABORT") {
			return e
		}
	}
	return err
}
