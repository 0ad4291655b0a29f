package keys_test

import (
	"bytes"
	"crypto"
	"crypto/elliptic"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/keys"
)

// A key without alg serves every allowed algorithm of its type, and looking one up costs
// no fetch.
func TestKeyWithoutAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bare := rsaJWK("rsa", rsaA())
		delete(bare, "alg")
		curve := ecJWK("ec", ecA)
		delete(curve, "alg")
		ed := newEd25519()
		okp := okpJWK("ed", ed)
		delete(okp, "alg")
		i := publishing(bare, curve, okp)
		s := i.open(t, func(cfg *keys.Config) { cfg.Algorithms = jose.DefaultNames() })
		for _, tc := range []struct {
			kid, alg string
			want     crypto.PublicKey
		}{
			{"rsa", "RS256", rsaA()},
			{"rsa", "PS256", rsaA()},
			{"ec", "ES256", ecA},
			{"ed", "EdDSA", ed},
			{"ed", "Ed25519", ed},
		} {
			found, _, err := s.Find(t.Context(), tc.kid, tc.alg)
			if err != nil || len(found) != 1 || !found[0].(interface{ Equal(crypto.PublicKey) bool }).Equal(tc.want) {
				t.Errorf("Find(%q, %q) = %v, %v, want the key", tc.kid, tc.alg, found, err)
			}
			time.Sleep(interval)
		}
		if i.fetches() != 1 {
			t.Errorf("%d fetches, want 1", i.fetches())
		}
		if found, _, err := s.Find(t.Context(), "rsa", "RS512"); len(found) != 0 || err != nil || i.fetches() != 1 {
			t.Errorf("an algorithm that is not allowed: %v, %v, %d fetches, want no key, 1 fetch", found, err, i.fetches())
		}
		if got := s.Stats().Keys; got != 3 {
			t.Errorf("Stats().Keys = %d, want 3", got)
		}
	})
}

// A token for another algorithm than its key's is rejected: it is never answered with
// later, as one of an unknown kid is.
func TestKeyOfAnotherAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(rsaJWK("a", rsaA()))
		s := i.open(t)
		for range 10 {
			for _, alg := range []string{"PS256", "ES256"} {
				if found, _, err := s.Find(t.Context(), "a", alg); len(found) != 0 || err != nil {
					t.Errorf("Find with %s = %v, %v, want no key and no error", alg, found, err)
				}
			}
			time.Sleep(interval / 10)
		}
		if i.fetches() != 1 {
			t.Errorf("%d fetches within %s, want 1", i.fetches(), interval)
		}
	})
}

// The kid is optional in tokens and in key sets.
func TestOptionalKid(t *testing.T) {
	unnamedA, unnamedB := nameless(ecJWK("", ecA)), nameless(ecJWK("", ecB))
	p384 := nameless(ecJWK("", newEC(elliptic.P384())))
	encryption := ecJWK("enc", ecB)
	encryption["use"] = "enc"
	for _, tc := range []struct {
		name string
		set  []member
		kid  string // of a token by ecA
		want answer
	}{
		{"control: kid in both", []member{ecJWK("a", ecA)}, "a", accepted},
		{"kid in the key only", []member{ecJWK("a", ecA)}, "", accepted},
		{"kid in neither", []member{unnamedA}, "", accepted},
		{"kid in the token only", []member{unnamedA}, "a", accepted},
		{"keys of other types", []member{rsaJWK("r", rsaA()), p384, unnamedA}, "", accepted},
		{"several that fit", []member{ecJWK("c", ecC), unnamedB, ecJWK("a", ecA)}, "", accepted},
		{"several without kid that fit", []member{unnamedB, unnamedA, ecJWK("c", ecC)}, "a", accepted},
		{"one key under many names", append(copies(8), ecJWK("c", ecC)), "", accepted},

		{"another key under the kid", []member{ecJWK("a", ecB), unnamedA}, "a", rejected},
		{"a key of another type under the kid", []member{rsaJWK("a", rsaA()), unnamedA}, "a", rejected},
		{"a key for encryption under the kid", []member{encryption, unnamedA}, "enc", rejected},
		{"no key without kid", []member{ecJWK("c", ecA)}, "a", later},
		{"key without kid of another type", []member{p384}, "a", later},
		{"key without kid by another signer", []member{unnamedB}, "a", later},
		{"by another signer, no kid in either", []member{unnamedB}, "", rejected},
		{"no key of the type", []member{p384}, "", later},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i := publishing(tc.set...)
				s := i.open(t)
				if err := s.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				wantAnswer(t, s, tc.kid, ecA, tc.want)
				if i.fetches() != 1 {
					t.Errorf("%d fetches, want 1", i.fetches())
				}
				if tc.want == later { // as for every unknown kid
					time.Sleep(interval)
					wantAnswer(t, s, tc.kid, ecA, rejected)
				}
			})
		})
	}
}

