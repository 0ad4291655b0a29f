package clerkfile

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// pollInterval is how often Watch reads the file.
const pollInterval = 500 * time.Millisecond

// Watch applies the file at path to server whenever it has changed, until ctx ends. It logs
// the mistakes of a file that is invalid, and leaves the server unchanged.
func Watch(ctx context.Context, path string, server *localclerk.Server, logger *slog.Logger) {
	applied, _ := readFile(path)
	var previous []byte // nil if the file could not be read
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		text, err := readFile(path)
		// Editors remove a file for a moment, or truncate it before they write. So text
		// counts only if it is the same twice.
		complete := err == nil && previous != nil && bytes.Equal(text, previous)
		previous = text
		if !complete || bytes.Equal(text, applied) {
			continue
		}
		applied = text
		file, err := Parse(path, text)
		if err == nil {
			err = file.Apply(server)
		}
		if err != nil {
			logger.Warn("config file not applied", "file", path, "error", err)
			continue
		}
		logger.Info("config file applied", "file", path)
	}
}
