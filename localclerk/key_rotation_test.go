package localclerk

import (
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"testing"
)

func TestRotateKey(t *testing.T) {
	t.Parallel()
	second, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		rotation Rotation
		keys     int
		oldWorks bool
	}{
		{"new kid", Rotation{}, 1, false},
		{"new kid, overlap", Rotation{Overlap: true}, 2, true},
		{"same kid", Rotation{SameKeyID: true}, 1, false},
		{"same kid, overlap", Rotation{SameKeyID: true, Overlap: true}, 2, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, nil)
			old := issueToken(t, s, Token{})
			oldKid := s.keys.kid
			test.rotation.Key = second
			if err := s.RotateKey(test.rotation); err != nil {
				t.Fatal(err)
			}
			set := get(t, s, "/.well-known/jwks.json").want(200).object()["keys"].([]any)
			first := set[0].(map[string]any)
			if len(set) != test.keys || (first["kid"] == oldKid) != test.rotation.SameKeyID {
				t.Errorf("got keys %v of old kid %s", set, oldKid)
			}
			fresh := issueToken(t, s, Token{})
			if header, _ := decode(t, fresh); header["kid"] != first["kid"] {
				t.Errorf("signs under %v, want %v", header["kid"], first["kid"])
			}
			get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+fresh).want(200)
			want := http.StatusUnauthorized
			if test.oldWorks {
				want = http.StatusOK
			}
			got := get(t, s, "/oauth/userinfo", "Authorization", "Bearer "+old)
			if got.status != want {
				t.Errorf("the old token: status %d, want %d", got.status, want)
			}
			if s.instanceID != oldKid {
				t.Errorf("instance %q, want it to stay %q", s.instanceID, oldKid)
			}
		})
	}
}

func TestPublishedKeysAreBounded(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	for range 2 * maxPublishedKeys {
		if err := s.RotateKey(Rotation{Overlap: true, Key: testKey()}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.keys.publishedKeys); got != maxPublishedKeys {
		t.Errorf("%d keys are published, want %d", got, maxPublishedKeys)
	}
	if s.keys.publishedKeys[0].kid != s.keys.kid {
		t.Error("the signing key is not the first")
	}
}
