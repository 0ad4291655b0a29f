package difftest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// specimen is one token of the corpus of internal/token.
type specimen struct {
	Name string
	Raw  string
	Want reason.Reason // empty if it must be accepted
}

// corpus is the corpus of internal/token: its test writes the file.
var corpus = sync.OnceValues(func() (*loadedCorpus, error) {
	dir, err := os.MkdirTemp("", "corpus")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "corpus.json")
	command := exec.Command("go", "test", "-count=1", "-run=^TestCorpus$", "./internal/token", "-corpus="+path)
	command.Dir = filepath.Join("..", "..")
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w\n%s", command, err, out)
	}
	return load(path)
})

type loadedCorpus struct {
	bench     bench
	specimens []specimen
}

func load(path string) (*loadedCorpus, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Now       time.Time
		Verifier  *token.Verifier
		Keys      map[string][]byte
		Specimens []specimen
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	keys := map[string]crypto.PublicKey{}
	for kid, der := range file.Keys {
		if keys[kid], err = x509.ParsePKIXPublicKey(der); err != nil {
			return nil, err
		}
	}
	return &loadedCorpus{bench{file.Verifier, keys, file.Now}, file.Specimens}, nil
}

// ours is the verifier under test.
func (b *bench) ours(raw string) (*token.Token, error) {
	return b.verifier.Verify(context.Background(), raw, b, b.now)
}

// Find makes b the issuer's keys, which never change.
func (b *bench) Find(_ context.Context, kid, alg string) ([]crypto.PublicKey, uint64, error) {
	return b.find(kid, alg), 1, nil
}

func (b *bench) Newer(context.Context, string, string, uint64) ([]crypto.PublicKey, uint64, error) {
	return nil, 1, nil
}

// mustAgree fails the test if internal/token accepts raw and an oracle rejects it or reads
// other claims.
func mustAgree(t *testing.T, b *bench, name, raw string) {
	t.Helper()
	got, err := b.ours(raw)
	if err != nil {
		return
	}
	for _, o := range oracles {
		claims, err := o.verify(b, raw)
		if err != nil && excused(o.name, raw) {
			continue
		}
		if err != nil {
			t.Errorf("%s: accepted, and %s rejects it: %v", name, o.name, err)
			continue
		}
		if diff := cmp.Diff(view(claims), tokenView(got)); diff != "" {
			t.Errorf("%s: %s reads other claims (-%s +ours):\n%s", name, o.name, o.name, diff)
		}
	}
}

// excused reports whether the oracle called name may reject a valid token because of its
// header.
func excused(name, raw string) bool {
	header, err := base64.RawURLEncoding.DecodeString(raw[:strings.IndexByte(raw, '.')])
	var parameters map[string]any
	if err != nil || json.Unmarshal(header, &parameters) != nil {
		return false
	}
	// The newer name of EdDSA is unknown to golang-jwt and go-jose.
	if parameters["alg"] == "Ed25519" && name != "jwx" {
		return true
	}
	// jwx checks the signature without the space around the header; RFC 7515 §5.2 includes it.
	if name == "jwx" && len(bytes.TrimSpace(header)) < len(header) {
		return true
	}
	// go-jose and jwx read parameters that a verifier with configured keys does not need, and reject invalid ones.
	return slices.ContainsFunc([]string{"jwk", "jku", "x5u", "x5c", "x5t", "x5t#S256", "cty", "zip", "enc", "nonce"}, func(name string) bool {
		_, ok := parameters[name]
		return ok
	})
}

// claimsView is the claims that decide about access.
type claimsView struct {
	Issuer, Subject, ClientID, ID string
	Audience                      []string
	Expiry                        int64
	Scope                         string
}

func view(claims map[string]any) claimsView {
	text := func(name string) string { s, _ := claims[name].(string); return s }
	client := text("client_id")
	if client == "" {
		client = text("azp")
	}
	expiry, _ := claims["exp"].(float64)
	return claimsView{
		Issuer: text("iss"), Subject: text("sub"), ClientID: client, ID: text("jti"),
		Audience: list(claims["aud"]), Expiry: int64(expiry), Scope: strings.Join(strings.Fields(text("scope")), " "),
	}
}

func tokenView(t *token.Token) claimsView {
	v := claimsView{Issuer: t.Issuer, Subject: t.Subject, ClientID: t.ClientID, ID: t.ID, Audience: t.Audience, Expiry: t.Expiry.Unix()}
	var claims map[string]any
	if json.Unmarshal([]byte(t.Payload), &claims) == nil {
		if _, ok := claims["scope"].(string); ok {
			v.Scope = strings.Join(t.Scopes, " ")
		}
	}
	return v
}

func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var items []string
		for _, item := range v {
			s, _ := item.(string)
			items = append(items, s)
		}
		return items
	case []string:
		return v
	}
	return nil
}

// stricter are the reasons with which internal/token rejects, on purpose, what others
// accept. With any other reason, it would reject a valid token.
var stricter = []reason.Reason{
	reason.CriticalHeader, reason.Malformed, reason.MissingClaim, reason.MissingKeyID, reason.SenderConstrained, reason.TooLarge, reason.WrongSubject, reason.WrongType,
}

// otherSalt marks RSASSA-PSS signatures with a salt that is not as long as the hash.
// RFC 7518 §3.5 does not allow them; golang-jwt and go-jose do.
const otherSalt = "PS256 with a salt of "

func TestCorpus(t *testing.T) {
	c, err := corpus()
	if err != nil {
		t.Fatal(err)
	}
	accepted := map[string]map[reason.Reason]int{}
	for _, o := range oracles {
		accepted[o.name] = map[reason.Reason]int{}
	}
	all := 0
	for _, s := range c.specimens {
		_, err := c.bench.ours(s.Raw)
		if (err == nil) != (s.Want == "") {
			t.Errorf("%s: %v, want reason %q", s.Name, err, s.Want)
		}
		mustAgree(t, &c.bench, s.Name, s.Raw)
		if s.Want == "" {
			continue
		}
		all++
		for _, o := range oracles {
			if _, err := o.verify(&c.bench, s.Raw); err != nil {
				continue
			}
			accepted[o.name][s.Want]++
			if !slices.Contains(stricter, s.Want) && !strings.Contains(s.Name, otherSalt) {
				t.Errorf("%s accepts %s, rejected here as %s", o.name, s.Name, s.Want)
			}
		}
	}
	for _, o := range oracles {
		n := 0
		for _, count := range accepted[o.name] {
			n += count
		}
		t.Logf("%s accepts %d of %d hostile tokens: %v", o.name, n, all, accepted[o.name])
	}
}
