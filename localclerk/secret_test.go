package localclerk

import (
	"fmt"
	"strings"
	"testing"
)

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	register(t, s, map[string]any{"token_endpoint_auth_method": authBasic})
	c := s.store.allClients()[0]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []secret{s.secretKey, c.secret} {
			if got := fmt.Sprintf(verb, value); strings.Contains(got, string(value)) {
				t.Errorf("%s prints the secret", verb)
			}
			if got := fmt.Sprintf(verb, struct{ S secret }{value}); strings.Contains(got, string(value)) {
				t.Errorf("%s of a struct prints the secret", verb)
			}
		}
	}
	if got := s.secretKey.LogValue().String(); got != redacted {
		t.Errorf("logs as %q, want %q", got, redacted)
	}
	if secret("").matches("") {
		t.Error("the empty secret is known")
	}
}
