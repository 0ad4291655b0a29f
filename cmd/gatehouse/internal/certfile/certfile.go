// Package certfile reads the TLS certificate of a server and its private key from files, and reads
// them again when they change: certificates are renewed while the server runs.
package certfile

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

const (
	// checkInterval is how often the files are looked at, at most. It happens during handshakes,
	// which clients can begin before they sign in.
	checkInterval = time.Second
	// maxFile bounds each file, in bytes.
	maxFile = 1 << 20
)

// Fault is what is wrong with one of the two files.
type Fault struct {
	Key     bool   // whether it is the file of the private key
	File    string // as it was configured
	Problem string // a verb phrase
	Fix     string
}

func (f *Fault) Error() string { return fmt.Sprintf("%q %s; %s", f.File, f.Problem, f.Fix) }

// Certificate is the certificate of a server with its private key. Make one with [Load]. It is safe
// for concurrent use.
type Certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu       sync.Mutex
	current  *tls.Certificate
	read     version // of the files that current was read from
	rejected version // of the files that could not be used, so that the log has it once
	checked  time.Time
	expired  bool // whether the log says that current has expired
}

// version says whether files have changed.
type version struct {
	certTime, keyTime time.Time
	certSize, keySize int64
}

// Load reads the certificate, with its chain, and the private key, both in PEM. Its error joins a
// *[Fault] for each thing that is wrong. A certificate that has expired or is not yet valid is not a
// fault, because a valid one may be written into the file at any time; see [Certificate.Warnings].
func Load(certFile, keyFile string, logger *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	c.read, _ = c.version()
	var err error
	c.current, err = c.load()
	return c, err
}

// TLSConfig returns the configuration of a server that uses the certificate: TLS 1.2 and later, and
// HTTP/2 for clients that offer it.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.renewed(), nil },
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}

// Warnings returns one sentence for each reason why clients will reject the certificate, given the
// names of the hosts to which they connect.
func (c *Certificate) Warnings(hosts ...string) []string {
	c.mu.Lock()
	leaf := c.current.Leaf
	c.mu.Unlock()
	var warnings []string
	if problem := timeProblem(leaf, time.Now()); problem != "" {
		warnings = append(warnings, fmt.Sprintf("the certificate in %s %s, so clients reject it; "+
			"write a valid one into the files, which are read again when they change", quote.String(c.certFile), problem))
	}
	for _, host := range hosts {
		if leaf.VerifyHostname(host) != nil {
			warnings = append(warnings, fmt.Sprintf("the certificate in %s is for %s and not for %s, so clients that connect to that "+
				"reject it; use a certificate for the host in the public URL", quote.String(c.certFile), names(leaf), quote.String(host)))
		}
	}
	return warnings
}

// timeProblem says why the certificate is not valid now, or returns "".
func timeProblem(leaf *x509.Certificate, now time.Time) string {
	switch {
	case now.After(leaf.NotAfter):
		return "expired at " + leaf.NotAfter.UTC().Format(time.RFC3339)
	case now.Before(leaf.NotBefore):
		return "is not valid before " + leaf.NotBefore.UTC().Format(time.RFC3339)
	}
	return ""
}

// names returns the names that the certificate is for.
func names(leaf *x509.Certificate) string {
	all := leaf.DNSNames
	for _, address := range leaf.IPAddresses {
		all = append(all[:len(all):len(all)], address.String())
	}
	if len(all) == 0 {
		return "no host"
	}
	return quote.String(strings.Join(all, ", "))
}

// renewed returns the certificate, which it reads again if the files have changed. If they cannot be
// used, as between the moments at which a program writes the one and the other, the certificate
// stays as it was.
func (c *Certificate) renewed() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= checkInterval {
		c.checked = now
		c.reload()
		c.noteExpiry(now)
	}
	return c.current
}

