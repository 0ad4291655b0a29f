package main

import (
	"context"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gatewayfile"
)

// fileNames is a [slog.Handler] that writes the names of the gateway's file in messages and hints, in
// place of the names of the library, which users of the gateway do not know.
type fileNames struct{ slog.Handler }

// hintKey is the attribute that says what to do.
const hintKey = "hint"

func (h fileNames) Handle(ctx context.Context, r slog.Record) error {
	translated := slog.NewRecord(r.Time, r.Level, gatewayfile.Hint(r.Message), r.PC)
	r.Attrs(func(attr slog.Attr) bool {
		translated.AddAttrs(withFileNames(attr))
		return true
	})
	return h.Handler.Handle(ctx, translated)
}

func (h fileNames) WithAttrs(attrs []slog.Attr) slog.Handler {
	return fileNames{h.Handler.WithAttrs(attrs)}
}

func (h fileNames) WithGroup(name string) slog.Handler { return fileNames{h.Handler.WithGroup(name)} }

// withFileNames translates the hint in attr, which may be a group.
func withFileNames(attr slog.Attr) slog.Attr {
	switch value := attr.Value.Resolve(); {
	case value.Kind() == slog.KindGroup:
		group := value.Group()
		translated := make([]slog.Attr, len(group))
		for i := range group {
			translated[i] = withFileNames(group[i])
		}
		attr.Value = slog.GroupValue(translated...)
	case attr.Key == hintKey && value.Kind() == slog.KindString:
		attr.Value = slog.StringValue(gatewayfile.Hint(value.String()))
	}
	return attr
}
