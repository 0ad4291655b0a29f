package signin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
)

// ExplainNetwork explains why no connection to a host was possible, or returns nil if
// err has another cause.
func ExplainNetwork(err error) *failure.Error {
	where := "the server"
	if u := (*url.Error)(nil); errors.As(err, &u) {
		if parsed, err := url.Parse(u.URL); err == nil {
			where = fmt.Sprintf("%q", trace.WithoutQuery(parsed))
		}
	}
	var (
		dns       *net.DNSError
		notTLS    tls.RecordHeaderError
		unknownCA x509.UnknownAuthorityError
		wrongHost x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failure.New(
			`check that the server is running and that the port is right; "gatehouse dev" starts a server to try`,
			"%s: connection refused", where)
	case errors.As(err, &dns):
		return failure.New("check the spelling and the network", "%s: no address for host %q", where, dns.Name)
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return failure.New(
			"write http:// if the server has no TLS, for example on localhost",
			"%s: the server does not speak TLS", where)
	case errors.As(err, &unknownCA), errors.As(err, &wrongHost), errors.As(err, &invalid):
		return failure.New(
			"the certificate must be valid for that host and signed by an authority that this machine trusts",
			"%s: %v", where, certificateError(err))
	}
	return nil
}

// certificateError returns the innermost error of a TLS handshake.
func certificateError(err error) error {
	var verification *tls.CertificateVerificationError
	if errors.As(err, &verification) {
		return verification.Err
	}
	return err
}
