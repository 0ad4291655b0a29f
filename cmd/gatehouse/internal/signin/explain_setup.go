package signin

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// setupFailure returns the error for a problem of the server or its provider, in the words with
// which "gatehouse doctor" reports it. format and args say what was seen.
func setupFailure(e diagnose.Explanation, format string, args ...any) *failure.Error {
	return failure.New(e.Fix, "%s: %w", e.Clause(), fmt.Errorf(format, args...))
}

// or adds what the user of this program can do instead of the operator's fix.
func or(f *failure.Error, alternative string) *failure.Error {
	f.Hint += "; or " + alternative
	return f
}
