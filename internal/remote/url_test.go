package remote_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

func TestURL(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ url, wantErr string }{
		{"https://issuer.example/keys", ""},
		{"https://issuer.example:8443/a?b=c", ""},
		{"http://localhost:3000/keys", ""},
		{"http://LOCALHOST/keys", ""},
		{"http://clerk.localhost:3000/keys", ""},
		{"http://127.8.8.8/keys", ""},
		{"http://[::1]:80/keys", ""},
		{"http://[::ffff:127.0.0.1]/keys", "is not https"},
		{"http://issuer.example/keys", "is not https"},
		{"http://localhost.evil.example/keys", "is not https"},
		{"http://localhost./keys", "is not https"},
		{"http://10.0.0.1/keys", "is not https"},
		{"http://0.0.0.0/keys", "is not https"},
		{"ftp://issuer.example/keys", "is not https"},
		{"file:///etc/keys", "is not absolute"},
		{"https:issuer.example", "is not absolute"},
		{"https:///keys", "is not absolute"},
		{"issuer.example", "is not absolute"},
		{"", "is not absolute"},
		{"https://issuer.example/#keys", "has a fragment"},
		{"https://a:b@issuer.example/", "has a user or password"},
		{"https://issuer.example/%zz", "is malformed"},
	} {
		checkErr(t, tc.url, remote.CheckURL(tc.url), tc.wantErr)
	}
}

// TestLoopbackIsOneRule compares what package wellknown accepts in a configuration with
// what this package fetches later. If they disagreed, a configuration could pass and
// then never become ready.
func TestLoopbackIsOneRule(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		host     string
		loopback bool
	}{
		{"localhost", true},
		{"LocalHost", true},
		{"localhost:4999", true},
		{"localhost:", true},
		{"clerk.localhost", true},
		{"clerk.localhost:4999", true},
		{"a.b.Localhost:4999", true},
		{"127.0.0.1", true},
		{"127.0.0.1:4999", true},
		{"127.255.255.254", true},
		{"[::1]", true},
		{"[::1]:4999", true},
		{"[0:0:0:0:0:0:0:1]", true},

		{"localhost.", false},
		{"clerk.localhost.", false},
		{".localhost", false},
		{"a..localhost", false},
		{"-a.localhost", false},
		{"localhost.example.com", false},
		{"notlocalhost", false},
		{"localhost.localdomain", false},
		{"127.1", false},
		{"0177.0.0.1", false},
		{"2130706433", false},
		{"0x7f000001", false},
		{"127.0.0.1.nip.io", false},
		{"0.0.0.0:4999", false},
		{"[::]:4999", false},
		{"[::ffff:127.0.0.1]", false},
		{"[::1%25lo]", false},
		{"128.0.0.1", false},
		{"10.0.0.1", false},
		{"issuer.example", false},
		{"", false},
	} {
		raw := "http://" + tc.host
		configured, fetched := wellknown.Issuer(raw), remote.CheckURL(raw+"/keys")
		if (configured == nil) != tc.loopback || (fetched == nil) != tc.loopback {
			t.Errorf("plain http to %q: a configuration gets %v, a fetch gets %v, want both accepted: %t",
				tc.host, configured, fetched, tc.loopback)
		}
	}
}
