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
	"net/url"
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
	maxMetadataFetches  = 4 // at a time

	defaultMetadataAge = 5 * time.Minute
	maxMetadataAge     = 24 * time.Hour
)

// metadataDocument is a client ID metadata document
// (draft-ietf-oauth-client-id-metadata-document), as far as Clerk reads it.
type metadataDocument struct {
	ClientID                string   `json:"client_id"`
	ClientName              string   `json:"client_name"`
	ClientURI               string   `json:"client_uri"`
	LogoURI                 string   `json:"logo_uri"`
	RedirectURIs            []string `json:"redirect_uris"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
	ClientSecret            string   `json:"client_secret"`
	Scope                   string   `json:"scope"`
}

// namesDocument reports whether a client id is meant to be the URL of a
// metadata document.
func namesDocument(clientID string) bool { return strings.Contains(clientID, "://") }

// checkMetadataURL says what keeps a client id from being the URL of a
// metadata document: https, with a path, without credentials and fragment.
func checkMetadataURL(clientID string) error {
	u, err := url.Parse(clientID)
	switch {
	case err != nil:
		return errors.New("it is not a URL")
	case len(clientID) > maxMetadataURL:
		return fmt.Errorf("it has %d bytes, want at most %d", len(clientID), maxMetadataURL)
	case u.Scheme != "https" || u.Host == "":
		return errors.New("it is not an https URL")
	case strings.Trim(u.Path, "/") == "":
		return errors.New("it has no path")
	case u.User != nil || strings.Contains(clientID, "#"):
		return errors.New("it has credentials or a fragment")
	case slices.ContainsFunc(strings.Split(u.Path, "/"), func(part string) bool { return part == "." || part == ".." }):
		return errors.New("it has dot segments")
	}
	return nil
}

// PreregisterClient admits the https URL of a client ID metadata document
// whatever the settings say about others.
func (s *Server) PreregisterClient(clientID string) error {
	if err := checkMetadataURL(clientID); err != nil {
		return fmt.Errorf("localclerk: client id %q: %w", clientID, err)
	}
	s.vault.preregister(clientID)
	return nil
}

// admitsDocument refuses a metadata document's client that the settings shut
// out.
func (s *Server) admitsDocument(clientID string) *refusal {
	settings := s.currentSettings()
	if !settings.ClientIDMetadataDocumentsAdvertised {
		return refuse(invalidClient, "This instance takes no client id metadata documents, and '%s' names one.", clientID).
			mend("switch them on: client_id_metadata_documents_advertised")
	}
	only := settings.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients || settings.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients
	if only && !s.vault.preregistered(clientID) {
		return refuse(invalidClient, "The client '%s' is not registered beforehand.", clientID).
			mend("register it, or switch off client_id_metadata_documents_only_allow_pre_registered_clients and client_id_metadata_documents_block_implicitly_allowed_clients")
	}
	return nil
}

// documentClient returns the client a metadata document describes, from memory
// while it is fresh.
func (s *Server) documentClient(ctx context.Context, clientID string) (*client, *refusal) {
	if refused := s.admitsDocument(clientID); refused != nil {
		return nil, refused
	}
	if known, ok := s.vault.client(clientID); ok && s.now().Before(known.freshUntil) {
		return known, nil
	}
	if err := checkMetadataURL(clientID); err != nil {
		return nil, refuse(invalidClient, "The client id '%s': %v.", clientID, err).mend("serve the document at an https URL with a path")
	}
	document, age, err := s.fetchDocument(ctx, clientID)
	if err == nil {
		err = document.check(clientID)
	}
	if err != nil {
		return nil, refuse(invalidClient, "The client id metadata document '%s': %v.", clientID, err).mend("correct the document and try again")
	}
	settings := s.currentSettings()
	known := slices.DeleteFunc(splitScope(document.Scope), func(scope string) bool { return !slices.Contains(settings.scopes(), scope) })
	c := &client{
		id:            clientID,
		application:   derivedID("oauthapp_", clientID),
		name:          document.ClientName,
		uri:           clientID,
		logoURI:       document.LogoURI,
		redirectURIs:  document.RedirectURIs,
		scopes:        settings.dynamicScopes(known),
		consentScreen: true,
		pkceRequired:  true,
		created:       s.now(),
		freshUntil:    s.now().Add(age),
	}
	s.vault.addClient(c)
	return c, nil
}

// check says what is wrong with the document found at clientID.
func (d metadataDocument) check(clientID string) error {
	switch {
	case d.ClientID != clientID:
		return fmt.Errorf("its client_id is %q", d.ClientID)
	case d.ClientName == "" || len(d.ClientName) > maxClientName:
		return fmt.Errorf("its client_name has %d bytes, want 1 to %d", len(d.ClientName), maxClientName)
	case d.TokenEndpointAuthMethod != "" && d.TokenEndpointAuthMethod != authNone:
		return fmt.Errorf("its token_endpoint_auth_method is %q, want none", d.TokenEndpointAuthMethod)
	case d.ClientSecret != "":
		return errors.New("it has a client_secret")
	case len(d.RedirectURIs) == 0 || len(d.RedirectURIs) > maxRedirectURIs:
		return fmt.Errorf("it has %d redirect_uris, want 1 to %d", len(d.RedirectURIs), maxRedirectURIs)
	}
	for _, uri := range d.RedirectURIs {
		if err := checkRedirectURI(uri); err != nil {
			return err
		}
	}
	return nil
}

// fetchDocument fetches a document and says how long it stays fresh.
func (s *Server) fetchDocument(ctx context.Context, from string) (metadataDocument, time.Duration, error) {
	var document metadataDocument
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	select {
	case s.fetching <- struct{}{}:
		defer func() { <-s.fetching }()
	case <-ctx.Done():
		return document, 0, errors.New("too many documents are being fetched")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return document, 0, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.fetcher.Do(request)
	if err != nil {
		return document, 0, fmt.Errorf("fetching it: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return document, 0, fmt.Errorf("got status %d, want 200; redirects are not followed", response.StatusCode)
	}
	if media, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); media != "application/json" && !strings.HasSuffix(media, "+json") {
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

// maxAge reads how long an answer stays fresh from Cache-Control (RFC 9111
// section 5.2.2).
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

// newFetcher returns a copy of base that follows no redirects. Without base it
// also connects to public addresses only, so that a client id cannot make this
// server ask its own network (SSRF).
func newFetcher(base *http.Client) *http.Client {
	if base == nil {
		dialer := &net.Dialer{Timeout: metadataTimeout, Control: onlyPublic}
		base = &http.Client{Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    metadataTimeout,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           maxMetadataFetches,
			IdleConnTimeout:        metadataTimeout,
			MaxResponseHeaderBytes: maxMetadataDocument,
		}}
	}
	fetcher := *base
	fetcher.Jar = nil
	fetcher.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &fetcher
}

// onlyPublic is a net.Dialer.Control. It sees the address that is connected
// to, after name resolution.
func onlyPublic(network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if !isPublic(at.Addr()) {
		return fmt.Errorf("%s is not a public address", at.Addr())
	}
	return nil
}

// notPublic lists the special-purpose ranges of RFC 6890 that netip's own
// predicates leave out.
var notPublic = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"),
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"),
}

func isPublic(addr netip.Addr) bool {
	addr = addr.Unmap()
	return addr.IsGlobalUnicast() && !addr.IsPrivate() && addr.Zone() == "" &&
		!slices.ContainsFunc(notPublic, func(p netip.Prefix) bool { return p.Contains(addr) })
}