// copies returns ecA n times, in keys that differ in their kid only.
func copies(n int) (list []member) {
	for k := range n {
		list = append(list, ecJWK(fmt.Sprint("copy-", k), ecA))
	}
	return list
}

// More keys than a caller may try do not identify one.
func TestTooManyKeysWithoutKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var list []member
		for range jose.MaxCandidates {
			list = append(list, nameless(ecJWK("", newEC(elliptic.P256()))))
		}
		i := publishing(list...)
		s := i.open(t)
		for _, kid := range []string{"", "x"} {
			if found, _, err := s.Find(t.Context(), kid, "ES256"); len(found) != jose.MaxCandidates || err != nil {
				t.Errorf("control: Find(%q) = %d keys, %v, want %d", kid, len(found), err, jose.MaxCandidates)
			}
		}
		i.publish(append(list, nameless(ecJWK("", ecA)))...)
		time.Sleep(11 * time.Minute)
		fetches := i.fetches()
		if found, _, err := s.Find(t.Context(), "", "ES256"); len(found) != jose.MaxCandidates+1 || err != nil {
			t.Errorf("Find without kid = %d keys, %v, want all, so that the caller sees that there are too many", len(found), err)
		}
		if i.fetches() != fetches {
			t.Error("a token without a kid caused a fetch")
		}
		if found, _, _ := s.Find(t.Context(), "x", "ES256"); len(found) != 0 {
			t.Errorf("Find with a kid that the set does not have = %d keys, want none", len(found))
		}
	})
}

func TestRotationWithoutKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := publishing(nameless(ecJWK("", ecA)))
		s := i.open(t)
		wantAnswer(t, s, "", ecA, accepted)
		wantAnswer(t, s, "", ecB, rejected)
		i.publish(nameless(ecJWK("", ecB)))
		time.Sleep(interval)
		wantAnswer(t, s, "", ecB, accepted)
		wantAnswer(t, s, "", ecA, rejected)

		i.publish(ecJWK("a", ecA)) // the issuer begins to name its keys
		time.Sleep(interval)
		wantAnswer(t, s, "a", ecA, accepted)
		wantAnswer(t, s, "a", ecB, rejected)
		wantAnswer(t, s, "", ecA, accepted)
	})
}

// Keys for encryption are no fault. A key that cannot be used is.
func TestLogOfSkippedKeys(t *testing.T) {
	enc, wrap, weak := rsaJWK("enc", rsaA()), rsaJWK("wrap", rsaA()), rsaJWK("weak", rsaA())
	enc["use"], enc["alg"] = "enc", "RSA-OAEP"
	delete(wrap, "use")
	wrap["key_ops"] = []string{"wrapKey"}
	weak["n"] = modulus(1024)
	for _, tc := range []struct {
		name string
		set  []member
		want string // in the log at level Info; empty means nothing about keys
	}{
		{"control", []member{ecJWK("a", ecA)}, ""},
		{"use enc", []member{ecJWK("a", ecA), enc}, ""},
		{"key_ops without verify", []member{ecJWK("a", ecA), wrap}, ""},
		{"weak", []member{ecJWK("a", ecA), enc, weak}, "modulus has 1024 bits"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log, details bytes.Buffer
			for level, buffer := range map[slog.Level]*bytes.Buffer{slog.LevelInfo: &log, slog.LevelDebug: &details} {
				s := publishing(tc.set...).open(t, func(cfg *keys.Config) {
					cfg.Logger = slog.New(slog.NewTextHandler(buffer, &slog.HandlerOptions{Level: level}))
				})
				wantAnswer(t, s, "a", ecA, accepted)
				s.Close()
			}
			if got := log.String(); strings.Contains(got, "skipped") != (tc.want != "") || !strings.Contains(got, tc.want) || strings.Contains(got, "enc") {
				t.Errorf("%s: log is\n%s\nwant %q", tc.name, got, tc.want)
			}
			if got := details.String(); len(tc.set) > 1 && !strings.Contains(got, "skipped") {
				t.Errorf("%s: log with details is\n%s\nwant the key that is skipped", tc.name, got)
			}
		})
	}
}
