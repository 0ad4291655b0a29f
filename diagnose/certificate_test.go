package diagnose_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	discardLog  = log.New(io.Discard, "", 0)
	placeholder = regexp.MustCompile(`\{[a-z_]+\}`)
)

// chain describes a certificate for 127.0.0.1, signed by an intermediate authority. The zero
// value is a valid one.
type chain struct {
	name                string // in place of 127.0.0.1
	notBefore, notAfter time.Time
	leafOnly            bool // the server does not send the intermediate certificate
}

// issued is a certificate and the authority that clients trust.
type issued struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

func newChain(t *testing.T, c chain) issued {
	t.Helper()
	now := time.Now()
	root, rootKey := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-48 * time.Hour), NotAfter: now.Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
	intermediate, intermediateKey := sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "Test Intermediate"}, IsCA: true,
		BasicConstraintsValid: true,
		NotBefore:             now.Add(-48 * time.Hour), NotAfter: now.Add(1000 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}, root, rootKey)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "server"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(900 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IssuingCertificateURL: []string{"http://authority.example/intermediate.crt"},
	}
	if c.name != "" {
		leaf.IPAddresses, leaf.DNSNames = nil, []string{c.name}
	}
	if !c.notBefore.IsZero() {
		leaf.NotBefore = c.notBefore
	}
	if !c.notAfter.IsZero() {
		leaf.NotAfter = c.notAfter
	}
	signed, key := sign(t, leaf, intermediate, intermediateKey)
	i := issued{roots: x509.NewCertPool()}
	i.roots.AddCert(root)
	i.certificate = tls.Certificate{Certificate: [][]byte{signed.Raw, intermediate.Raw}, PrivateKey: key}
	if c.leafOnly {
		i.certificate.Certificate = i.certificate.Certificate[:1]
	}
	return i
}

// sign returns the certificate of a template, signed by parent, or by itself if parent is nil.
func sign(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate,
	*ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// trusting serves a page with the certificate of i to a client that trusts its root.
func (r *rig) trusting(i issued) {
	r.target = serveTLS(r.t, &i.certificate) + "/mcp"
	r.config.HTTPClient = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: i.roots}, DisableKeepAlives: true,
	}}
}

// named makes the target a server whose name leads to this machine.
func (r *rig) named(i issued) {
	r.t.Helper()
	address := strings.TrimPrefix(strings.TrimSuffix(r.overTLS(i), "/mcp"), "https://")
	dialer := &net.Dialer{}
	r.config.HTTPClient = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: i.roots}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
	}}
	r.target = mcpURL
}

// overTLS serves the server of the set-up with the certificate of i, as the endpoint.
func (r *rig) overTLS(i issued) string {
	r.t.Helper()
	server := httptest.NewUnstartedServer(nil)
	origin := "https://" + server.Listener.Addr().String()
	if names := i.names(); len(names) > 0 {
		origin = "https://" + names[0]
	}
	is := newIssuer(origin)
	f := newForeign(origin).document(func(d map[string]any) { d["resource"] = origin + "/mcp" })
	f.challenge = `Bearer resource_metadata="` + origin + prmPath + `", scope="profile email"`
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case strings.HasPrefix(req.URL.Path, "/mcp"), strings.Contains(req.URL.Path, "protected-resource"):
			f.ServeHTTP(w, req)
		default:
			is.ServeHTTP(w, req)
		}
	})
	server.TLS = &tls.Config{Certificates: []tls.Certificate{i.certificate}}
	server.StartTLS()
	r.t.Cleanup(server.Close)
	return server.URL + "/mcp"
}

// names returns the DNS names of the certificate.
func (i issued) names() []string {
	leaf, err := x509.ParseCertificate(i.certificate.Certificate[0])
	if err != nil {
		return nil
	}
	return leaf.DNSNames
}
