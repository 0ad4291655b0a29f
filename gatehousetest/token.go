package gatehousetest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// Token returns an access token of who for the server with the resource identifier
// resource. Its aud is resource, as from an instance with aud_claim_enabled. With flaws,
// it is invalid in just these. There is no sign-in, and no server needs to listen at
// resource. If who does not exist, Token fails t.
//
// For tokens without aud, as Clerk issues them by default, and for other claims, see
// [localclerk.Server.IssueToken].
func (c *ClerkServer) Token(t testing.TB, resource string, who Person, flaws ...Flaw) string {
	t.Helper()
	d := draft{
		Token: localclerk.Token{
			User:         who.User,
			Organization: who.Organization,
			Scopes:       who.Scopes,
			Resource:     resource,
			Header:       map[string]any{},
			Claims:       map[string]any{},
		},
		signer: c.Server,
	}
	for _, flaw := range flaws {
		if err := flaw.apply(&d); err != nil {
			t.Fatalf("gatehousetest: making a token with %q: %v", flaw, err)
		}
	}
	token, err := d.write()
	if err != nil {
		t.Fatalf("gatehousetest: making a token: %v", err)
	}
	return token
}

// Flaw is one reason why a token of [ClerkServer.Token] is invalid. Its text completes
// "a token with …".
type Flaw string

// Flaws. A token with Forged, Tampered or Unsigned has no valid signature. Tokens with
// the other flaws are signed by the local Clerk itself.
const (
	Expired       Flaw = "an exp that has passed"
	NotYetValid   Flaw = "an nbf in the future"
	WrongAudience Flaw = "the aud of another server" // RFC 8707
	WrongIssuer   Flaw = "the iss of another instance"
	Forged        Flaw = "a signature by another key" // with the kid of the right key
	Tampered      Flaw = "claims changed after it was signed"
	Unsigned      Flaw = "alg none" // RFC 7519 §6

	// Clerk's other kinds of JWT, with the aud of an access token.
	IDToken       Flaw = "the type of an ID token"
	SessionToken  Flaw = "the type of a session token"
	TemplateToken Flaw = "the type of a JWT template"
	MachineToken  Flaw = "the type of a machine token"
)

// Flaws returns every flaw. A guard answers 401 to a token with any of them.
func Flaws() []Flaw {
	return []Flaw{
		Expired, NotYetValid, WrongAudience, WrongIssuer, Forged, Tampered, Unsigned,
		IDToken, SessionToken, TemplateToken, MachineToken,
	}
}

// apply changes d so that its token has the flaw.
func (f Flaw) apply(d *draft) error {
	switch f {
	case Expired:
		d.Lifetime = -time.Hour
	case NotYetValid:
		d.Claims["nbf"] = time.Now().Add(time.Hour).Unix()
	case WrongAudience:
		d.Claims["aud"] = "https://other.example/mcp"
	case WrongIssuer:
		d.Claims["iss"] = "https://clerk.other.example"
	case Forged:
		return forge(d)
	case Tampered:
		d.changes = append(d.changes, tamper)
	case Unsigned:
		d.changes = append(d.changes, unsign)
	case IDToken, SessionToken, TemplateToken, MachineToken:
		d.Kind, d.Claims["aud"] = kinds[f], d.Resource
	default:
		return errors.New("unknown flaw")
	}
	return nil
}

var kinds = map[Flaw]localclerk.TokenKind{
	IDToken:       localclerk.IDToken,
	SessionToken:  localclerk.SessionToken,
	TemplateToken: localclerk.TemplateToken,
	MachineToken:  localclerk.M2MToken,
}

// draft describes a token that is not signed yet.
type draft struct {
	localclerk.Token
	signer  *localclerk.Server
	changes []func(token string) (string, error) // made after it is signed
}

func (d *draft) write() (string, error) {
	token, err := d.signer.IssueToken(d.Token)
	for _, change := range d.changes {
		if err == nil {
			token, err = change(token)
		}
	}
	return token, err
}

// forge makes another local Clerk sign the token, which differs only in its key.
func forge(d *draft) error {
	genuine, err := d.signer.IssueToken(localclerk.Token{})
	if err != nil {
		return err
	}
	header, err := decode(strings.Split(genuine, ".")[0])
	if err != nil {
		return err
	}
	other, err := localclerk.New(localclerk.Config{
		Issuer:        d.signer.Issuer(),
		Users:         d.signer.Users(),
		Organizations: d.signer.Organizations(),
		SigningKey:    unknownKey(),
	})
	if err != nil {
		return err
	}
	d.signer, d.Header["kid"] = other, header["kid"]
	return nil
}

func tamper(token string) (string, error) {
	parts := strings.Split(token, ".")
	claims, err := decode(parts[1])
	if err != nil {
		return "", err
	}
	claims["scope"] = fmt.Sprint(claims["scope"], " admin")
	parts[1], err = encode(claims)
	return strings.Join(parts, "."), err
}

func unsign(token string) (string, error) {
	parts := strings.Split(token, ".")
	header, err := decode(parts[0])
	if err != nil {
		return "", err
	}
	header["alg"] = "none"
	parts[0], err = encode(header)
	return parts[0] + "." + parts[1] + ".", err
}

// decode reads one part of a compact JWS (RFC 7515 §3.1).
func decode(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	return object, json.Unmarshal(text, &object)
}

func encode(object map[string]any) (string, error) {
	text, err := json.Marshal(object)
	return base64.RawURLEncoding.EncodeToString(text), err
}
