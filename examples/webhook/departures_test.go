package main

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// fill leaves no room in d.
func fill(t *testing.T, d *departures, at time.Time) {
	t.Helper()
	for i := range maxDepartures {
		if err := d.note(departure{user: fmt.Sprint("user_", i, "_of_many")}, at); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTokensSinceAreSpared(t *testing.T) {
	t.Parallel()
	left := time.Now()
	for _, test := range []struct {
		name     string
		issuedAt time.Time
		want     bool
	}{
		{"before", left.Add(-time.Second), true},
		{"then", left, false},
		{"since", left.Add(time.Second), false},
		{"nobody knows when", time.Time{}, true},
	} {
		var d departures
		if err := d.note(departure{user: "user_1"}, left); err != nil {
			t.Fatal(err)
		}
		if got := d.shutOut(gatehouse.Identity{Subject: "user_1", IssuedAt: test.issuedAt}); got != test.want {
			t.Errorf("%s: shut out %v, want %v", test.name, got, test.want)
		}
	}
}

// Events may arrive in any order: the latest departure counts.
func TestOrderDoesNotMatter(t *testing.T) {
	t.Parallel()
	first, second := time.Now().Add(-2*time.Minute), time.Now()
	for _, order := range [][]time.Time{{first, second}, {second, first}} {
		var d departures
		for _, at := range order {
			if err := d.note(departure{user: "user_1"}, at); err != nil {
				t.Fatal(err)
			}
		}
		if !d.shutOut(gatehouse.Identity{Subject: "user_1", IssuedAt: second.Add(-time.Second)}) {
			t.Errorf("in the order %v a token from between is not shut out", order)
		}
	}
}

func TestDeparturesAreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d departures
		fill(t, &d, time.Now())
		if err := d.note(departure{user: "one more"}, time.Now()); !errors.Is(err, errFull) {
			t.Errorf("one too many: error %v, want %v", err, errFull)
		}
		if err := d.note(departure{user: "user_7_of_many"}, time.Now()); err != nil {
			t.Errorf("one that is known: %v", err)
		}
		time.Sleep(tokenLifetime + time.Second)
		if err := d.note(departure{user: "one more"}, time.Now()); err != nil {
			t.Errorf("after the tokens have expired: %v", err)
		}
		if len(d.since) != 1 {
			t.Errorf("%d rows, want 1", len(d.since))
		}
	})
}
