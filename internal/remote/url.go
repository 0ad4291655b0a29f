package remote

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// CheckURL reports why a document must not be fetched from raw: it is not an
// absolute https URL (or http on a loopback host), or it carries a user, a
// password or a fragment. It does no I/O.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("URL %q is malformed", raw)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("URL carries a user or password") // not shown
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("URL %q is not absolute", raw)
	case u.Fragment != "":
		return nil, fmt.Errorf("URL %q has a fragment", raw)
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("URL %q is not https; http is for loopback hosts only", raw)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(hostPort(a), hostPort(b))
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}
