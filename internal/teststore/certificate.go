//go:build unix

package teststore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a private certificate authority, with a certificate for an engine on 127.0.0.1.
type Authority struct {
	// Pool has the certificate of the authority, and CAFile is a file with it.
	Pool   *x509.CertPool
	CAFile string
	// CertFile and KeyFile are those of the engine, for 127.0.0.1 and no other name.
	CertFile, KeyFile string
}

// NewAuthority makes an authority whose files are in the folder.
func NewAuthority(t testing.TB, folder string) *Authority {
	t.Helper()
	caKey, key := newKey(t), newKey(t)
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "private CA of a test"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "engine of a test"},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER := sign(t, ca, ca, &caKey.PublicKey, caKey)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a := &Authority{Pool: x509.NewCertPool()}
	a.CAFile = writePEM(t, folder, "ca.pem", "CERTIFICATE", caDER)
	a.CertFile = writePEM(t, folder, "server.pem", "CERTIFICATE", sign(t, server, ca, &key.PublicKey, caKey))
	a.KeyFile = writePEM(t, folder, "server.key", "PRIVATE KEY", keyDER)
	parsed, err := x509.ParseCertificate(caDER)
	if err != nil {
		t.Fatal(err)
	}
	a.Pool.AddCert(parsed)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, cert, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// writePEM writes a file that its owner alone may read, as PostgreSQL wants it for a key. The owner is
// that of the folder.
func writePEM(t testing.TB, folder, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	chownLike(t, path, folder)
	return path
}
