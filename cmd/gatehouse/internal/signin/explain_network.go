package signin

import (
	"errors"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/failure"
	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/trace"
	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// ExplainNetwork explains why no connection to a host was possible, or returns nil if
// err has another cause.
func ExplainNetwork(err error) *failure.Error {
	var request *url.Error
	if !errors.As(err, &request) {
		return nil
	}
	u, parseErr := url.Parse(request.URL)
	if parseErr != nil {
		return nil
	}
	e, ok := diagnose.ExplainNetwork(err, u)
	if !ok {
		return nil
	}
	f := setupFailure(e, "%q: %w", trace.WithoutQuery(u), request.Err)
	if e.ID == "connect.refused" {
		f.Hint += `; "gatehouse dev" starts a server to try`
	}
	return f
}
