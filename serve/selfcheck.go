package serve

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/gatehouse-mcp/gatehouse/diagnose"
)

// SelfCheck makes the checks that [Server.Serve] makes at start, logs each warning and fault with its
// fix, and returns them. It is for programs that serve [Server.Handler] with a listener of their own:
// call it once that listens, and do not wait for it.
//
//	go server.SelfCheck(ctx)
//
// It returns within 20 seconds, or when ctx ends; see [diagnose.SelfCheck]. [Config.SkipSelfCheck]
// does not apply to it. It may be called concurrently.
func (s *Server) SelfCheck(ctx context.Context) (findings []diagnose.Finding) {
	defer s.recoverSelfCheck()
	findings = diagnose.SelfCheck(ctx, diagnose.Config{}, s.guard)
	for _, f := range findings {
		if ctx.Err() != nil {
			return findings
		}
		s.logFinding(f)
	}
	return findings
}

// selfCheck starts [Server.SelfCheck], unless it is turned off. The server does not wait for it. The
// function that it returns stops it, and waits until it logs nothing any more.
func (s *Server) selfCheck(ctx context.Context) (stop func()) {
	if s.config.SkipSelfCheck {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.SelfCheck(ctx)
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
