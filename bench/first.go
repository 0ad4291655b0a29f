package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/keys"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

const (
	firstRounds = 1500
	guardRounds = 1000 // of one new token each
	mostAllocs  = 25
)

// routingLimit is the largest allowed ratio of verification among several issuers to
// verification by one.
const routingLimit = 1.03

// otherIssuers returns four issuers that read other claims than the measured one.
func otherIssuers(keys token.Keys) []token.Member {
	var out []token.Member
	for n := range 4 {
		out = append(out, token.Member{Keys: keys, Verifier: &token.Verifier{
			Rules: token.Rules{
				Algorithms:     algorithms,
				Types:          []string{"JWT"},
				RequiredClaims: []string{"tid"},
				RequiredValues: map[string][]string{"token_use": {"access"}},
				RejectedClaims: map[string]map[string]string{"nonce": {"": "ID token"}},
			},
			Issuers:      []string{fmt.Sprintf("https://issuer-%d.example.com", n)},
			Resources:    []string{resource},
			ClientClaims: []string{"cid", "appid"},
			ScopeClaims:  []string{"scp", "scopes"},
		}})
	}
	return out
}

// firstLimits are the largest allowed ratios to the bare mathematics.
var firstLimits = map[string]float64{"RS256": 1.15, "ES256": 1.08, "EdDSA": 1.10}

// signed is a token and the parts that its signature is checked with.
type signed struct {
	raw       string
	input     []byte
	signature []byte
}

func parseSigned(raw string) (signed, error) {
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	return signed{raw, []byte(raw[:dot]), signature}, err
}

// bareVerify does what every verifier must do: the hash and the mathematics.
func (s *signed) bareVerify(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(s.input)
		return rsa.VerifyPKCS1v15(k, crypto.SHA256, digest[:], s.signature) == nil
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(s.input)
		return ecdsa.Verify(k, digest[:], new(big.Int).SetBytes(s.signature[:32]), new(big.Int).SetBytes(s.signature[32:]))
	default:
		return ed25519.Verify(key.(ed25519.PublicKey), s.input, s.signature)
	}
}

func measureFirstSeen(i *issuer, t *table) error {
	for _, alg := range algorithms {
		raws, err := i.mint(alg, 0, guardRounds+allocationRuns+1)
		if err != nil {
			return err
		}
		pool := make(pool, len(raws))
		for n, raw := range raws {
			if pool[n], err = parseSigned(raw); err != nil {
				return err
			}
		}
		what := "first-seen token, " + alg
		if err := pool.measureVerification(i, alg, what, t); err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
		if err := pool.measureGuard(i, alg, what, t); err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
	}
	return nil
}

// pool holds many tokens, so that no contender gets one that is still in the processor's
// caches.
type pool []signed

func (p pool) at(n int) *signed { return &p[n%len(p)] }

func (p pool) bare(key crypto.PublicKey) *contender {
	return &contender{name: "bare hash and crypto", run: func(n int) bool { return p.at(n).bareVerify(key) }}
}

// measureVerification has every contender verify the same tokens in the same order.
func (p pool) measureVerification(i *issuer, alg, what string, t *table) error {
	library, err := newGolangJWT(background, i.url)
	if err != nil {
		return err
	}
	oidc := newGoOIDC(background, i)
	set := keys.New(keys.Config{URL: i.jwksURL(), Algorithms: algorithms})
	defer set.Close()
	verifier := newVerifier(i)
	if err := verifier.Validate(); err != nil {
		return err
	}
	now := time.Now()
	bare := p.bare(i.keys[alg].Public())
	verify := func(name string, issuers *token.Set) *contender {
		return &contender{name: name, run: func(n int) bool {
			got, _, err := issuers.Verify(background, p.at(n).raw, now)
			return err == nil && got.Subject == userID
		}}
	}
	own := token.Member{Verifier: verifier, Keys: set}
	ours := verify("gatehouse, verification", token.NewSet(own))
	routed := verify("gatehouse, one of 5 issuers", token.NewSet(append(otherIssuers(set), own)...))
	rivals := []*contender{{name: "golang-jwt + keyfunc", run: func(n int) bool {
		got, err := library.verify(p.at(n).raw)
		return err == nil && got.Subject == userID
	}}, {name: "go-oidc", run: func(n int) bool {
		got, err := oidc.verify(background, p.at(n).raw)
		return err == nil && got.Subject == userID
	}}}
	if err := takeTurns(firstRounds, append([]*contender{bare, ours, routed}, rivals...)...); err != nil {
		return err
	}
	t.add(row{what: what, who: bare.name, figure: bare.figure(), ratio: 1})
	r := row{what: what, who: ours.name, figure: ours.figure(), ratio: ours.median() / bare.median(), limit: firstLimits[alg]}
	r.goal = fmt.Sprintf("≤ %.2f, ≤ %d allocs", r.limit, mostAllocs)
	if ours.allocs > mostAllocs {
		r.fault = "allocations"
	}
	t.add(r)
	t.add(row{what: what, who: routed.name, figure: routed.figure(), ratio: routed.median() / ours.median(), base: ours.name,
		limit: routingLimit, goal: fmt.Sprintf("≤ %.2f", routingLimit)})
	for _, c := range rivals {
		t.add(row{what: what, who: c.name, figure: c.figure(), ratio: c.median() / bare.median()})
	}
	return nil
}

// measureGuard measures everything that a guard does with a token, including keeping it.
// Each token must be new to the guard, so there is one in each round.
func (p pool) measureGuard(i *issuer, alg, what string, t *table) error {
	guard, err := newGuard(i)
	if err != nil {
		return err
	}
	defer guard.Close()
	bare := p.bare(i.keys[alg].Public())
	whole := &contender{name: "gatehouse, whole guard", batch: 1, run: func(n int) bool {
		got, err := guard.Verify(background, p[n].raw, nil)
		return err == nil && strings.HasSuffix(got.UserID, userID)
	}}
	bare.batch = 1
	if err := takeTurns(guardRounds, bare, whole); err != nil {
		return err
	}
	t.add(row{what: what, who: whole.name, figure: whole.figure(), ratio: whole.median() / bare.median()})
	return nil
}
