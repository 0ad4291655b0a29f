package localclerk

import "testing"

func TestResolveRedirectURI(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, registered, requested string
		want                        bool
	}{
		{"equal", "https://a.example/cb", "https://a.example/cb", true},
		{"another port", "http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb", true},
		{"no port registered", "http://127.0.0.1/cb", "http://127.0.0.1:2/cb", true},
		{"another port of localhost", "http://localhost:1/cb", "http://localhost:2/cb", true},
		{"another port of [::1]", "http://[::1]:1/cb", "http://[::1]:2/cb", true},
		{"same query", "http://127.0.0.1:1/cb?a=b", "http://127.0.0.1:2/cb?a=b", true},
		{"private scheme", "cursor://a/cb", "cursor://a/cb", true},
		{"another loopback name", "http://localhost:1/cb", "http://127.0.0.1:1/cb", false},
		{"another path", "http://127.0.0.1:1/cb", "http://127.0.0.1:1/cb/", false},
		{"another query", "http://127.0.0.1:1/cb", "http://127.0.0.1:1/cb?a=b", false},
		{"empty query", "http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb?", false},
		{"fragment", "http://127.0.0.1:1/cb", "http://127.0.0.1:2/cb#x", false},
		{"user name", "http://127.0.0.1:1/cb", "http://evil@127.0.0.1:2/cb", false},
		{"https on loopback", "https://127.0.0.1:1/cb", "https://127.0.0.1:2/cb", false},
		{"http for https", "https://127.0.0.1:1/cb", "http://127.0.0.1:1/cb", false},
		{"another port elsewhere", "https://a.example:1/cb", "https://a.example:2/cb", false},
		{"another port elsewhere by http", "http://a.example:1/cb", "http://a.example:2/cb", false},
		{"subdomain", "https://a.example/cb", "https://b.a.example/cb", false},
		{"suffix", "https://a.example/cb", "https://a.example/cb2", false},
		{"letter case", "https://a.example/cb", "https://A.example/cb", false},
		{"user name that looks like the host", "http://127.0.0.1:1/cb", "http://127.0.0.1:2@evil.example/cb", false},
		{"empty", "https://a.example/cb", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := &client{redirectURIs: []string{test.registered}}
			if _, got := c.resolveRedirectURI(test.requested); got != test.want {
				t.Errorf("registered %q, requested %q: got %v", test.registered, test.requested, got)
			}
		})
	}
}

func TestRedirectURIRequiredIfSeveralRegistered(t *testing.T) {
	t.Parallel()
	c := &client{redirectURIs: []string{testRedirect, testRedirect + "2"}}
	if uri, ok := c.resolveRedirectURI(""); ok {
		t.Errorf("got %q, want none", uri)
	}
	if _, ok := c.resolveRedirectURI(testRedirect + "2"); !ok {
		t.Error("the second redirect URI is rejected")
	}
}
