package clerkfile

import (
	"context"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/yamlfile"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// Watch applies the file at path to server whenever it has changed, until ctx ends. It logs
// the mistakes of a file that is invalid, and leaves the server unchanged.
func Watch(ctx context.Context, path string, server *localclerk.Server, logger *slog.Logger) {
	read := func() ([]byte, error) { return yamlfile.Read(path) }
	applied, _ := read()
	yamlfile.Watch(ctx, path, applied, read, func(text []byte) error {
		file, err := Parse(path, text)
		if err != nil {
			return err
		}
		return file.Apply(server)
	}, logger)
}
