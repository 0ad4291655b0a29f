package serve

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// selfCheck starts the checks of [diagnose.SelfCheck] and logs each warning and fault once, with its
// fix. The server does not wait for it. The function that it returns stops it, and waits until it
// logs nothing any more.
func (s *Server) selfCheck(ctx context.Context) (stop func()) {
	if s.config.SkipSelfCheck {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer s.recoverSelfCheck()
		for _, f := range diagnose.SelfCheck(ctx, diagnose.Config{}, s.guard) {
			if ctx.Err() != nil {
				return
			}
			s.logFinding(f)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// recoverSelfCheck turns a panic into a log line: a fault in a check must not end the server.
func (s *Server) recoverSelfCheck() {
	if p := recover(); p != nil {
		s.logger.Error("the check at start panicked", "panic", fmt.Sprintf("%T", p))
	}
}

func (s *Server) logFinding(f diagnose.Finding) {
	level := slog.LevelWarn
	if f.Level == diagnose.Fault {
		level = slog.LevelError
	}
	s.logger.Log(context.Background(), level, "check at start: "+f.Title,
		"check", f.ID, "seen", f.Evidence, "consequence", f.Consequence, "fix", f.Fix)
}
