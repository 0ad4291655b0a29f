package serve

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// sessionKeyVariable is the environment variable of [Config.SessionKey].
const sessionKeyVariable = "MCP_SESSION_KEY"

// sessionKey returns the configured key of session IDs. The variable has no effect where
// there are no sessions, or where Guard has a key of its own.
func (cfg Config) sessionKey(settings *env.Env) gatehouse.SessionKey {
	if len(cfg.SessionKey) > 0 || cfg.Stateless || cfg.Guard != nil {
		return cfg.SessionKey
	}
	return gatehouse.SessionKey(settings.Get(sessionKeyVariable))
}

// completeTimes sets the defaults of the settings of shutdown and sessions, and reports the
// faults in them.
func (cfg *Config) completeTimes(fault func(field, value, problem, fix string)) {
	if cfg.DrainDelay < 0 {
		fault("DrainDelay", cfg.DrainDelay.String(), "is negative", "use 0 for no delay, or a positive duration")
		cfg.DrainDelay = 0
	}
	if cfg.ShutdownTimeout < 0 {
		fault("ShutdownTimeout", cfg.ShutdownTimeout.String(), "is negative", "use 0 for the default of 10s, or a positive duration")
	}
	cfg.ShutdownTimeout = cmp.Or(max(cfg.ShutdownTimeout, 0), defaultShutdownTimeout)
	if cfg.Stateless {
		cfg.checkStateless(fault)
	}
}

// checkStateless reports settings that have no effect without sessions.
func (cfg *Config) checkStateless(fault func(field, value, problem, fix string)) {
	const problem, fix = "has no effect with Stateless", "remove it, or serve with sessions"
	if len(cfg.SessionKey) > 0 {
		fault("SessionKey", "", problem, fix)
	}
	if cfg.SessionTimeout != 0 {
		fault("SessionTimeout", cfg.SessionTimeout.String(), problem, fix)
	}
}

// otherPaths returns the handler of all paths that are not the server's own: the routes of
// [Config.Routes], and the answers for the rest. It reports a route that the server's own
// paths hide.
func (s *Server) otherPaths() (http.Handler, error) {
	if s.config.Routes == nil {
		return http.HandlerFunc(s.serveOtherPaths), nil
	}
	mux := http.NewServeMux()
	s.config.Routes(mux, s.guard)
	own := append(s.guard.MetadataPaths(), s.endpointPath(), "/healthz", "/readyz")
	for _, path := range own {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			r, err := http.NewRequestWithContext(context.Background(), method, path, nil)
			if err != nil {
				return nil, err
			}
			if _, pattern := mux.Handler(r); pathOf(pattern) == path {
				return nil, &gatehouse.ConfigError{
					Field:   "Routes",
					Value:   pattern,
					Problem: "is a path that the server itself serves",
					Fix:     "register another path; to wrap the server's own paths, set Middleware",
				}
			}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			s.serveOtherPaths(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// pathOf returns the path of a pattern of [http.ServeMux]: "/a" of "GET example.com/a".
func pathOf(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return ""
}
