package localclerk

import "testing"

func TestOldestClientIsEvicted(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	s.store.clients.max = 2
	first := register(t, s, nil)
	second := register(t, s, nil)
	third := register(t, s, nil)
	authorize(t, s, authorization(first), SignInHeader, "ada").wantClerkError(400, invalidClient)
	for _, app := range []application{second, third} {
		signIn(t, s, authorization(app))
	}
}
