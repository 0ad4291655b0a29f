package diagnose

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// expiresSoon is how long before its expiry a certificate is reported.
const expiresSoon = 14 * 24 * time.Hour

// checkConnection judges whether an answer came at all. It returns false if none did.
func (d *doctor) checkConnection(ctx context.Context, a *answer) bool {
	u, err := url.Parse(a.request.url)
	if err != nil {
		return false
	}
	if a.err != nil {
		id := networkProblem(a.err, u, d.cfg.Now())
		if ctx.Err() != nil {
			id = "connect.timeout_run"
		}
		other := *u
		other.Scheme = map[string]string{"http": "https", "https": "http"}[u.Scheme]
		d.found(id, evidenceOf(a), "host", u.Host, "url", other.String())
		if !strings.HasPrefix(id, "dns.") && ctx.Err() == nil {
			d.ok("dns", "%s", u.Hostname())
		}
		if strings.HasPrefix(id, "tls.") {
			d.ok("connect", "%s accepts connections", u.Host)
		}
		return false
	}
	if u.Scheme == "http" && isHTTPSOnly(a) {
		other := *u
		other.Scheme = "https"
		d.found("tls.https_only", a.String(), "url", other.String())
		return false
	}
	if a.remote.IsValid() && !isLocal(u.Host) && isLocal(netip.AddrPortFrom(a.remote, 443).String()) {
		d.found("dns.private", fmt.Sprintf("%s answers from %s", u.Hostname(), a.remote), "host", u.Hostname())
	}
	d.ok("dns", "%s", u.Hostname())
	d.ok("connect", "%s answered %s with status %d", u.Host, a.request.method, a.status)
	d.checkCertificate(a, u)
	return true
}

// evidenceOf describes an exchange without an answer, and the certificate if there was one.
func evidenceOf(a *answer) string {
	text := a.String()
	var verification *tls.CertificateVerificationError
	if errors.As(a.err, &verification) && len(verification.UnverifiedCertificates) > 0 {
		c := verification.UnverifiedCertificates[0]
		text += fmt.Sprintf("; the certificate is for %s, by %q, valid from %s to %s, and came with %d others",
			strings.Join(c.DNSNames[:min(len(c.DNSNames), 5)], ", "), c.Issuer.String(),
			c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly),
			len(verification.UnverifiedCertificates)-1)
	}
	return text
}

// brokenConnection is the ID of every network error that has no other.
const brokenConnection = "connect.broken"

// networkProblem returns the ID of the problem because of which no answer came from u.
func networkProblem(err error, u *url.URL, now time.Time) string {
	var (
		dns     *net.DNSError
		netErr  net.Error
		invalid x509.CertificateInvalidError
		notTLS  tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "dns.no_such_host"
	case errors.As(err, &dns):
		return "dns.failed"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connect.refused"
	case errors.As(err, &notTLS), errors.Is(err, http.ErrSchemeMismatch):
		return "tls.plain_http"
	case errors.As(err,
		&invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil && now.Before(invalid.Cert.NotBefore):
		return "tls.not_yet_valid"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "tls.expired"
	case errors.As(err, new(x509.HostnameError)):
		return "tls.wrong_name"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return authorityProblem(err)
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, &invalid):
		return "tls.untrusted"
	case u.Scheme == "http" && strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`):
		return "tls.https_only"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout(), errors.Is(err,
		syscall.ETIMEDOUT):
		return "connect.timeout"
	case isTLSFailure(err):
		return "tls.handshake"
	case strings.Contains(err.Error(), "headers exceeded"):
		return "connect.bounds"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return brokenConnection
	}
	return brokenConnection
}

func isTLSFailure(err error) bool {
	var alert tls.AlertError
	return errors.As(err, &alert) || strings.HasPrefix(err.Error(), "tls: ") || strings.Contains(err.Error(),
		"remote error: tls")
}

// authorityProblem distinguishes a self-signed certificate from a chain without its
// intermediate:
// a certificate of a public authority names where its issuer's is.
func authorityProblem(err error) string {
	var verification *tls.CertificateVerificationError
	if !errors.As(err, &verification) || len(verification.UnverifiedCertificates) != 1 {
		return "tls.untrusted"
	}
	c := verification.UnverifiedCertificates[0]
	if c.Issuer.String() != c.Subject.String() && len(c.IssuingCertificateURL) > 0 {
		return "tls.incomplete_chain"
	}
	return "tls.untrusted"
}

// isHTTPSOnly reports whether an answer is that of a TLS server to plain http.
func isHTTPSOnly(a *answer) bool {
	body := string(a.body)
	return a.status == http.StatusBadRequest &&
		(strings.Contains(body, "HTTP request to an HTTPS server") || strings.Contains(body,
			"plain HTTP request was sent to HTTPS port"))
}

// checkCertificate reports a certificate that expires soon.
func (d *doctor) checkCertificate(a *answer, u *url.URL) {
	if u.Scheme != "https" {
		return
	}
	if a.tls == nil || len(a.tls.PeerCertificates) == 0 {
		d.ok("tls", "%s was accepted by the HTTP client", u.Hostname())
		return
	}
	c := a.tls.PeerCertificates[0]
	left := c.NotAfter.Sub(d.cfg.Now())
	evidence := fmt.Sprintf("the certificate of %s is by %q and valid until %s", u.Hostname(), c.Issuer.String(),
		c.NotAfter.UTC().Format(time.DateOnly))
	if left < expiresSoon {
		d.found("tls.expires_soon", evidence, "days", fmt.Sprint(max(int(left.Hours()/24), 0)))
		return
	}
	d.ok("tls", "%s", evidence)
}
