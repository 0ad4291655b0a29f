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
	mostAllocs  = 20
	mostBytes   = 3 << 10
)

// firstLimits are how much dearer than the bare mathematics a token may be.
var firstLimits = map[string]float64{"RS256": 1.15, "ES256": 1.08, "EdDSA": 1.10}

// signed is a token and what its signature consists of.
type signed struct {
	raw       string
	input     []byte
	signature []byte
}

func takeApart(raw string) (signed, error) {
	dot := strings.LastIndexByte(raw, '.')
	signature, err := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	return signed{raw, []byte(raw[:dot]), signature}, err
}

// bareVerify is what no verifier can do without: the hash and the mathematics.
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
		if err := measureFirstSeenOf(alg, i, t); err != nil {
			return fmt.Errorf("%s: %w", alg, err)
		}
	}
	return nil
}

// measureFirstSeenOf lets every contender verify the same tokens in the same
// order. To the guard each must be new, so it takes part in fewer rounds.
func measureFirstSeenOf(alg string, i *issuer, t *table) error {
	raws, err := i.mint(alg, 0, guardRounds+allocationRuns+1)
	if err != nil {
		return err
	}
	pool := make([]signed, len(raws))
	for n, raw := range raws {
		if pool[n], err = takeApart(raw); err != nil {
			return err
		}
	}
	library, err := newGolangJWT(background, i.url)
	if err != nil {
		return err
	}
	oidc := newGoOIDC(background, i)
	set := keys.New(keys.Config{URL: i.jwksURL(), Algorithms: algorithms})
	defer set.Close()
	guard, err := newGuard(i)
	if err != nil {
		return err
	}
	defer guard.Close()
	rules := &token.Rules{
		Issuer:         i.url,
		Algorithms:     algorithms,
		Types:          []string{"at+jwt"},
		RequiredClaims: []string{"client_id"},
		SubjectPrefix:  "user_",
		Audiences:      []string{resource},
	}
	if err := rules.Validate(); err != nil {
		return err
	}
	now, public := time.Now(), i.keys[alg].Public()
	at := func(n int) *signed { return &pool[n%len(pool)] }
	floor := &contender{name: "bare hash and crypto", run: func(n int) bool { return at(n).bareVerify(public) }}
	verify := &contender{name: "gatehouse, verification", run: func(n int) bool {
		got, err := rules.Verify(background, at(n).raw, set.Lookup, now)
		return err == nil && got.Subject == userID
	}}
	rival := &contender{name: "golang-jwt + keyfunc", run: func(n int) bool {
		got, err := library.verify(at(n).raw)
		return err == nil && got.Subject == userID
	}}
	other := &contender{name: "go-oidc", run: func(n int) bool {
		got, err := oidc.verify(background, at(n).raw)
		return err == nil && got.Subject == userID
	}}
	if err := takeTurns(firstRounds, floor, verify, rival, other); err != nil {
		return err
	}
	what := "first-seen token, " + alg
	t.add(row{what: what, who: floor.name, figure: floor.figure(), ratio: 1})
	r := row{what: what, who: verify.name, figure: verify.figure(), ratio: verify.median() / floor.median(), limit: firstLimits[alg]}
	r.goal = fmt.Sprintf("≤ %.2f, ≤ %d allocs, ≤ %d B", r.limit, mostAllocs, mostBytes)
	if verify.allocs > mostAllocs || verify.bytes > mostBytes {
		r.fault = "allocations"
	}
	t.add(r)
	whole, base := &contender{name: "gatehouse, whole guard", batch: 1, run: func(n int) bool {
		got, err := guard.Verify(background, pool[n].raw, nil)
		return err == nil && strings.HasSuffix(got.UserID, userID)
	}}, &contender{name: floor.name, run: floor.run}
	if err := takeTurns(guardRounds, base, whole); err != nil {
		return err
	}
	t.add(row{what: what, who: whole.name, figure: whole.figure(), ratio: whole.median() / base.median()})
	t.add(row{what: what, who: rival.name, figure: rival.figure(), ratio: rival.median() / floor.median()})
	t.add(row{what: what, who: other.name, figure: other.figure(), ratio: other.median() / floor.median()})
	return nil
}
