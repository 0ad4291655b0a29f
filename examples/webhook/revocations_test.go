package main

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// fill adds as many revocations to r as it can hold.
func fill(t *testing.T, r *revocations, at time.Time) {
	t.Helper()
	for i := range maxRevocations {
		if err := r.add(member{user: fmt.Sprint("user_", i, "_of_many")}, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyEarlierTokensAreRevoked(t *testing.T) {
	t.Parallel()
	revokedAt := time.Now()
	for _, test := range []struct {
		name     string
		issuedAt time.Time
		want     bool
	}{
		{"before", revokedAt.Add(-time.Second), true},
		{"at the same time", revokedAt, false},
		{"after", revokedAt.Add(time.Second), false},
		{"without iat", time.Time{}, true},
	} {
		var r revocations
		if err := r.add(member{user: "user_1"}, revokedAt); err != nil {
			t.Fatal(err)
		}
		if got := r.isRevoked(gatehouse.Identity{Subject: "user_1", IssuedAt: test.issuedAt}); got != test.want {
			t.Errorf("%s: revoked %v, want %v", test.name, got, test.want)
		}
	}
}

// Events may arrive in any order: the latest revocation counts.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	first, second := time.Now().Add(-2*time.Minute), time.Now()
	for _, order := range [][]time.Time{{first, second}, {second, first}} {
		var r revocations
		for _, at := range order {
			if err := r.add(member{user: "user_1"}, at); err != nil {
				t.Fatal(err)
			}
		}
		if !r.isRevoked(gatehouse.Identity{Subject: "user_1", IssuedAt: second.Add(-time.Second)}) {
			t.Errorf("in the order %v, a token issued in between is not revoked", order)
		}
	}
}

func TestRevocationsAreBoundedAndExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r revocations
		fill(t, &r, time.Now())
		if err := r.add(member{user: "one more"}, time.Now()); !errors.Is(err, errFull) {
			t.Errorf("one more than fits: error %v, want %v", err, errFull)
		}
		if err := r.add(member{user: "user_7_of_many"}, time.Now()); err != nil {
			t.Errorf("a user who has an entry: %v", err)
		}
		time.Sleep(tokenLifetime + time.Second)
		if err := r.add(member{user: "one more"}, time.Now()); err != nil {
			t.Errorf("after the tokens have expired: %v", err)
		}
		if len(r.before) != 1 {
			t.Errorf("%d entries, want 1", len(r.before))
		}
	})
}
