package savedsignin

import "log/slog"

// Secret is a token, an authorization code or a client secret. It prints as
// "[redacted]", also in logs. Only encoding/json and the conversion string(s) reveal
// it.
type Secret string

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]" for %#v.
func (Secret) GoString() string { return redacted }

// LogValue returns "[redacted]" for structured logs.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
