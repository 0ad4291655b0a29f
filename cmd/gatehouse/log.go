package main

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// newLogger returns a logger to stderr: lines for people on a terminal, and otherwise the
// text format of log/slog. It leaves out attributes that are empty, and requests if quiet
// is true.
func newLogger(con *console, quiet bool) *slog.Logger {
	level := slog.LevelInfo
	if quiet {
		level = slog.LevelWarn
	}
	if con.stderrIsTerminal {
		return slog.New(&terminalHandler{out: con.stderr, mu: &sync.Mutex{}, level: level})
	}
	return slog.New(slog.NewTextHandler(con.stderr, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if isEmpty(attr.Value) {
				return slog.Attr{}
			}
			return attr
		},
	}))
}

// isEmpty reports whether an attribute says nothing.
func isEmpty(value slog.Value) bool {
	switch value.Kind() {
	case slog.KindString:
		return value.String() == ""
	case slog.KindAny:
		return value.Any() == nil
	}
	return false
}

// fromKey is the attribute with the part of the program that logs a line.
const fromKey = "from"

// terminalHandler is a [slog.Handler] that writes lines like
//
//	15:04:05 clerk: token issued, client=abc status=200
//	15:04:05 server: WARN signing keys are unavailable, url=http://localhost:4000
type terminalHandler struct {
	out   io.Writer
	mu    *sync.Mutex
	level slog.Level

	from  string
	attrs string // of WithAttrs, formatted
	group string // prefix of the keys, of WithGroup
}

// Enabled implements [slog.Handler].
func (h *terminalHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs implements [slog.Handler].
func (h *terminalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	for _, attr := range attrs {
		with.add(&with.attrs, h.group, attr)
	}
	return &with
}

// WithGroup implements [slog.Handler].
func (h *terminalHandler) WithGroup(name string) slog.Handler {
	with := *h
	if name != "" {
		with.group += name + "."
	}
	return &with
}

// Handle implements [slog.Handler].
func (h *terminalHandler) Handle(_ context.Context, record slog.Record) error {
	line := *h // add sets from
	record.Attrs(func(attr slog.Attr) bool {
		line.add(&line.attrs, h.group, attr)
		return true
	})
	var b strings.Builder
	if !record.Time.IsZero() {
		b.WriteString(record.Time.Format("15:04:05 "))
	}
	if line.from != "" {
		b.WriteString(line.from + ": ")
	}
	if record.Level != slog.LevelInfo {
		b.WriteString(record.Level.String() + " ")
	}
	b.WriteString(escapeLine(record.Message))
	if line.attrs != "" {
		b.WriteString("," + line.attrs)
	}
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.out, b.String())
	return err
}

// add appends an attribute to the formatted attributes in attrs, or sets from.
func (h *terminalHandler) add(attrs *string, group string, attr slog.Attr) {
	value := attr.Value.Resolve()
	switch {
	case value.Kind() == slog.KindGroup:
		if attr.Key != "" {
			group += attr.Key + "."
		}
		for _, member := range value.Group() {
			h.add(attrs, group, member)
		}
	case attr.Key == "" || isEmpty(value):
	case attr.Key == fromKey && group == "":
		h.from = escapeLine(value.String())
	default:
		*attrs += " " + escapeLine(group+attr.Key) + "=" + quoteValue(value.String())
	}
}

// quoteValue returns text, or the text as a Go string literal if it is not one word.
func quoteValue(text string) string {
	if text == "" || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == '"' }) {
		return strconv.Quote(text)
	}
	return text
}

// escapeLine returns text with control characters escaped, so that a request can neither
// control the terminal nor begin a line.
func escapeLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", " ").Replace(escapeControls(text))
}
