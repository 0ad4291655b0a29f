package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// startGateway runs "gatehouse gateway" until the end of the test, and returns what it writes.
func startGateway(t *testing.T, args ...string) *testlog.Buffer {
	t.Helper()
	var out testlog.Buffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	con := &console{stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
	go func() { ended <- run(ctx, con, append([]string{"gateway"}, args...)) }()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != exitOK && code != exitInterrupted {
			t.Errorf("the gateway ended with status %d:\n%s", code, out.String())
		}
	})
	if _, err := out.Wait(t.Context(), regexp.MustCompile("Ctrl-C stops the gateway")); err != nil {
		t.Fatal(err)
	}
	return &out
}

// tlsClient returns a client that trusts the certificates, and opens a connection for each request.
func tlsClient(config *tls.Config, trusted ...testcert.Pair) *http.Client {
	config.RootCAs = x509.NewCertPool()
	for _, pair := range trusted {
		config.RootCAs.AddCert(pair.Leaf)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: len(config.NextProtos) == 0, DisableKeepAlives: true}}
}

// The gateway, and the one that answers a proxy, serve https by HTTP/2 and HTTP/1.1, and use a
// renewed certificate without a restart.
func TestGatewayTLS(t *testing.T) {
	for _, mode := range []string{"flags", "file", "forward auth"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			testGatewayTLS(t, mode)
		})
	}
}

func testGatewayTLS(t *testing.T, mode string) {
	folder, issuer := t.TempDir(), testissuer.Start(t)
	first, second := testcert.New(t, "localhost"), testcert.New(t, "localhost")
	certFile, keyFile := first.Write(t, folder)
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	origin := "https://localhost:" + port
	file := filepath.Join(folder, "gateway.yaml")
	text := fmt.Sprintf("listen: localhost:%s\ntls_cert_file: cert.pem\ntls_key_file: key.pem\nprovider: {name: oidc, issuer: %q}\n"+
		"endpoints: [{url: %q, upstream: %q}]\n", port, issuer.URL(), origin+"/mcp", newOpenServer(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--provider", "oidc", "--issuer", issuer.URL(), "--listen", "localhost:" + port, "--tls-cert", certFile, "--tls-key", keyFile}
	out := startGateway(t, map[string][]string{
		"flags": append([]string{"--upstream", newOpenServer(t) + "/mcp"}, flags...),
		"file":  {"--config", file}, "forward auth": append([]string{"--forward-auth", "nginx"}, flags...),
	}[mode]...)

	metadata := origin + "/.well-known/oauth-protected-resource/mcp"
	for _, test := range []struct {
		config *tls.Config
		want   string // protocol; empty if the handshake must fail
	}{
		{&tls.Config{}, "HTTP/2.0"}, {&tls.Config{NextProtos: []string{"http/1.1"}}, "HTTP/1.1"}, {&tls.Config{MaxVersion: tls.VersionTLS12}, "HTTP/2.0"},
		{&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, ""}, {&tls.Config{ServerName: "other.example.com"}, ""},
	} {
		resp, err := tlsClient(test.config, first).Get(metadata)
		if err == nil {
			resp.Body.Close()
		}
		if test.want == "" && err == nil || test.want != "" && (err != nil || resp.StatusCode != http.StatusOK || resp.Proto != test.want) {
			t.Errorf("TLS until %x for %q: got %+v, %v, want %q", test.config.MaxVersion, test.config.ServerName, resp, err, test.want)
		}
	}
	if strings.Contains(out.String(), "warning") {
		t.Errorf("the gateway warns of a valid certificate:\n%s", out)
	}

	// The old certificate is served until the files have been noticed, within a second.
	second.Write(t, folder)
	renewed := tlsClient(&tls.Config{}, second)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // generous: it is reached only if the test fails
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, metadata, nil)
		resp, err := renewed.Do(req)
		if err == nil {
			resp.Body.Close()
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("the renewed certificate is not used: %v", err)
		}
	}
	if _, err := out.Wait(t.Context(), regexp.MustCompile("TLS certificate read again")); err != nil {
		t.Error(err)
	}
}

// A certificate that clients reject is a warning, at --check too.
func TestGatewayTLSWarnings(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name string
		pair testcert.Pair
		want string // empty for none
	}{
		{"valid", testcert.New(t, "localhost"), ""},
		{"expired", testcert.NewAt(t, now.Add(-2*time.Hour), now.Add(-time.Hour), "localhost"), "expired at"},
		{"of another host", testcert.New(t, "mcp.example.com"), `is for "mcp.example.com" and not for "localhost"`},
	} {
		certFile, keyFile := test.pair.Write(t, t.TempDir())
		args := []string{"--provider", "oidc", "--issuer", "https://issuer.example.com", "--tls-cert", certFile, "--tls-key", keyFile}
		for _, args := range [][]string{append(args, "--upstream", "http://localhost:8000"), append(args, "--forward-auth", "nginx")} {
			code, output := runGatewayCommand(t, args...)
			if code != exitOK || strings.Contains(output, "warning: the certificate") != (test.want != "") || !strings.Contains(output, test.want) {
				t.Errorf("%s: got status %d, want success and a warning with %q:\n%s", test.name, code, test.want, output)
			}
		}
	}
}
