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
	rejectedRounds = 700
	// garbageLimit is what a rejection without a signature check may cost at most, as a
	// ratio to an accepted token.
	garbageLimit = 0.5
)

// rejection is one kind of invalid request: a valid one with one thing changed.
type rejection struct {
	reason gatehouse.Reason
	signed bool // the guard checks the signature before it can reject it
	change func(*draft)
	spoil  func(raw string) string         // the token, after it is signed
	tamper func(r *http.Request, t string) // the request; nil means a bearer token
}

// rejections returns one row for each reason for which a request and its token alone can
// be rejected. The missing reasons depend on the configuration.
func rejections() []rejection {
	claim := func(name string, value any) func(*draft) {
		return func(d *draft) { d.claims[name] = value }
	}
	header := func(name string, value any) func(*draft) {
		return func(d *draft) { d.header[name] = value }
	}
	bearer := func(r *http.Request, value string) { r.Header["Authorization"] = []string{value} }
	return []rejection{
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

// is reports whether got is the reason for which the request must be rejected. An unknown
// key may just have been published, so the answer is 503 until the keys were fetched
// again.
func (r rejection) is(got gatehouse.Reason) bool {
	return got == r.reason || r.reason == "unknown_key" && got == "provider_unavailable"
}

// spoilSignature changes one bit, so that all of the mathematics is needed to reject the
// signature.
func spoilSignature(raw string) string {
	dot := strings.LastIndexByte(raw, '.')
	signature, _ := base64.RawURLEncoding.DecodeString(raw[dot+1:])
	signature[len(signature)-1] ^= 1
	return raw[:dot+1] + base64.RawURLEncoding.EncodeToString(signature)
}

// rejectedToken returns the token of the invalid request.
func (i *issuer) rejectedToken(r rejection, n int) (string, error) {
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

// answer is an http.ResponseWriter that keeps only the status.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }

// newRequest returns a request with raw as its token, changed by tamper if it is not nil.
func newRequest(raw string, tamper func(*http.Request, string)) *http.Request {
	r, _ := http.NewRequestWithContext(background, http.MethodPost, resource, http.NoBody)
	if tamper != nil {
		tamper(r, raw)
	} else {
		r.Header["Authorization"] = []string{"Bearer " + raw}
	}
	return r
}

// statusOf sends a copy of r through handler and returns the status of the answer.
func statusOf(handler http.Handler, r *http.Request) int {
	one := *r
	a := &answer{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(a, &one)
	return a.status
}

// measureRejected sends each kind of invalid request through the whole guard, and valid
// tokens for comparison.
func measureRejected(i *issuer, t *table) error {
	var last gatehouse.Reason
	guard, err := newGuard(i, func(cfg *gatehouse.Config) {
		cfg.OnReject = func(_ *http.Request, r gatehouse.Rejection) { last = r.Reason }
	})
	if err != nil {
		return err
	}
	defer guard.Close()
	handler := guard.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	valid, err := i.mint("RS256", 0, rejectedRounds+allocationRuns+1)
	if err != nil {
		return err
	}
	requests := make([]*http.Request, len(valid))
	for n, raw := range valid {
		requests[n] = newRequest(raw, nil)
	}
	accepted := &contender{name: "accepted, first seen", batch: 1, run: func(n int) bool {
		return statusOf(handler, requests[n]) == http.StatusOK
	}}
	again := &contender{name: "accepted, seen before", batch: 1, run: func(n int) bool {
		return statusOf(handler, requests[0]) == http.StatusOK
	}}
	contenders, kinds := []*contender{accepted, again}, rejections()
	for _, kind := range kinds {
		raw, err := i.rejectedToken(kind, 0)
		if err != nil {
			return err
		}
		r := newRequest(raw, kind.tamper)
		contenders = append(contenders, &contender{name: string(kind.reason), batch: 1, run: func(int) bool {
			last = ""
			return statusOf(handler, r) >= http.StatusBadRequest && kind.is(last)
		}})
	}
	if err := takeTurns(rejectedRounds, contenders...); err != nil {
		return err
	}
	addRejected(t, contenders, kinds)
	return nil
}

// addRejected adds the contenders: the two accepted tokens, and one for each kind. The first
// is the base.
func addRejected(t *table, contenders []*contender, kinds []rejection) {
	const what = "whole guard, rejected or accepted"
	accepted := contenders[0]
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
}
