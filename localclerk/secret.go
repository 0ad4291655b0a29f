package localclerk

import (
	"crypto/subtle"
	"log/slog"
)

const redacted = "[secret]"

// secret is a credential that does not print.
type secret string

func (s secret) String() string { return redacted }

func (s secret) GoString() string { return redacted }

func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// is compares in constant time. The empty secret is nothing's.
func (s secret) matches(guess string) bool {
	return s != "" && subtle.ConstantTimeCompare([]byte(s), []byte(guess)) == 1
}
