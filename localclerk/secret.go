package localclerk

import (
	"crypto/subtle"
	"log/slog"
)

const redacted = "[secret]"

// secret is a credential that formatting and logging do not reveal.
type secret string

func (s secret) String() string { return redacted }

func (s secret) GoString() string { return redacted }

func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// matches compares guess with s in constant time. The empty secret matches
// nothing.
func (s secret) matches(guess string) bool {
	return s != "" && subtle.ConstantTimeCompare([]byte(s), []byte(guess)) == 1
}
