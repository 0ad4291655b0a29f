package main

import (
	"strings"
	"testing"
)

func TestStoreVariable(t *testing.T) {
	for _, test := range []struct{ name, url, wantErr string }{
		{"control: empty", "", ""},
		{"control: redis", "redis://user:secret@localhost:6379/0", ""},
		{"control: redis with TLS", "rediss://user:secret@localhost:6379", ""},
		{"control: postgres", "postgres://user:secret@localhost/mcp", ""},
		{"control: postgresql", "postgresql://user:secret@localhost/mcp", ""},
		{"another scheme", "mysql://user:secret@localhost/mcp", `REVOCATIONS_URL has the scheme "mysql"`},
		{"no scheme", "localhost:6379", "REVOCATIONS_URL has the scheme"},
		{"not a URL", "redis://user:secret@local host", "REVOCATIONS_URL is not a URL"},
		{"database of Redis is not a number", "redis://user:secret@localhost/mcp", "REVOCATIONS_URL is not a URL of Redis"},
		{"wrong parameter", "postgres://user:secret@localhost/mcp?sslmode=wrong", "REVOCATIONS_URL is not a URL of PostgreSQL"},
	} {
		store, closeStore, err := openStore(t.Context(), test.url)
		if test.wantErr == "" {
			if err != nil || (store == nil) != (test.url == "") {
				t.Errorf("%s: openStore = %v, %v", test.name, store, err)
			} else {
				closeStore()
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.wantErr) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: openStore = %v, want %q and no password", test.name, err, test.wantErr)
		}
	}
}
