package gatewayfile

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/certfile"
)

// maxCAFile bounds a file with authorities.
const maxCAFile = 1 << 20

// certificateOfListener returns the certificate of the listener, or nil without TLS. The certificate
// reads its files again by itself, so a file that names the same ones keeps it: a change of another
// setting must not fail because the files are being renewed at that moment.
func (b *builder) certificateOfListener() *certfile.Certificate {
	f := b.file
	switch {
	case f.TLSCertFile == "" && f.TLSKeyFile == "":
		b.Loader.certificate, b.certificateFiles = nil, [2]string{}
		return nil
	case f.TLSKeyFile == "":
		b.report(f.lineOf("tls_cert_file"), "tls_cert_file is set without tls_key_file", "add the file of the private key")
		return nil
	case f.TLSCertFile == "":
		b.report(f.lineOf("tls_key_file"), "tls_key_file is set without tls_cert_file", "add the file of the certificate and its chain")
		return nil
	}
	for i := range f.Endpoints {
		if e := &f.Endpoints[i]; strings.HasPrefix(e.URL, "http://") {
			b.report(e.lineOf("url"), fmt.Sprintf("url %q is http, and the listener speaks TLS", e.URL), "use https, or remove tls_cert_file and tls_key_file")
		}
	}
	files := [2]string{f.TLSCertFile, f.TLSKeyFile}
	if b.Loader.certificate != nil && files == b.certificateFiles {
		return b.Loader.certificate
	}
	certificate, err := certfile.Load(f.TLSCertFile, f.TLSKeyFile, b.logger)
	if err != nil {
		b.certificateFaults(err)
		return nil
	}
	b.Loader.certificate, b.certificateFiles = certificate, files
	return certificate
}

// certificateFaults reports what certfile.Load returned.
func (b *builder) certificateFaults(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			b.certificateFaults(e)
		}
		return
	}
	var fault *certfile.Fault
	if !errors.As(err, &fault) {
		b.report(b.file.lineOf("tls_cert_file"), err.Error(), "check the files")
		return
	}
	name := "tls_cert_file"
	if fault.Key {
		name = "tls_key_file"
	}
	b.report(b.file.lineOf(name), fmt.Sprintf("%s %q %s", name, fault.File, fault.Problem), fault.Fix)
}

// roots returns the authorities of an upstream, or nil for those of this machine.
func (b *builder) roots(u *Upstream) *x509.CertPool {
	if u.CAFile == "" {
		return nil
	}
	if _, err := b.readFile(u.CAFile, maxCAFile); err != nil { // so that a change of it is noticed
		b.report(u.lineOf("ca_file"), fmt.Sprintf("ca_file %q cannot be read: %v", u.CAFile, err), "check the path and the permissions")
		return nil
	}
	pool, err := certfile.Pool(u.CAFile)
	var fault *certfile.Fault
	if errors.As(err, &fault) {
		b.report(u.lineOf("ca_file"), fmt.Sprintf("ca_file %q %s", fault.File, fault.Problem), fault.Fix)
	}
	return pool
}
