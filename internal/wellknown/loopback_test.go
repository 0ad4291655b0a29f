package wellknown_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"localhost", "LocalHost", "localhost:3000", "app.localhost", "a.b.localhost:80",
		"127.0.0.1", "127.0.0.1:3000", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1", "[::1]", "[::1]:3000",
	} {
		if !wellknown.IsLoopback(host) {
			t.Errorf("IsLoopback(%q) = false, want true", host)
		}
	}
	for _, host := range []string{
		"", ":3000", "example.com", "localhost.evil.com", "127.0.0.1.nip.io", "notlocalhost", "evil.com.localhost.", "localhost.",
		".localhost", "a..localhost",
		"evil.com/.localhost", "evil.com@localhost", "evil.com#.localhost", "evil.com\\.localhost",
		"0.0.0.0", "0.0.0.0:3000", "::", "[::]", "[::]:3000",
		"128.0.0.1", "127.1", "127.0.0.01", "0127.0.0.1", "0x7f000001", "2130706433",
		"::ffff:127.0.0.1", "[::ffff:127.0.0.1]", "::ffff:7f00:1", "::1%lo", "[::1%lo]",
		"[::1", "::1]", "[::1]3000", "[::1]:", "[::1]:x",
		"[localhost]", "[127.0.0.1]:3000", "localhost:", "localhost:x", "localhost:65536", "localhost:80:80", "localhost:+80", "::1:3000",
		"localhost ", " localhost", "localhost\n", "127.0.0.1:3000:evil.com", "[::1]:3000@evil.com",
	} {
		if wellknown.IsLoopback(host) {
			t.Errorf("IsLoopback(%q) = true, want false", host)
		}
	}
}

func TestAliases(t *testing.T) {
	t.Parallel()
	tests := []struct {
		resource string
		want     []string
	}{
		{
			"http://localhost:3000/mcp",
			[]string{"http://localhost:3000/mcp", "http://127.0.0.1:3000/mcp", "http://[::1]:3000/mcp"},
		},
		{
			"http://127.0.0.1:3000/mcp",
			[]string{"http://127.0.0.1:3000/mcp", "http://localhost:3000/mcp", "http://[::1]:3000/mcp"},
		},
		{
			"http://[::1]:3000/mcp",
			[]string{"http://[::1]:3000/mcp", "http://localhost:3000/mcp", "http://127.0.0.1:3000/mcp"},
		},
		{"https://localhost", []string{"https://localhost", "https://127.0.0.1", "https://[::1]"}},
		{"http://[::1]", []string{"http://[::1]", "http://localhost", "http://127.0.0.1"}},
		{"http://app.localhost:3000/mcp", []string{"http://app.localhost:3000/mcp"}},
		{"http://127.0.0.2:3000/mcp", []string{"http://127.0.0.2:3000/mcp"}},
		{"https://mcp.example.com:3000/mcp", []string{"https://mcp.example.com:3000/mcp"}},
	}
	for _, tt := range tests {
		u, err := wellknown.Resource(tt.resource)
		if err != nil {
			t.Fatalf("Resource(%q): %v", tt.resource, err)
		}
		if diff := cmp.Diff(tt.want, wellknown.Aliases(u)); diff != "" {
			t.Errorf("Aliases(%q) (-want +got):\n%s", tt.resource, diff)
		}
		if u.String() != tt.resource {
			t.Errorf("Aliases changed its argument to %q, want %q", u, tt.resource)
		}
	}
}

func FuzzIsLoopback(f *testing.F) {
	for _, seed := range []string{
		"localhost", "localhost:1", "127.0.0.1", "[::1]:1", "::1", "a.localhost", "127.0.0.1.nip.io", "[::ffff:127.0.0.1]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if !wellknown.IsLoopback(host) {
			return
		}
		name, _, err := net.SplitHostPort(host)
		if err != nil {
			name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		}
		if addr, err := netip.ParseAddr(name); err == nil {
			if !addr.IsLoopback() || addr.Is4In6() {
				t.Errorf("IsLoopback(%q) = true, want false for %v", host, addr)
			}
		} else if lower := strings.ToLower(name); lower != "localhost" && !strings.HasSuffix(lower, ".localhost") {
			t.Errorf("IsLoopback(%q) = true, want false for the name %q", host, name)
		}
	})
}
