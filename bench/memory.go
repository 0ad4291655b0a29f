package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse"
)

const (
	liveTokens = 10_000
	liveLimit  = 20 << 20 // bytes over idle

	rejectedTokens = 1_000_000
	rejectedLimit  = 1 << 20 // bytes of additional live heap that cannot be distinguished from none
	// One in forgedShare rejected tokens has a signature that must be checked.
	forgedShare = 20
)

func measureMemory(i *issuer, t *table) error {
	if err := measureLiveTokens(i, t); err != nil {
		return err
	}
	return measureRejectedTokens(i, t)
}

// measureLiveTokens calls a server with ten thousand tokens, all of which it may keep,
// and compares the memory of its process with that after one token.
func measureLiveTokens(i *issuer, t *table) error {
	tokens, err := i.mint("RS256", 0, liveTokens)
	if err != nil {
		return err
	}
	for _, m := range measured {
		if m.role != "serve" && m.role != "go-sdk" || m.environment != nil {
			continue
		}
		grown, heap, err := growth(m, i, tokens)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r := row{
			what:   "memory with 10,000 live tokens, over idle",
			who:    m.name,
			figure: fmt.Sprintf("%s resident, %s of heap", megabytes(grown), megabytes(heap)),
		}
		if m.role == "serve" {
			r.goal = "≤ " + megabytes(liveLimit)
			if grown > liveLimit {
				r.fault = megabytes(grown)
			}
		}
		t.add(r)
	}
	return nil
}

// growth returns how much more memory the server holds after all tokens than after one.
func growth(s server, i *issuer, tokens []string) (resident, heap float64, err error) {
	server, err := startChild(s, i)
	if err != nil {
		return 0, 0, err
	}
	defer server.stop()
	c, err := dial(server.address, modernVersion, tokens[0])
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	want := func(n int) string {
		if s.open {
			return anonymous(nil)
		}
		return described(userID, tokenID(n))
	}
	if err := c.call(tokens[0], want(0)); err != nil {
		return 0, 0, err
	}
	before, err := server.settled()
	if err != nil {
		return 0, 0, err
	}
	for n, raw := range tokens {
		if err := c.call(raw, want(n)); err != nil {
			return 0, 0, err
		}
	}
	after, err := server.settled()
	return float64(after.Resident - before.Resident), float64(after.Heap) - float64(before.Heap), err
}

// measureRejectedTokens sends a million distinct invalid tokens through a guard and
// compares the live heap before, halfway and after.
func measureRejectedTokens(i *issuer, t *table) error {
	guard, err := newGuard(i, func(cfg *gatehouse.Config) {
		cfg.OnReject = func(*http.Request, gatehouse.Rejection) {}
	})
	if err != nil {
		return err
	}
	defer guard.Close()
	handler := guard.Wrap(http.NotFoundHandler())
	flood, err := newFlood(i)
	if err != nil {
		return err
	}
	if err := flood.send(handler, 1, rejectedTokens/100); err != nil {
		return err
	}
	before := liveHeap()
	if err := flood.send(handler, rejectedTokens/100, rejectedTokens/2); err != nil {
		return err
	}
	half := liveHeap()
	if err := flood.send(handler, rejectedTokens/2, rejectedTokens); err != nil {
		return err
	}
	grown := liveHeap() - before
	r := row{
		what: "live heap after 1,000,000 distinct rejected tokens", who: "gatehouse, whole guard", goal: "no growth (≤ " + megabytes(rejectedLimit) + ")",
		figure: fmt.Sprintf("%+.1f KB, halfway %+.1f KB", grown/1e3, (half-before)/1e3),
	}
	if grown > rejectedLimit {
		r.fault = megabytes(grown)
	}
	t.add(r)
	return nil
}

func liveHeap() float64 {
	runtime.GC()
	runtime.GC() // frees what finalizers and pools held until the first
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// flood makes distinct invalid tokens out of the parts of a valid one.
type flood struct{ header, claims, signature string }

func newFlood(i *issuer) (*flood, error) {
	raw, err := i.sign(i.draft("RS256", 0))
	if err != nil {
		return nil, err
	}
	parts := strings.Split(raw, ".")
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return nil, err
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	return &flood{string(header), string(claims), parts[2]}, err
}

// token returns the nth invalid token.
func (f *flood) token(n int) string {
	header, claims := f.header, strings.Replace(f.claims, tokenID(0), tokenID(n), 1)
	if n%forgedShare == 0 {
		return f.assemble(header, claims) // with the signature of another token
	}
	switch n % 4 {
	case 0:
		return fmt.Sprintf("oat_%d", n)
	case 1:
		header = strings.Replace(header, keyID("RS256"), fmt.Sprintf("ins_%d", n), 1)
	case 2:
		claims = strings.Replace(claims, `"iss":"`, fmt.Sprintf(`"iss":"https://%d.`, n), 1)
	case 3:
		header = strings.Replace(header, "at+jwt", fmt.Sprintf("type-%d", n), 1)
	}
	return f.assemble(header, claims)
}

func (f *flood) assemble(header, claims string) string {
	text := base64.RawURLEncoding.EncodeToString
	return text([]byte(header)) + "." + text([]byte(claims)) + "." + f.signature
}

// send sends the tokens from one number to another and checks that each is rejected.
func (f *flood) send(handler http.Handler, from, to int) error {
	workers := runtime.GOMAXPROCS(0)
	faults := make([]error, workers)
	var work sync.WaitGroup
	for w := range workers {
		work.Go(func() {
			for n := from + w; n < to && faults[w] == nil; n += workers {
				if status := statusOf(handler, newRequest(f.token(n), nil)); status != http.StatusUnauthorized && status != http.StatusServiceUnavailable {
					faults[w] = fmt.Errorf("invalid token %d: got status %d, want 401 or 503", n, status)
				}
			}
		})
	}
	work.Wait()
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}
