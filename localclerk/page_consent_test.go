package localclerk

import "testing"

func TestRedirectTarget(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		uri, want string
		loopback  bool
	}{
		{"http://localhost:1/cb", "localhost:1", true},
		{"https://app.example/cb", "app.example", false},
		{"https://localhost.evil.example/cb", "localhost.evil.example", false},
		{"cursor://anysphere/cb", "cursor://anysphere", true},
		{"com.example.app:/cb", "com.example.app:", true},
	} {
		if got, loopback := redirectTarget(test.uri); got != test.want || loopback != test.loopback {
			t.Errorf("%q: got %q %v, want %q %v", test.uri, got, loopback, test.want, test.loopback)
		}
	}
}
