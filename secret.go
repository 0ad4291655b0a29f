package gatehouse

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a secret of a provider: a client secret, an API key or the key of HS256. It prints
// as a placeholder.
type Secret string

const secretPlaceholder = "[redacted]"

// Format prints a placeholder for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, secretPlaceholder) }

// String returns the same placeholder as Format.
func (Secret) String() string { return secretPlaceholder }

// MarshalText returns the same placeholder as Format.
func (Secret) MarshalText() ([]byte, error) { return []byte(secretPlaceholder), nil }

// LogValue returns the same placeholder as Format.
func (Secret) LogValue() slog.Value { return slog.StringValue(secretPlaceholder) }
