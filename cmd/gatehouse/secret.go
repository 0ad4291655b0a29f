package main

import "log/slog"

// secret is a token or a client secret. It prints as "[redacted]", in logs too;
// only JSON and string(s) show it.
type secret string

const redacted = "[redacted]"

func (secret) String() string { return redacted }

// GoString keeps the secret out of %#v.
func (secret) GoString() string { return redacted }

// LogValue keeps the secret out of structured logs.
func (secret) LogValue() slog.Value { return slog.StringValue(redacted) }
