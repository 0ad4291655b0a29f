package wellknown

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxHost  = 253 // RFC 1035, section 2.3.4, as text
	maxLabel = 63
)

// Host returns the canonical form of a host as clients of the scheme send it in the Host
// header: in lower case, with the port unless it is the default port of the scheme. A host
// has no scheme and no path. The error is a *[Fault].
func Host(scheme, host string) (string, error) {
	if i := strings.Index(host, "://"); i >= 0 {
		return "", &Fault{"has a scheme", fmt.Sprintf("write %q", strings.TrimRight(host[i+3:], "/"))}
	}
	u, err := url.Parse(scheme + "://" + host)
	if err != nil || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || u.Host != host {
		return "", invalidHost(host)
	}
	return canonicalHost(u)
}

// Origin returns nil if a browser can send origin as the Origin header, and otherwise a
// *[Fault] that says what to write (RFC 6454, section 6.2; Fetch, "serializing a request
// origin"). An origin of a scheme other than http and https, as apps have, needs only a
// host.
func Origin(origin string) error {
	if origin == "null" {
		return &Fault{"is the origin of every sandboxed page", "give the page an origin of its own, and write that"}
	}
	if strings.Contains(origin, "*") {
		return &Fault{"has a wildcard", "list each origin; browsers send one, and it is compared as text"}
	}
	if i := strings.IndexFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }); i >= 0 {
		r, _ := utf8.DecodeRuneInString(origin[i:])
		return &Fault{
			Problem: fmt.Sprintf("has the character %q, which no origin has", r),
			Fix:     `write the host in the form that browsers send, which begins with "xn--" for such names`,
		}
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return &Fault{"is not a web origin", `write a scheme and a host, like "https://app.example.com"`}
	}
	want := u.Scheme + "://" + strings.ToLower(u.Host)
	if u.Scheme == "http" || u.Scheme == "https" {
		host, err := canonicalHost(u)
		if err != nil {
			return err
		}
		want = u.Scheme + "://" + host
	}
	if origin != want {
		return &Fault{"can never match, because browsers send only scheme, host and a port that is not the default", fmt.Sprintf("write %q", want)}
	}
	return nil
}

// canonicalHost returns the host of u in the form in which clients send it, with the
// port unless it is the default port of the scheme.
func canonicalHost(u *url.URL) (string, error) {
	host, err := canonicalName(u)
	if err != nil {
		return "", err
	}
	if u.Port() == "" {
		return host, nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return "", &Fault{fmt.Sprintf("has port %q, want 1 to 65535", u.Port()), "write the port clients connect to, or none"}
	}
	if port == 443 && u.Scheme == "https" || port == 80 && u.Scheme == "http" {
		return host, nil
	}
	return host + ":" + strconv.FormatUint(port, 10), nil
}

func canonicalName(u *url.URL) (string, error) {
	name := strings.ToLower(u.Hostname())
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return name, checkName(name)
	}
	switch {
	case addr.Is6() != strings.HasPrefix(u.Host, "["), addr.Zone() != "":
		return "", invalidHost(u.Host)
	case addr.IsUnspecified():
		return "", &Fault{fmt.Sprintf("has host %q, which means all addresses", u.Host), "write the host clients connect to"}
	case addr.Is4In6():
		return "", &Fault{fmt.Sprintf("has host %q, an IPv4 address in IPv6 form", u.Host), fmt.Sprintf("write %q", addr.Unmap())}
	case addr.Is6():
		return "[" + addr.String() + "]", nil
	}
	return addr.String(), nil
}

// checkName rejects names that are not DNS names, and names that WHATWG URL parsers, as
// in browsers, read as an address ("127.1", "0x7f000001").
func checkName(name string) error {
	if !isName(name) {
		return invalidHost(name)
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return invalidHost(name)
	}
	return nil
}

func invalidHost(host string) error {
	return &Fault{fmt.Sprintf("has host %q, which is neither a DNS name nor an address", host), "write the host clients connect to"}
}

// isName reports whether name, in lower case, consists of DNS labels. Underscores are
// allowed because container networks use them.
func isName(name string) bool {
	if len(name) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel || strings.Trim(label, "-") != label {
			return false
		}
		if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}
