package gatewayfile

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
)

// newTLSFiles writes two certificates with their keys, and returns a file of the gateway in the same
// folder that uses the first.
func newTLSFiles(t *testing.T) (folder, text string, first, second testcert.Pair) {
	t.Helper()
	folder = t.TempDir()
	first, second = testcert.New(t, "mcp.example.com"), testcert.New(t, "mcp.example.com")
	first.Write(t, folder)
	write(t, filepath.Join(folder, "other.pem"), string(second.Key))
	return folder, "tls_cert_file: " + folder + "/cert.pem\ntls_key_file: " + folder + "/key.pem\n" + minimal, first, second
}

// Each change of a valid file with TLS is a mistake that is reported with its line.
func TestTLSFaults(t *testing.T) {
	folder, valid, _, _ := newTLSFiles(t)
	if got := faultsOf(t, valid); got != nil {
		t.Fatalf("the control has the mistakes %q", got)
	}
	upstream := "upstream: {url: \"https://localhost:8000\", ca_file: " + folder + "/cert.pem}"
	if got := faultsOf(t, strings.Replace(valid, "upstream: http://localhost:8000", upstream, 1)); got != nil {
		t.Fatalf("the control with an authority has the mistakes %q", got)
	}
	for name, test := range map[string]struct {
		old, new string
		want     []string
	}{
		"no key":         {"tls_key_file: " + folder + "/key.pem\n", "", []string{"1: tls_cert_file is set without tls_key_file; add the file of the private key"}},
		"no certificate": {"tls_cert_file: " + folder + "/cert.pem\n", "", []string{"1: tls_key_file is set without tls_cert_file; add the file of the certificate"}},
		"another key":    {"/key.pem", "/other.pem", []string{"2: tls_key_file \"" + folder + "/other.pem\" cannot be used with the certificate: private key does not match"}},
		"both missing": {valid[:strings.Index(valid, "provider:")], "tls_cert_file: a\ntls_key_file: b\n",
			[]string{"1: tls_cert_file \"", "2: tls_key_file \""}},
		"an endpoint without https": {"https://mcp.example.com/mcp", "http://localhost:3000/mcp",
			[]string{`5: url "http://localhost:3000/mcp" is http, and the listener speaks TLS; use https, or remove tls_cert_file and tls_key_file`}},
		"authorities that are missing": {"upstream: http://localhost:8000", "upstream: {url: \"https://localhost:8000\", ca_file: missing.pem}",
			[]string{"6: ca_file \""}},
		"authorities without a certificate": {"upstream: http://localhost:8000", "upstream: {url: \"https://localhost:8000\", ca_file: " + folder + "/key.pem}",
			[]string{"6: ca_file \"" + folder + "/key.pem\" has no certificate that can be read; write the certificate of the authority"}},
		"authorities for http": {"upstream: http://localhost:8000", strings.Replace(upstream, "https:", "http:", 1),
			[]string{"6: upstream \"http://localhost:8000/mcp\" is http, for which certificates of authorities have no effect; use https, or remove ca_file"}},
	} {
		text := strings.Replace(valid, test.old, test.new, 1)
		if text == valid {
			t.Fatalf("%s: nothing was replaced", name)
		}
		got := faultsOf(t, text)
		if len(got) != len(test.want) {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], test.want[i]) {
				t.Errorf("%s: got %q, want %q", name, got[i], test.want[i])
			}
		}
	}
}

// A file that names the same certificate keeps it, also while its files are being renewed. Another
// one applies when the gateway is restarted.
func TestCertificateIsKept(t *testing.T) {
	folder, text, _, second := newTLSFiles(t)
	l := newTestLoader(t, text, nil)
	started, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	if started.Certificate == nil {
		t.Fatal("there is no certificate")
	}
	write(t, filepath.Join(folder, "cert.pem"), string(second.Cert)) // the key follows
	write(t, l.path, text+"    name: Notes\n")
	next, err := l.Load()
	if err != nil {
		t.Fatalf("a changed name was not applied while the certificate is renewed: %v", err)
	}
	if next.Certificate != started.Certificate || len(next.NeedsRestart(started)) != 0 {
		t.Errorf("got another certificate, and %q need a restart, want none", next.NeedsRestart(started))
	}
	write(t, l.path, strings.Replace(text, "/key.pem", "/other.pem", 1))
	if next, err = l.Load(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(next.NeedsRestart(started), " "); got != "tls_cert_file" {
		t.Errorf("%q need a restart, want tls_cert_file", got)
	}
	write(t, l.path, "listen: :8443\n"+minimal)
	if next, err = l.Load(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(next.NeedsRestart(started), " "); got != "listen tls_cert_file" || next.Certificate != nil {
		t.Errorf("%q need a restart, want listen and tls_cert_file", got)
	}
}

// A changed file of authorities is noticed, and changes the endpoint.
func TestAuthoritiesOfAnUpstream(t *testing.T) {
	folder, _, first, second := newTLSFiles(t)
	file := filepath.Join(folder, "ca.pem")
	write(t, file, string(first.Cert))
	l := newTestLoader(t, strings.Replace(minimal, "upstream: http://localhost:8000",
		"upstream: {url: \"https://localhost:8000\", ca_file: "+file+"}", 1), nil)
	trusts := func(loaded *Loaded, pair testcert.Pair) bool {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: loaded.Gateway.Endpoints[0].Upstreams[0].RootCAs, DNSName: "mcp.example.com"})
		return err == nil
	}
	before, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !trusts(before, first) || trusts(before, second) {
		t.Error("the upstream does not have the authorities of the file alone")
	}
	text, _ := before.Read()
	if err := os.WriteFile(file, second.Cert, 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, _ := before.Read(); string(changed) == string(text) {
		t.Error("a change of ca_file is not noticed")
	}
	after, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	if !trusts(after, second) || trusts(after, first) || after.Gateway.Endpoints[0].Identity == before.Gateway.Endpoints[0].Identity {
		t.Error("the endpoint has not changed with the authorities")
	}
}
