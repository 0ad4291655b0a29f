package difftest

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

const (
	validHeader = `{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`
	validClaims = `{"aud":"https://mcp.example.com/mcp","client_id":"dGd3hVEbAbMZNBbK","exp":1795352400,"iat":1795345200,` +
		`"iss":"https://issuer.example","jti":"oat_T6R0A1C379HWAWRF","nbf":1795345190,"scope":"email profile","sub":"user_3BJN08XElmDV"}`
)

var edKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// edBench accepts the valid header and claims above if edKey signs them.
var edBench = &bench{
	verifier: &token.Verifier{
		Rules: token.Rules{
			Algorithms: []string{"EdDSA"},
			Types:      []string{"at+jwt"},
		},
		Issuers:   []string{"https://issuer.example"},
		Resources: []string{"https://mcp.example.com/mcp"},
	},
	keys: map[string]crypto.PublicKey{"ed": edKey.Public()},
	now:  time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
}

func sign(header, claims string) string {
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return input + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(edKey, []byte(input)))
}

// fragments are the texts that mutations insert.
var fragments = []string{
	`"`, `\`, `,`, `:`, `{`, `}`, `[`, `]`, ` `, "\n", "\t", "\x00", `0`, `-`, `.`, `e9`, `1e3`, `.5`, `null`, `true`, `""`, `[]`, `{}`,
	`\u0061`, `\ud83d\ude00`, `\ud83d`, `\/`, "é", "\xff", "ſ", "K", `"aud":"x",`, `"AUD":["x"],`, `"exp":1e10,`, `"Exp":0,`, `"nbf":0.5,`, `"iss":"x",`,
	`"sub":"user_2",`, `"Sub":"user_2",`, `"scope":["a","b"],`, `"scp":"x",`, `"azp":"x",`, `"crit":["exp"],`, `"b64":false,`, `"cnf":{},`, `"x":{"y":[1,2,{}]},`,
	`"aud":["https://mcp.example.com/mcp","x"],`, `"zip":"DEF",`, `"cty":"JWT",`, `"typ":"JWT",`, `"alg":"none",`, `"kid":"x",`,
}

// mutate changes text at one to three places.
func mutate(r *rand.Rand, text string) string {
	for range 1 + r.IntN(3) {
		from := r.IntN(len(text) + 1)
		to := min(len(text), from+r.IntN(4))
		fragment := fragments[r.IntN(len(fragments))]
		switch r.IntN(5) {
		case 0: // insert
			text = text[:from] + fragment + text[from:]
		case 1: // replace
			text = text[:from] + fragment + text[to:]
		case 2: // delete
			text = text[:from] + text[to:]
		case 3: // insert where it makes a member
			comma := strings.IndexByte(text[from:], ',') + from + 1
			text = text[:comma] + fragment + text[comma:]
		default: // repeat
			text = text[:to] + text[from:]
		}
	}
	return text
}

// TestMutations makes random changes to a valid token and signs it again. What
// internal/token accepts, all oracles must accept and read as the same claims.
func TestMutations(t *testing.T) {
	const rounds = 20_000
	if _, err := edBench.ours(sign(validHeader, validClaims)); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2026, 11))
	accepted, alone, all := 0, map[string]int{}, 0
	for range rounds {
		header, claims := validHeader, validClaims
		if r.IntN(4) == 0 {
			header = mutate(r, header)
		} else {
			claims = mutate(r, claims)
		}
		raw := sign(header, claims)
		mustAgree(t, edBench, header+claims, raw)
		if _, err := edBench.ours(raw); err == nil {
			accepted++
			continue
		}
		others := 0
		for _, o := range oracles {
			if _, err := o.verify(edBench, raw); err == nil {
				alone[o.name]++
				others++
			}
		}
		if others == len(oracles) {
			all++
		}
	}
	t.Logf("%d mutations, %d accepted; rejected and accepted by %v, by all three %d", rounds, accepted, alone, all)
	if accepted < rounds/20 {
		t.Errorf("%d of %d mutations accepted, too few for a result", accepted, rounds)
	}
}

func FuzzAgree(f *testing.F) {
	f.Add(validHeader, validClaims)
	for _, fragment := range fragments {
		f.Add(validHeader, `{`+fragment+validClaims[1:])
		f.Add(`{`+fragment+validHeader[1:], validClaims)
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		mustAgree(t, edBench, header+claims, sign(header, claims))
	})
}
