package remote

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// parseURL returns the URL raw of a document, if it is absolute, without user info or
// fragment, and https or on a loopback host.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("URL %q is malformed", raw)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("URL has a user or password") // which the error must not show
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("URL %q is not absolute", raw)
	case u.Fragment != "":
		return nil, fmt.Errorf("URL %q has a fragment", raw)
	case u.Scheme == "https", u.Scheme == "http" && wellknown.IsLoopback(u.Hostname()):
		return u, nil
	}
	return nil, fmt.Errorf("URL %q is not https; use https, or http only on localhost", raw)
}
