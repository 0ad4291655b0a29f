package remote_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// TestUnavailableDocumentLogsHint checks that the warning about a document says what to do.
func TestUnavailableDocumentLogsHint(t *testing.T) {
	unknownAuthority := &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
	for _, tc := range []struct {
		name   string
		status int
		body   string
		err    error
		want   string
	}{
		{name: "connection refused", err: errDown, want: "from this machine that it can be reached"},
		{name: "private authority", err: fmt.Errorf("tls: %w", unknownAuthority), want: "SSL_CERT_FILE"},
		{name: "expired certificate", err: &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{}},
			want: "correct the certificate of the issuer"},
		{name: "http in place of https", err: http.ErrSchemeMismatch, want: "speaks http"},
		{name: "not found", status: http.StatusNotFound, want: "character by character"},
		{name: "rejected", status: http.StatusForbidden, want: "rejects requests from this machine"},
		{name: "login page", status: http.StatusOK, body: "<html>", want: "a login page or a proxy"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := newIssuer(validDoc)
				i.Answer(func(r *http.Request) (*http.Response, error) {
					if tc.err != nil {
						return nil, tc.err
					}
					return testissuer.Response(r, tc.status, strings.NewReader(tc.body)), nil
				})
				var log testlog.Buffer
				d := i.open(t, func(cfg *remote.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				if _, err := d.Get(t.Context()); err == nil {
					t.Fatal("the document is available")
				}
				if line := log.String(); !strings.Contains(line, "level=WARN") || !strings.Contains(line, tc.want) || !strings.Contains(line, "hint=") {
					t.Errorf("log %q, want a warning with a hint that contains %q", line, tc.want)
				}
			})
		})
	}
}

// TestLocatedDocumentDoesNotRepeatWarning has keys whose URL is in metadata that is unavailable: the
// log has one warning, about the metadata.
func TestLocatedDocumentDoesNotRepeatWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIssuer(validDoc)
		i.Respond(http.StatusNotFound, "")
		var log testlog.Buffer
		logger := func(cfg *remote.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		metadata := i.open(t, logger)
		keys := i.open(t, logger, func(cfg *remote.Config) {
			cfg.URL = "https://issuer.example/keys"
			cfg.Locate = func(ctx context.Context) (string, error) {
				_, err := metadata.Get(ctx)
				return "", err
			}
		})
		if _, err := keys.Get(t.Context()); err == nil {
			t.Fatal("the keys are available")
		}
		if got := warnedAbout(log.String()); got != docURL {
			t.Errorf("warnings about %q, want one about %q:\n%s", got, docURL, log.String())
		}
	})
}
