package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	refusedRounds = 700
	// garbageLimit is what refusals without a signature check may cost at most,
	// of an accepted token.
	garbageLimit = 0.5
)

// refusal is one bad request: a good one with one thing changed.
type refusal struct {
	reason gatehouse.Reason
	signed bool // it takes a signature check to find out
	change func(*draft)
	spoil  func(raw string) string         // the token, after it is signed
	tamper func(r *http.Request, t string) // the request; nil means a bearer token
}

// refusals has one row for each reason that a request and its token alone can be
// refused for. The reasons that are missing depend on the configuration.
func refusals() []refusal {
	claim := func(name string, value any) func(*draft) {
		return func(d *draft) { d.claims[name] = value }
	}
	header := func(name string, value any) func(*draft) {
		return func(d *draft) { d.header[name] = value }
	}
	bearer := func(r *http.Request, value string) { r.Header["Authorization"] = []string{value} }
	return []refusal{
		{reason: "no_credentials", tamper: func(*http.Request, string) {}},
		{reason: "wrong_scheme", tamper: func(r *http.Request, t string) { bearer(r, "Basic "+t) }},
		{reason: "malformed_credentials", tamper: func(r *http.Request, t string) { bearer(r, "Bearer "+t+" "+t) }},
		{reason: "token_in_query", tamper: func(r *http.Request, t string) { r.URL.RawQuery = "access_token=" + t }},
		{reason: "opaque", spoil: func(raw string) string { return strings.ReplaceAll(raw, ".", "_") }},
		{reason: "encrypted", spoil: func(raw string) string { return raw + ".a.b" }},
		{reason: "too_large", spoil: func(raw string) string { return raw + strings.Repeat("A", 32<<10) }},
		{reason: "malformed", spoil: func(raw string) string { return raw[1:] }},
		{reason: "critical_header", change: header("crit", []string{"exp"})},
		{reason: "wrong_algorithm", change: header("alg", "none")},
		{reason: "wrong_type", change: header("typ", "JWT")},
		{reason: "missing_key_id", change: func(d *draft) { delete(d.header, "kid") }},
		{reason: "wrong_issuer", change: claim("iss", "https://issuer.example.net")},
		{reason: "unknown_key", change: header("kid", "ins_unknown")},
		{reason: "bad_signature", signed: true, spoil: spoilSignature},
		{reason: "missing_claim", signed: true, change: claim("client_id", "")},
		{reason: "expired", signed: true, change: claim("exp", time.Now().Add(-time.Hour).Unix())},
		{reason: "not_yet_valid", signed: true, change: claim("nbf", time.Now().Add(time.Hour).Unix())},
		{reason: "sender_constrained", signed: true, change: claim("cnf", map[string]string{"jkt": "x"})},
		{reason: "wrong_subject", signed: true, change: claim("sub", "mch_1")},
		{reason: "wrong_audience", signed: true, change: claim("aud", "https://other.example.com/mcp")},
		{reason: "unbound", signed: true, change: func(d *draft) { delete(d.claims, "aud") }},
	}
}

// is reports whether got is what the request must be refused for. A key that
// nobody has heard of is one that might just have been published, until the keys
// were fetched again.
func (r refusal) is(got gatehouse.Reason) bool {
	return got == r.reason || r.reason == "unknown_key" && got == "provider_unavailable"
}

// spoilSignature changes one bit: the signature stays one that takes all of the
// mathematics to refuse.
func spoilSignature(raw string) string {
	dot := strings.LastIndexByte(raw, '.')
	signature, _ := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	signature[len(signature)-1] ^= 1
	return raw[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
}

// refusedToken returns the token of the bad request.
func (i *issuer) refusedToken(r refusal, n int) (string, error) {
	d := i.draft("RS256", n)
	if r.change != nil {
		r.change(&d)
	}
	raw, err := i.sign(d)
	if err == nil && r.spoil != nil {
		raw = r.spoil(raw)
	}
	return raw, err
}

// answer is an http.ResponseWriter that keeps the status alone.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }

// question makes a request with raw as its token, changed by tamper if there is one.
func question(raw string, tamper func(*http.Request, string)) *http.Request {
	r, _ := http.NewRequestWithContext(background, http.MethodPost, resource, http.NoBody)
	if tamper != nil {
		tamper(r, raw)
	} else {
		r.Header["Authorization"] = []string{"Bearer " + raw}
	}
	return r
}

// ask sends a copy of r through handler and returns the status of the answer.
func ask(handler http.Handler, r *http.Request) int {
	one := *r
	a := &answer{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(a, &one)
	return a.status
}

// measureRefused sends each kind of bad request through the whole gate, and a new
// good token beside it.
func measureRefused(i *issuer, t *table) error {
	var last gatehouse.Reason
	guard, err := newGuard(i, func(cfg *gatehouse.Config) {
		cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { last = r.Reason }
	})
	if err != nil {
		return err
	}
	defer guard.Close()
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	good, err := i.mint("RS256", 0, refusedRounds+allocationRuns+1)
	if err != nil {
		return err
	}
	questions := make([]*http.Request, len(good))
	for n, raw := range good {
		questions[n] = question(raw, nil)
	}
	accepted := &contender{name: "accepted, first seen", batch: 1, run: func(n int) bool {
		return ask(handler, questions[n]) == http.StatusOK
	}}
	again := &contender{name: "accepted, seen before", batch: 1, run: func(n int) bool {
		return ask(handler, questions[0]) == http.StatusOK
	}}
	contenders, kinds := []*contender{accepted, again}, refusals()
	for _, kind := range kinds {
		raw, err := i.refusedToken(kind, 0)
		if err != nil {
			return err
		}
		r := question(raw, kind.tamper)
		contenders = append(contenders, &contender{name: string(kind.reason), batch: 1, run: func(int) bool {
			last = ""
			return ask(handler, r) >= http.StatusBadRequest && kind.is(last)
		}})
	}
	if err := takeTurns(refusedRounds, contenders...); err != nil {
		return err
	}
	const what = "whole gate, refused or accepted"
	for _, c := range contenders[:2] {
		t.add(row{what: what, who: c.name, figure: c.figure(), ratio: c.median() / accepted.median()})
	}
	for n, c := range contenders[2:] {
		limit, goal := garbageLimit, fmt.Sprintf("≤ %.2f: no cryptography", garbageLimit)
		if kinds[n].signed {
			limit, goal = 1, "≤ 1"
		}
		t.add(row{what: what, who: c.name, figure: c.figure(), ratio: c.median() / accepted.median(), limit: limit, goal: goal})
	}
	return nil
}
