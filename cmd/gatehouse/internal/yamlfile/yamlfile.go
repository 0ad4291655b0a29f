// Package yamlfile reads the YAML files of the program: with a bound, without aliases, and with
// the line of each mistake. It also notices when a file changes.
package yamlfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"go.yaml.in/yaml/v3"
)

// MaxBytes bounds a file.
const MaxBytes = 1 << 20

// pollInterval is how often Watch reads the file.
const pollInterval = 500 * time.Millisecond

// Error describes one mistake in a file.
type Error struct {
	File    string
	Line    int    // counts from 1; 0 if the mistake is not on a line
	Problem string // what is wrong
	Fix     string // what to write instead
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s; %s", e.File, e.Problem, e.Fix)
	}
	return fmt.Sprintf("%s:%d: %s; %s", e.File, e.Line, e.Problem, e.Fix)
}

// Load returns the text of the file at path. Its error is a *[Error].
func Load(path string) ([]byte, error) {
	text, err := Read(path)
	if err != nil {
		fix := "check the path and the permissions"
		if errors.Is(err, os.ErrNotExist) {
			fix = "check the path"
		}
		return nil, &Error{File: path, Problem: "reading the file: " + withoutPath(err), Fix: fix}
	}
	return text, nil
}

// Read reads at most MaxBytes+1 bytes of the file at path.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxBytes+1))
}

// withoutPath returns the text of err without the path, which the error has already.
func withoutPath(err error) string {
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return pathError.Err.Error()
	}
	return err.Error()
}

// firstTab returns the number of the first line that is indented with a tab, which YAML does not
// allow, or 0.
func firstTab(text []byte) int {
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if indentation := line[:len(line)-len(bytes.TrimLeft(line, " \t"))]; bytes.IndexByte(indentation, '\t') >= 0 {
			return number
		}
	}
	return 0
}

// Parse returns the top node of text, the content of the file with the given name. It is nil if
// the file is empty. fixLength says what to do if the file is too long. The error is a *[Error].
func Parse(name string, text []byte, fixLength string) (*yaml.Node, error) {
	if len(text) > MaxBytes {
		return nil, &Error{File: name, Problem: fmt.Sprintf("the file is longer than %d bytes", MaxBytes), Fix: fixLength}
	}
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil && firstTab(text) > 0:
		return nil, &Error{File: name, Line: firstTab(text), Problem: "the line is indented with a tab", Fix: "indent with spaces"}
	case err != nil:
		return nil, &Error{
			File:    name,
			Problem: "parsing YAML: " + strings.TrimPrefix(err.Error(), "yaml: "),
			Fix:     "check the indentation and the quotes near this line",
		}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) && (err != nil || second.Content[0].Tag != "!!null") {
		return nil, &Error{File: name, Line: second.Line, Problem: "the file has a second YAML document, which would have no effect",
			Fix: `remove the line "---" and what follows it, or write all in one document`}
	}
	return document.Content[0], nil
}

// Describe returns what n is, for messages.
func Describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	return quote.String(n.Value)
}

// Watch calls apply whenever the text that read returns has changed, until ctx ends. initial is
// the text that is applied already. path names the file in the log. If apply returns an error,
// it is logged, and the text is not tried again.
func Watch(ctx context.Context, path string, initial []byte, read func() ([]byte, error), apply func(text []byte) error, logger *slog.Logger) {
	applied := initial
	var previous []byte // nil if the file could not be read
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		text, err := read()
		// Editors remove a file for a moment, or truncate it before they write. So text
		// counts only if it is the same twice.
		complete := err == nil && previous != nil && bytes.Equal(text, previous)
		previous = text
		if !complete || bytes.Equal(text, applied) {
			continue
		}
		applied = text
		if err := apply(text); err != nil {
			logger.Warn("config file not applied", "file", path, "error", err)
			continue
		}
		logger.Info("config file applied", "file", path)
	}
}
