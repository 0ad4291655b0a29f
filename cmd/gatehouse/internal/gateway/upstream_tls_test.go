package gateway_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
)

// newTLSBackend starts a backend with TLS, whose certificate is that of httptest.
func newTLSBackend(t *testing.T) (target *url.URL, roots *x509.CertPool) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeResult(w, call, map[string]any{"proto": r.Proto})
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	target, err := url.Parse(server.URL + "/mcp")
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return target, roots
}

// A backend whose certificate is of a private authority is reached only with the certificate of that
// authority. The answer otherwise is 502, and the log says what to do.
func TestBackendOfPrivateAuthority(t *testing.T) {
	target, roots := newTLSBackend(t)
	otherName := *target
	otherName.Host = "localhost:" + target.Port() // the certificate is for example.com and 127.0.0.1
	plain := *target
	plain.Host = newBackend(t).Listener.Addr().String()
	for _, test := range []struct {
		name   string
		target *url.URL
		roots  *x509.CertPool
		want   string // in the log; empty if the backend is reached
	}{
		{"its authority", target, roots, ""},
		{"the authorities of this machine", target, nil, "ca_file"},
		{"another authority", target, x509.NewCertPool(), "ca_file"},
		{"its authority, another host", &otherName, roots, "a certificate for the host"},
		{"a server without TLS", &plain, roots, "write http:// in the URL"},
	} {
		f := newFixture(t, func(_ *fixture, e *gateway.Endpoint) {
			e.Upstreams = []gateway.Upstream{{URL: test.target, RootCAs: test.roots}}
		})
		got := f.post(t, call)
		if test.want == "" {
			wantOK(t, got)
			if !strings.Contains(got.body, "HTTP/2.0") {
				t.Errorf("%s: got %s, want HTTP/2", test.name, got.body)
			}
			continue
		}
		wantReason(t, got, http.StatusBadGateway, "upstream_unreachable")
		if !strings.Contains(f.log.String(), test.want) {
			t.Errorf("%s: the log has no hint with %q:\n%s", test.name, test.want, f.log)
		}
	}
}

// Certificates of authorities have no effect for http, which is a fault.
func TestRootCAsForHTTP(t *testing.T) {
	target, roots := newTLSBackend(t)
	plain := *target
	plain.Scheme = "http"
	for _, test := range []struct {
		target *url.URL
		valid  bool
	}{{target, true}, {&plain, false}} {
		f := newFixture(t)
		f.config.Endpoints[0].Upstreams = []gateway.Upstream{{URL: test.target, RootCAs: roots}}
		err := f.gateway.Apply(f.config)
		var fault *gatehouse.ConfigError
		if (err == nil) != test.valid || err != nil && (!errors.As(err, &fault) || fault.Field != "Upstreams") {
			t.Errorf("%s: got %v, want valid: %v", test.target, err, test.valid)
		}
	}
}
