package certfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testcert"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

func write(t *testing.T, file string, text []byte) {
	t.Helper()
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// load loads the files, and fails the test if they have faults.
func load(t *testing.T, certFile, keyFile string, log *testlog.Buffer) *Certificate {
	t.Helper()
	c, err := Load(certFile, keyFile, log.Logger())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// served returns the certificate that a client gets now.
func served(t *testing.T, c *Certificate) *x509.Certificate {
	t.Helper()
	certificate, err := c.TLSConfig().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return certificate.Leaf
}

// Each change of valid files is one fault, of the file that has to be changed.
func TestFaults(t *testing.T) {
	pair, other := testcert.New(t, "localhost"), testcert.New(t, "localhost")
	otherType, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(otherType)
	if err != nil {
		t.Fatal(err)
	}
	block := func(name string, content []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: name, Bytes: content})
	}
	for _, test := range []struct {
		name        string
		cert, key   []byte // nil if the file does not exist
		wantKey     bool
		wantProblem string // empty if the files are valid
		wantFix     string
	}{
		{"valid", pair.Cert, pair.Key, false, "", ""},
		{"a chain", append(bytes.Clone(pair.Cert), other.Cert...), pair.Key, false, "", ""},
		{"text before the certificate", append([]byte("subject: x\n"), pair.Cert...), pair.Key, false, "", ""},
		{"no certificate file", nil, pair.Key, false, "cannot be read: no such file or directory", "check the path"},
		{"no key file", pair.Cert, nil, true, "cannot be read: no such file or directory", "check the path"},
		{"an empty certificate file", []byte("\n"), pair.Key, false, "it is empty", "check"},
		{"a large certificate file", bytes.Repeat([]byte("x"), maxFile+1), pair.Key, false, "longer than 1048576 bytes", "check"},
		{"not PEM", []byte("certificate"), pair.Key, false, "has nothing in PEM, want a certificate", "chain, in PEM"},
		{"the key in place of the certificate", pair.Key, pair.Key, false, `has "PRIVATE KEY", want a certificate`, "name the file with the certificate"},
		{"the certificate in place of the key", pair.Cert, pair.Cert, true, `has "CERTIFICATE", want a private key`, "name the file with the private key"},
		{"the key of another certificate", pair.Cert, other.Key, true, "private key does not match public key", "from which the certificate was made"},
		{"a key of another curve", pair.Cert, block("EC PRIVATE KEY", der), true, "private key does not match public key", "from which"},
		{"an invalid key", pair.Cert, block("PRIVATE KEY", []byte("x")), true, "failed to parse private key", "from which"},
		{"an encrypted key", pair.Cert, block("ENCRYPTED PRIVATE KEY", []byte("x")), true, "is encrypted", "openssl pkey"},
		{"an invalid certificate", block("CERTIFICATE", []byte("x")), pair.Key, false, "has a certificate that cannot be read", "write the certificate"},
	} {
		folder := t.TempDir()
		certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
		for file, text := range map[string][]byte{certFile: test.cert, keyFile: test.key} {
			if text != nil {
				write(t, file, text)
			}
		}
		_, err := Load(certFile, keyFile, (&testlog.Buffer{}).Logger())
		var fault *Fault
		switch {
		case test.wantProblem == "":
			if err != nil {
				t.Errorf("%s: got %v, want no fault", test.name, err)
			}
		case !errors.As(err, &fault) || fault.Key != test.wantKey || !strings.Contains(fault.Problem, test.wantProblem) ||
			!strings.Contains(fault.Fix, test.wantFix):
			t.Errorf("%s: got %v, want %q; %q, of the key: %v", test.name, err, test.wantProblem, test.wantFix, test.wantKey)
		}
	}
}

// Faults of both files are reported at once.
func TestBothFilesAreMissing(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), (&testlog.Buffer{}).Logger())
	if text := err.Error(); strings.Count(text, "no such file") != 2 {
		t.Errorf("got %q, want both faults", text)
	}
}

