package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// explainNetwork explains why a host could not be talked to, or returns nil.
func explainNetwork(err error) *failure {
	where := "the server"
	if u := (*url.Error)(nil); errors.As(err, &u) {
		if parsed, err := url.Parse(u.URL); err == nil {
			where = fmt.Sprintf("%q", withoutQuery(parsed))
		}
	}
	var (
		dns       *net.DNSError
		record    tls.RecordHeaderError
		unknownCA x509.UnknownAuthorityError
		badHost   x509.HostnameError
		badCert   x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return fail(`is it running there, on that port? "gatehouse dev" starts one to try`, "%s: connection refused", where)
	case errors.As(err, &dns):
		return fail("check the spelling, and the network", "%s: no address for host %q", where, dns.Name)
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return fail("write http:// if it is meant to be so, as on localhost", "%s: no TLS there", where)
	case errors.As(err, &unknownCA), errors.As(err, &badHost), errors.As(err, &badCert):
		return fail("the certificate must be valid for that host and signed by an authority that this machine trusts", "%s: %v", where, tlsProblem(err))
	}
	return nil
}

// tlsProblem is the innermost of the errors of a TLS handshake.
func tlsProblem(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err
	}
	return err
}
