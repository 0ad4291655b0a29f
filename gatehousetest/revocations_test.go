package gatehousetest_test

import (
	"testing"
	"testing/synctest"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/gatehousetest"
)

func TestRevocationsInMemory(t *testing.T) {
	gatehousetest.CheckRevocationStore(t, func(*testing.T) gatehouse.RevocationStore {
		return gatehousetest.NewRevocations()
	})
}

func TestRevocationFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := gatehousetest.NewRevocations()
		_, position, err := store.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ignore := func([]gatehouse.Denial, string) {}
		store.SetDown(true)
		if err := store.Watch(t.Context(), position, ignore); err == nil {
			t.Error("a watch of a store that is down returns no error")
		}
		store.SetDown(false)
		store.LosePositions()
		if err := store.Watch(t.Context(), position, ignore); err == nil {
			t.Error("a watch from a lost position returns no error")
		}
	})
}