// A renewed certificate is used for the next handshake, after a second at most.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder, log := t.TempDir(), &testlog.Buffer{}
		first, second := testcert.New(t, "localhost"), testcert.New(t, "localhost")
		certFile, keyFile := first.Write(t, folder)
		c := load(t, certFile, keyFile, log)
		if !served(t, c).Equal(first.Leaf) {
			t.Error("got another certificate than that of the file")
		}
		second.Write(t, folder)
		if !served(t, c).Equal(first.Leaf) {
			t.Error("the files were read again within a second")
		}
		time.Sleep(checkInterval)
		if !served(t, c).Equal(second.Leaf) {
			t.Error("got the old certificate a second after the change")
		}
		if n := strings.Count(log.String(), "TLS certificate read again"); n != 1 {
			t.Errorf("the log has the change %d times, want once:\n%s", n, log)
		}
	})
}

// Files that cannot be used change nothing, and are logged once. The next change is used.
func TestInvalidRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder, log := t.TempDir(), &testlog.Buffer{}
		first, second := testcert.New(t, "localhost"), testcert.New(t, "localhost")
		certFile, keyFile := first.Write(t, folder)
		c := load(t, certFile, keyFile, log)
		for _, change := range []func(){
			func() { write(t, certFile, second.Cert) }, // the key follows
			func() { os.Remove(keyFile) },
			func() { write(t, keyFile, []byte("x")) },
		} {
			change()
			for range 3 {
				time.Sleep(checkInterval)
				if !served(t, c).Equal(first.Leaf) {
					t.Error("got another certificate than the last valid one")
				}
			}
		}
		if n := strings.Count(log.String(), "TLS certificate not read again"); n != 3 {
			t.Errorf("the log has %d invalid changes, want 3:\n%s", n, log)
		}
		write(t, keyFile, second.Key)
		time.Sleep(checkInterval)
		if !served(t, c).Equal(second.Leaf) {
			t.Error("got the old certificate after a valid change")
		}
	})
}

func TestWarnings(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name  string
		pair  testcert.Pair
		hosts []string
		want  string // empty for none
	}{
		{"valid", testcert.New(t, "mcp.example.com", "127.0.0.1"), []string{"mcp.example.com", "127.0.0.1"}, ""},
		{"a wildcard", testcert.New(t, "*.example.com"), []string{"mcp.example.com"}, ""},
		{"expired", testcert.NewAt(t, now.Add(-2*time.Hour), now.Add(-time.Hour), "mcp.example.com"), []string{"mcp.example.com"}, "expired at"},
		{"not yet valid", testcert.NewAt(t, now.Add(time.Hour), now.Add(2*time.Hour), "mcp.example.com"), []string{"mcp.example.com"}, "is not valid before"},
		{"of another host", testcert.New(t, "other.example.com"), []string{"mcp.example.com"}, `is for "other.example.com" and not for "mcp.example.com"`},
		{"of no host", testcert.New(t), []string{"mcp.example.com"}, `is for no host and not for "mcp.example.com"`},
	} {
		certFile, keyFile := test.pair.Write(t, t.TempDir())
		warnings := load(t, certFile, keyFile, &testlog.Buffer{}).Warnings(test.hosts...)
		if test.want == "" && len(warnings) > 0 || test.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], test.want)) {
			t.Errorf("%s: got %q, want %q", test.name, warnings, test.want)
		}
	}
}

// A certificate that expires while the server runs is logged once.
func TestExpiryIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &testlog.Buffer{}
		certFile, keyFile := testcert.New(t, "localhost").Write(t, t.TempDir())
		c := load(t, certFile, keyFile, log)
		served(t, c)
		if log.String() != "" {
			t.Errorf("the log is not empty before the expiry:\n%s", log)
		}
		for range 3 {
			time.Sleep(2 * time.Hour)
			served(t, c)
		}
		if n := strings.Count(log.String(), "has expired"); n != 1 {
			t.Errorf("the log has the expiry %d times, want once:\n%s", n, log)
		}
	})
}

func TestPool(t *testing.T) {
	folder := t.TempDir()
	pair := testcert.New(t, "localhost")
	certFile, keyFile := pair.Write(t, folder)
	pool, err := Pool(certFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: "localhost"}); err != nil {
		t.Errorf("the pool does not have the certificate: %v", err)
	}
	for file, want := range map[string]string{keyFile: "has no certificate that can be read", folder: "not a regular file",
		filepath.Join(folder, "missing"): "no such file"} {
		var fault *Fault
		if _, err := Pool(file); !errors.As(err, &fault) || !strings.Contains(fault.Problem, want) {
			t.Errorf("%s: got %v, want %q", file, err, want)
		}
	}
}
