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

// Token returns an access token for the server with the resource identifier
// resource, as who would get it with aud_claim_enabled, or one that has flaws.
// Nobody signs in and nothing needs to listen. It fails t if who is nobody.
//
// For a token without audience, as Clerk issues them from the factory, and for
// claims of your own, see [localclerk.Server.IssueToken].
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
		if err := flaw.spoil(&d); err != nil {
			t.Fatalf("gatehousetest: making a token with %q: %v", flaw, err)
		}
	}
	token, err := d.write()
	if err != nil {
		t.Fatalf("gatehousetest: making a token: %v", err)
	}
	return token
}

// Flaw is one thing that is wrong with a token of [ClerkServer.Token], in words
// that follow "with".
type Flaw string

// The flaws there are. All but Forged, Tampered and Unsigned leave a token that
// Clerk itself signed.
const (
	Expired       Flaw = "an exp that has passed"
	NotYetValid   Flaw = "an nbf to come"
	WrongAudience Flaw = "the aud of another server" // RFC 8707
	WrongIssuer   Flaw = "another iss"
	Forged        Flaw = "a stranger's signature" // under the kid of the right key
	Tampered      Flaw = "claims changed after it was signed"
	Unsigned      Flaw = "alg none" // RFC 7519 section 6

	// Clerk's other kinds of JWT, with the aud of an access token.
	IDToken       Flaw = "the type of an ID token"
	SessionToken  Flaw = "the type of a session token"
	TemplateToken Flaw = "the type of a JWT template"
	MachineToken  Flaw = "the type of a machine's token"
)

// Flaws returns every flaw. A guard answers 401 to each.
func Flaws() []Flaw {
	return []Flaw{
		Expired, NotYetValid, WrongAudience, WrongIssuer, Forged, Tampered, Unsigned,
		IDToken, SessionToken, TemplateToken, MachineToken,
	}
}

// spoil puts f into d.
func (f Flaw) spoil(d *draft) error {
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
		d.finish = append(d.finish, tamper)
	case Unsigned:
		d.finish = append(d.finish, unsign)
	case IDToken, SessionToken, TemplateToken, MachineToken:
		d.Kind, d.Claims["aud"] = kinds[f], d.Resource
	default:
		return errors.New("there is no such flaw")
	}
	return nil
}

var kinds = map[Flaw]localclerk.TokenKind{
	IDToken:       localclerk.IDToken,
	SessionToken:  localclerk.SessionToken,
	TemplateToken: localclerk.TemplateToken,
	MachineToken:  localclerk.M2MToken,
}

// draft is a token before it is written.
type draft struct {
	localclerk.Token
	signer *localclerk.Server
	finish []func(token string) (string, error) // after it was signed
}

func (d *draft) write() (string, error) {
	token, err := d.signer.IssueToken(d.Token)
	for _, change := range d.finish {
		if err == nil {
			token, err = change(token)
		}
	}
	return token, err
}

// forge has a twin of the local Clerk sign, which differs in its key alone.
func forge(d *draft) error {
	genuine, err := d.signer.IssueToken(localclerk.Token{})
	if err != nil {
		return err
	}
	header, err := decode(strings.Split(genuine, ".")[0])
	if err != nil {
		return err
	}
	twin, err := localclerk.New(localclerk.Config{
		Issuer:        d.signer.Issuer(),
		Users:         d.signer.Users(),
		Organizations: d.signer.Organizations(),
		SigningKey:    strangersKey(),
	})
	if err != nil {
		return err
	}
	d.signer, d.Header["kid"] = twin, header["kid"]
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

// decode reads one part of a compact JWS (RFC 7515 section 3.1).
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
