package operator

import (
	"strings"
	"testing"
)

func TestParseAddr(t *testing.T) {
	for _, tt := range []struct {
		text     string
		wantHost string
		wantPort int
	}{
		{"localhost:9090", "localhost", 9090}, {":9090", "", 9090}, {"[::1]:9090", "::1", 9090}, {"10.0.0.7:0", "10.0.0.7", 0},
	} {
		host, port, problem, fix := ParseAddr(tt.text)
		if host != tt.wantHost || port != tt.wantPort || problem != "" || fix != "" {
			t.Errorf("ParseAddr(%q) = %q, %d, %q, %q; want %q, %d", tt.text, host, port, problem, fix, tt.wantHost, tt.wantPort)
		}
	}
	for text, want := range map[string]string{
		"9090":                  `has no host; write "localhost:9090", or ":9090"`,
		"localhost":             `has no port; add it, like "localhost:9090"`,
		"[::1]":                 "is not an address with a port; write it like",
		"http://localhost:9090": `is a URL; write it without the scheme, like "localhost:9090"`,
		"localhost:http":        "is not an address with a port; write it like",
		"localhost:65536":       "is not an address with a port; write it like",
		"localhost:-1":          "is not an address with a port; write it like",
		"local host:1":          "is not an address with a port; write it like",
		"":                      "is not an address with a port; write it like",
	} {
		_, _, problem, fix := ParseAddr(text)
		if got := problem + "; " + fix; !strings.HasPrefix(got, want) {
			t.Errorf("ParseAddr(%q): got %q, want %q", text, got, want)
		}
	}
}

func TestCollides(t *testing.T) {
	for _, tt := range []struct {
		host1 string
		port1 int
		host2 string
		port2 int
		want  bool
	}{
		{"localhost", 3000, "localhost", 3000, true},
		{"localhost", 3000, "localhost", 3001, false},
		{"localhost", 0, "localhost", 0, false},
		{"localhost", 3000, "127.0.0.1", 3000, true},
		{"::1", 3000, "LOCALHOST", 3000, true},
		{"", 3000, "127.0.0.1", 3000, true},
		{"10.0.0.7", 3000, "0.0.0.0", 3000, true},
		{"10.0.0.7", 3000, "10.0.0.8", 3000, false},
		{"localhost", 3000, "10.0.0.8", 3000, false},
		{"127.0.0.1", 3000, "127.0.0.2", 3000, false},
	} {
		if got := Collides(tt.host1, tt.port1, tt.host2, tt.port2); got != tt.want {
			t.Errorf("Collides(%s:%d, %s:%d) = %t, want %t", tt.host1, tt.port1, tt.host2, tt.port2, got, tt.want)
		}
	}
}
