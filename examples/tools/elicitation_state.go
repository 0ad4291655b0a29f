package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

// states makes the RequestState of questions. The client keeps it between two calls and can change it, so it is
// signed: it says who was asked what, with which client, and until when an answer counts.
type states struct{ key [sha256.Size]byte }

const stateLifetime = 10 * time.Minute

// newStates returns states with a random key. Replicas need the same key.
func newStates() (s states) {
	rand.Read(s.key[:]) // never returns an error
	return s
}

// seal returns the state of a question to the caller, about the words.
func (s states) seal(id gatehouse.Identity, about ...string) string {
	return s.sign(time.Now().Add(stateLifetime), id, about)
}

// isValid reports whether the state is of a question to the caller about the same words, and has not expired.
func (s states) isValid(state string, id gatehouse.Identity, about ...string) bool {
	data, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(data) < 8 {
		return false
	}
	expires := time.Unix(int64(binary.BigEndian.Uint64(data)), 0)
	return time.Now().Before(expires) && hmac.Equal([]byte(state), []byte(s.sign(expires, id, about)))
}

func (s states) sign(expires time.Time, id gatehouse.Identity, about []string) string {
	data := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(data)
	for _, word := range append([]string{id.Issuer, id.Subject, id.ClientID}, about...) {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(word)))) // so that "a", "bc" is not "ab", "c"
		mac.Write([]byte(word))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(data))
}