// reload reads the files if they have changed. c.mu must be held.
func (c *Certificate) reload() {
	found, err := c.version()
	if err == nil && found == c.read {
		return
	}
	var next *tls.Certificate
	if err == nil {
		next, err = c.load()
	}
	switch {
	case err == nil:
		c.current, c.read, c.rejected, c.expired = next, found, version{}, false
		c.logger.Info("TLS certificate read again", "file", c.certFile, "not_after", next.Leaf.NotAfter.UTC())
	case found != c.rejected:
		c.rejected = found
		c.logger.Warn("TLS certificate not read again; the server uses the one that it has", "error", err)
	}
}

// noteExpiry logs once that the certificate has expired. c.mu must be held.
func (c *Certificate) noteExpiry(now time.Time) {
	if c.expired || !now.After(c.current.Leaf.NotAfter) {
		return
	}
	c.expired = true
	c.logger.Error("TLS certificate has expired, so clients reject it", "file", c.certFile, "not_after", c.current.Leaf.NotAfter.UTC(),
		"hint", "write a valid one into the files, which are read again when they change")
}

// version returns the version of the files. If one of them cannot be found, it is not the zero
// value.
func (c *Certificate) version() (version, error) {
	cert, certErr := os.Stat(c.certFile)
	key, keyErr := os.Stat(c.keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return version{certSize: -1}, err
	}
	return version{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}

// load reads the files.
func (c *Certificate) load() (*tls.Certificate, error) {
	cert, certErr := c.readPEM(c.certFile, false)
	key, keyErr := c.readPEM(c.keyFile, true)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return &pair, nil
	}
	fault := &Fault{Key: true, File: c.keyFile, Problem: "cannot be used with the certificate: " + strings.TrimPrefix(err.Error(), "tls: "),
		Fix: "use the private key from which the certificate was made"}
	if _, certErr := x509.ParseCertificate(firstBlock(cert)); certErr != nil {
		fault.Key, fault.File, fault.Problem, fault.Fix = false, c.certFile, "has a certificate that cannot be read: "+certErr.Error(),
			"write the certificate of the server into it, and then those of the chain, all in PEM"
	}
	return nil, fault
}

func firstBlock(text []byte) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes
		}
	}
	return nil
}

// readPEM reads a file and checks that it has a block of its kind.
func (c *Certificate) readPEM(file string, isKey bool) ([]byte, error) {
	fault := func(problem, fix string) error { return &Fault{Key: isKey, File: file, Problem: problem, Fix: fix} }
	text, err := readFile(file)
	if err != nil {
		return nil, fault("cannot be read: "+err.Error(), "check the path and the permissions")
	}
	var types []string
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if isKey && (block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "") {
			return nil, fault("is encrypted", `decrypt it with "openssl pkey -in FILE -out FILE"`)
		}
		if isKey && strings.HasSuffix(block.Type, "PRIVATE KEY") || !isKey && block.Type == "CERTIFICATE" {
			return text, nil
		}
		types = append(types, block.Type)
	}
	want := "a certificate"
	fix := "name the file with the certificate and its chain, in PEM"
	if isKey {
		want, fix = "a private key", "name the file with the private key, in PEM"
	}
	if len(types) == 0 {
		return nil, fault("has nothing in PEM, want "+want, fix)
	}
	return nil, fault("has "+quote.String(strings.Join(types, ", "))+", want "+want, fix)
}

// Pool reads a file with the certificates of authorities, in PEM. Its error is a *[Fault].
func Pool(file string) (*x509.CertPool, error) {
	text, err := readFile(file)
	if err != nil {
		return nil, &Fault{File: file, Problem: "cannot be read: " + err.Error(), Fix: "check the path and the permissions"}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &Fault{File: file, Problem: "has no certificate that can be read",
			Fix: "write the certificate of the authority that has signed that of the server into it, in PEM"}
	}
	return pool, nil
}

// readFile reads a regular file within the bound. Its errors do not name the file.
func readFile(file string) ([]byte, error) {
	if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("it is longer than %d bytes", maxFile)
	case len(bytes.TrimSpace(text)) == 0:
		return nil, errors.New("it is empty")
	}
	return text, nil
}

func withoutPath(err error) error {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
