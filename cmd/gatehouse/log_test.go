package main

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
)

// TestLogIsForPeople compares the lines on a terminal with those in a file.
func TestLogIsForPeople(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		log      func(logger *slog.Logger)
		terminal string
		file     string
	}{
		{
			name:     "request",
			log:      func(l *slog.Logger) { l.Info("token", "method", "POST", "status", 200) },
			terminal: "clerk: token, method=POST status=200\n",
			file:     "level=INFO msg=token from=clerk method=POST status=200\n",
		},
		{
			name:     "empty attributes",
			log:      func(l *slog.Logger) { l.Info("token", "client", "", "user", "", "error", nil) },
			terminal: "clerk: token\n",
			file:     "level=INFO msg=token from=clerk\n",
		},
		{
			name:     "warning",
			log:      func(l *slog.Logger) { l.Warn("keys are unavailable", "error", errors.New("no answer")) },
			terminal: "clerk: WARN keys are unavailable, error=\"no answer\"\n",
			file:     "level=WARN msg=\"keys are unavailable\" from=clerk error=\"no answer\"\n",
		},
		{
			name:     "text of a request",
			log:      func(l *slog.Logger) { l.Info("a\x1b[2J\nb", "path", "/\x1b[2J\n12:00:00 forged") },
			terminal: "clerk: a\\u001b[2J\\nb, path=\"/\\x1b[2J\\n12:00:00 forged\"\n",
			file:     "level=INFO msg=\"a\\x1b[2J\\nb\" from=clerk path=\"/\\x1b[2J\\n12:00:00 forged\"\n",
		},
		{
			name:     "debug",
			log:      func(l *slog.Logger) { l.Debug("token") },
			terminal: "",
			file:     "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for terminal, want := range map[bool]string{true: test.terminal, false: test.file} {
				var stderr bytes.Buffer
				con := &console{stderr: &stderr, stderrIsTerminal: terminal}
				test.log(newLogger(con, false).With("from", "clerk"))
				got := regexp.MustCompile(`(?m)^(time=\S+|\d\d:\d\d:\d\d) `).ReplaceAllString(stderr.String(), "")
				if got != want {
					t.Errorf("on a terminal: %v, log = %q, want %q", terminal, got, want)
				}
			}
		})
	}
}

func TestLogIsQuiet(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var stderr bytes.Buffer
		logger := newLogger(&console{stderr: &stderr, stderrIsTerminal: terminal}, true)
		logger.Info("request")
		logger.Warn("problem")
		if got := stderr.String(); strings.Contains(got, "request") || !strings.Contains(got, "problem") {
			t.Errorf("on a terminal: %v, quiet log = %q", terminal, got)
		}
	}
}

// TestTerminalHandler runs the conformance test of log/slog. It reads the lines back.
func TestTerminalHandler(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	logger := newLogger(&console{stderr: &b, stderrIsTerminal: true}, false)
	results := func() []map[string]any {
		var all []map[string]any
		for line := range strings.Lines(b.String()) {
			all = append(all, parseLine(strings.TrimSuffix(line, "\n")))
		}
		return all
	}
	if err := slogtest.TestHandler(logger.Handler(), results); err != nil {
		t.Error(err)
	}
}

// parseLine returns the attributes of a line, with groups as maps.
func parseLine(line string) map[string]any {
	m := map[string]any{slog.LevelKey: "INFO"}
	if clock := regexp.MustCompile(`^\d\d:\d\d:\d\d `).FindString(line); clock != "" {
		m[slog.TimeKey], line = clock, line[len(clock):]
	}
	message, attrs, _ := strings.Cut(line, ", ")
	m[slog.MessageKey] = message
	for _, attr := range strings.Fields(attrs) {
		key, value, _ := strings.Cut(attr, "=")
		names := strings.Split(key, ".")
		group := m
		for _, name := range names[:len(names)-1] {
			if group[name] == nil {
				group[name] = map[string]any{}
			}
			group = group[name].(map[string]any)
		}
		group[names[len(names)-1]] = value
	}
	return m
}
