package localclerk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxMetadataURL      = 512
	maxMetadataDocument = 64 << 10
	metadataTimeout     = 5 * time.Second
	maxMetadataFetches  = 4 // concurrent

	defaultMetadataAge = 5 * time.Minute
	maxMetadataAge     = 24 * time.Hour
)

// fetchDocument fetches a document and returns how long it stays fresh.
func (s *Server) fetchDocument(ctx context.Context, from string) (metadataDocument, time.Duration, error) {
	var document metadataDocument
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	select {
	case s.documentSlots <- struct{}{}:
		defer func() { <-s.documentSlots }()
	case <-ctx.Done():
		return document, 0, errors.New("too many documents are being fetched")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return document, 0, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.documentHTTP.Do(request)
	if err != nil {
		return document, 0, fmt.Errorf("fetching it: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return document, 0, fmt.Errorf("got status %d, want 200; redirects are not followed", response.StatusCode)
	}
	media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if media != "application/json" && !strings.HasSuffix(media, "+json") {
		return document, 0, fmt.Errorf("got content type %q, want application/json", response.Header.Get("Content-Type"))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMetadataDocument+1))
	if err != nil {
		return document, 0, fmt.Errorf("reading it: %w", err)
	}
	if len(body) > maxMetadataDocument {
		return document, 0, fmt.Errorf("it has more than %d bytes", maxMetadataDocument)
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return document, 0, fmt.Errorf("decoding it: %w", err)
	}
	return document, maxAge(response.Header.Get("Cache-Control")), nil
}

// maxAge returns how long a response stays fresh according to its Cache-Control
// header (RFC 9111 section 5.2.2).
func maxAge(cacheControl string) time.Duration {
	age := defaultMetadataAge
	for directive := range strings.SplitSeq(strings.ToLower(cacheControl), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, err := strconv.Atoi(strings.Trim(value, `"`))
			if err != nil || seconds < 0 {
				return 0
			}
			age = min(time.Duration(min(seconds, int(maxMetadataAge.Seconds())))*time.Second, maxMetadataAge)
		}
	}
	return age
}

// newDocumentHTTPClient returns a copy of base that does not follow redirects. If
// base is nil, the client also connects to public addresses only, so that a
// client ID cannot make this server send requests to its own network (SSRF).
func newDocumentHTTPClient(base *http.Client) *http.Client {
	if base == nil {
		dialer := &net.Dialer{Timeout: metadataTimeout, Control: allowPublicAddress}
		base = &http.Client{Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    metadataTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           maxMetadataFetches,
			IdleConnTimeout:        metadataTimeout,
			MaxResponseHeaderBytes: maxMetadataDocument,
		}}
	}
	client := *base
	client.Jar = nil
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// allowPublicAddress is a net.Dialer.Control function that rejects addresses that
// are not public. It receives the address after name resolution.
func allowPublicAddress(network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !isPublic(at.Addr()) {
		return fmt.Errorf("%s is not a public address", at.Addr())
	}
	return nil
}

// globalUnicast6 holds all public IPv6 addresses (RFC 3587). Everything outside of it
// is reserved, deprecated or of special purpose, such as ::127.0.0.1, fec0::/10 and
// 5f00::/16.
var globalUnicast6 = netip.MustParsePrefix("2000::/3")

// nonPublicPrefixes lists the special-purpose ranges of the IANA registries (RFC 6890)
// that neither globalUnicast6 nor the methods of netip.Addr exclude.
var nonPublicPrefixes = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
	netip.MustParsePrefix("3fff::/20"),
}

func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && addr.Zone() == "" &&
		(addr.Is4() || globalUnicast6.Contains(addr)) &&
		!slices.ContainsFunc(nonPublicPrefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
