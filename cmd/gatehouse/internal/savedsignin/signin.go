// Package savedsignin stores sign-ins between runs of the program.
//
// A sign-in is the client that this program registered at an authorization server,
// and the tokens that it received. [Store] keeps one file per sign-in, which only its
// owner can read.
package savedsignin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Account identifies who signs in to which server. Sign-ins of different accounts are
// stored separately. An empty field means that the user made no choice.
type Account struct {
	Resource     string `json:"resource"`               // URL of the MCP endpoint, as typed
	User         string `json:"user,omitempty"`         // --user, at a local Clerk
	Organization string `json:"organization,omitempty"` // --org, at a local Clerk
	ClientID     string `json:"client_id,omitempty"`    // --client-id
}

// Covers reports whether other has the same user, organization and client as a. An
// empty field of a stands for any value. The resource is not compared.
func (a Account) Covers(other Account) bool {
	return (a.User == "" || a.User == other.User) &&
		(a.Organization == "" || a.Organization == other.Organization) &&
		(a.ClientID == "" || a.ClientID == other.ClientID)
}

// Flags returns the flags with which the user named the account, such as "--user ada", or
// "" for none.
func (a Account) Flags() string {
	var flags []string
	for _, flag := range []struct{ name, value string }{
		{"--user", a.User},
		{"--org", a.Organization},
		{"--client-id", a.ClientID},
	} {
		if flag.value != "" {
			flags = append(flags, flag.name+" "+flag.value)
		}
	}
	return strings.Join(flags, " ")
}

// SignIn is one stored sign-in. There is at most one for each account and issuer.
type SignIn struct {
	Account            Account   `json:"account"`
	Issuer             string    `json:"issuer"`
	Client             Client    `json:"client"`
	TokenEndpoint      string    `json:"token_endpoint,omitempty"`
	TokenEndpointStyle int       `json:"token_endpoint_style,omitempty"` // an oauth2.AuthStyle
	RevocationEndpoint string    `json:"revocation_endpoint,omitempty"`
	Tokens             *Tokens   `json:"tokens,omitempty"` // nil if only the client is known
	SavedAt            time.Time `json:"saved_at"`
}

// Client is the OAuth client with which the program signs in.
type Client struct {
	ID          string `json:"client_id"`
	Secret      Secret `json:"client_secret,omitempty"`
	RedirectURI string `json:"redirect_uri,omitempty"`
	Scope       string `json:"scope,omitempty"`      // scopes that it may request; "" if unknown
	Registered  bool   `json:"registered,omitempty"` // this program registered it (RFC 7591)
}

// MayRequest reports whether the client can request the scopes, as far as is known. A
// client of Clerk can request only the scopes that it registered with.
func (c Client) MayRequest(scopes []string) bool {
	if c.ID == "" || c.Scope == "" {
		return c.ID != ""
	}
	registered := strings.Fields(c.Scope)
	return !slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(registered, scope) })
}

// Tokens is the response of the token endpoint.
type Tokens struct {
	Access  Secret    `json:"access_token"`
	Type    string    `json:"token_type,omitempty"`
	Refresh Secret    `json:"refresh_token,omitempty"`
	Expiry  time.Time `json:"expiry,omitzero"` // of the access token; zero if unknown
	Scope   string    `json:"scope,omitempty"` // granted, or requested if the response has none
}

// Scopes returns the scopes of the access token. It returns nil if t is nil.
func (t *Tokens) Scopes() []string {
	if t == nil {
		return nil
	}
	return strings.Fields(t.Scope)
}

// Decode parses the content of a file that [Store.Save] wrote.
func Decode(data []byte) (*SignIn, error) {
	var s SignIn
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("file does not have the JSON that gatehouse writes: %w", err)
	}
	if s.Account.Resource == "" || s.Issuer == "" || s.Client.ID == "" {
		return nil, errors.New("file does not name a resource, an issuer and a client")
	}
	return &s, nil
}
