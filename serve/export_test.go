package serve

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// SelfCheck makes the checks of the server at start, and returns their findings.
func SelfCheck(ctx context.Context, s *Server) []diagnose.Finding {
	return diagnose.SelfCheck(ctx, diagnose.Config{}, s.guard)
}
