package localclerk

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// metadataDocument contains the members of a client ID metadata document that
// Clerk reads (draft-ietf-oauth-client-id-metadata-document).
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

// isDocumentURL reports whether a client ID is meant as the URL of a metadata
// document. checkMetadataURL checks whether it is a valid one.
func isDocumentURL(clientID string) bool { return strings.Contains(clientID, "://") }

// checkMetadataURL checks that a client ID can be the URL of a metadata document:
// https, with a path, without credentials and fragment.
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

// PreregisterClient registers the https URL of a client ID metadata document. The
// client is then allowed even if the settings allow only preregistered clients,
// as long as Settings.ClientIDMetadataDocumentsAdvertised is set. The URL has a
// path, no credentials and no fragment, and at most 512 bytes.
func (s *Server) PreregisterClient(clientID string) error {
	if err := checkMetadataURL(clientID); err != nil {
		return fmt.Errorf("localclerk: client ID %q: %w", clientID, err)
	}
	s.store.preregister(clientID)
	return nil
}

// checkDocumentAllowed rejects the client of a metadata document if the settings
// do not allow it.
func (s *Server) checkDocumentAllowed(clientID string) *oauthError {
	settings := s.currentSettings()
	if !settings.ClientIDMetadataDocumentsAdvertised {
		return oauthErrorf(invalidClient,
			"This instance does not accept client ID metadata documents, but the client_id '%s' is the URL of one.", clientID).
			withFix("turn on client_id_metadata_documents_advertised in the instance settings")
	}
	onlyPreregistered := settings.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients ||
		settings.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients
	if onlyPreregistered && !s.store.preregistered(clientID) {
		return oauthErrorf(invalidClient, "The client '%s' is not preregistered.", clientID).
			withFix("preregister the client, or turn off client_id_metadata_documents_only_allow_pre_registered_clients " +
				"and client_id_metadata_documents_block_implicitly_allowed_clients")
	}
	return nil
}

// clientFromDocument returns the client that a metadata document describes. It
// fetches the document unless the stored client is still fresh.
func (s *Server) clientFromDocument(ctx context.Context, clientID string) (*client, *oauthError) {
	if oauthErr := s.checkDocumentAllowed(clientID); oauthErr != nil {
		return nil, oauthErr
	}
	if known, ok := s.store.client(clientID); ok && s.now().Before(known.freshUntil) {
		return known, nil
	}
	if err := checkMetadataURL(clientID); err != nil {
		return nil, oauthErrorf(invalidClient,
			"The client_id '%s' is invalid: %v.", clientID, err).withFix("serve the document at an https URL with a path")
	}
	document, age, err := s.fetchDocument(ctx, clientID)
	if err == nil {
		err = document.check(clientID)
	}
	if err != nil {
		return nil, oauthErrorf(invalidClient,
			"The client ID metadata document '%s' is unusable: %v.", clientID, err).withFix("correct the document and try again")
	}
	settings := s.currentSettings()
	scopes := slices.DeleteFunc(splitScope(document.Scope), func(scope string) bool {
		return !slices.Contains(settings.SupportedScopes(), scope)
	})
	c := &client{
		id:            clientID,
		applicationID: derivedID("oauthapp_", clientID),
		name:          document.ClientName,
		uri:           clientID,
		logoURI:       document.LogoURI,
		redirectURIs:  document.RedirectURIs,
		scopes:        settings.dynamicScopes(scopes),
		consentScreen: true,
		pkceRequired:  true,
		createdAt:     s.now(),
		freshUntil:    s.now().Add(age),
	}
	s.store.addClient(c)
	return c, nil
}

// check checks the document that was fetched from clientID.
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
	}
	return checkRedirectURIs(d.RedirectURIs)
}
