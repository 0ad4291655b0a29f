package gatehouse_test

import "testing"

func TestStats(t *testing.T) {
	is := newIssuer(t)
	guard := newGuard(t, is)
	handler := guard.Wrap(behind)
	if s := guard.Stats(); s.Keys.Count != 0 || s.Keys.Fetches != 0 {
		t.Errorf("before the first request: %+v", s.Keys)
	}
	good := bearer(is.token(resource))
	for range 3 {
		send(handler, request{header: good})
	}
	send(handler, request{})
	s := guard.Stats()
	if s.Accepted != 3 || s.CacheHits != 2 || s.CachedTokens != 1 || s.Unbound != 0 || s.Rejected["no_credentials"] != 1 || len(s.Rejected) != 1 {
		t.Errorf("Stats = %+v", s)
	}
	if s.Keys.Count != 1 || s.Keys.Fetches != 1 || s.Keys.Failures != 0 {
		t.Errorf("Stats().Keys = %+v", s.Keys)
	}
	if err := guard.Ready(t.Context()); err != nil {
		t.Errorf("Ready = %v", err)
	}
	is.SetDown(true)
	other := newGuard(t, is)
	if err := other.Ready(t.Context()); err == nil {
		t.Error("Ready without keys = nil")
	}
	if s := other.Stats().Keys; s.Count != 0 || s.Failures != 1 {
		t.Errorf("in an outage: Stats().Keys = %+v", s)
	}
}
