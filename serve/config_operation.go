package serve

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// The environment variables of [Config.SessionKey] and [Config.AcceptedSessionKeys].
const (
	sessionKeyVariable   = "MCP_SESSION_KEY"
	acceptedKeysVariable = "MCP_ACCEPTED_SESSION_KEYS"
)

// completeSessionKeys sets the keys of session IDs from the environment. The variables have no
// effect where there are no sessions, or where Guard has keys of its own. If SessionKey is set,
// neither has an effect: the keys of a rotation belong together.
func (cfg *Config) completeSessionKeys(settings *env.Env) {
	if len(cfg.SessionKey) > 0 || len(cfg.AcceptedSessionKeys) > 0 || cfg.Stateless || cfg.Guard != nil {
		return
	}
	cfg.SessionKey = gatehouse.SessionKey(settings.Get(sessionKeyVariable))
	for _, key := range settings.List(acceptedKeysVariable) {
		cfg.AcceptedSessionKeys = append(cfg.AcceptedSessionKeys, gatehouse.SessionKey(key))
	}
	cfg.fromEnv = map[string]string{"SessionKey": sessionKeyVariable, "AcceptedSessionKeys": acceptedKeysVariable}
}

// nameVariables makes the faults in err name the environment variable that was written in place of
// a field. It returns err.
func nameVariables(err error, variables map[string]string) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			nameVariables(e, variables)
		}
	}
	if fault, ok := err.(*gatehouse.ConfigError); ok {
		field, _, _ := strings.Cut(fault.Field, "[")
		if variable := variables[field]; variable != "" {
			fault.Field = variable + strings.TrimPrefix(fault.Field, field)
			replaced := strings.NewReplacer("AcceptedSessionKeys", acceptedKeysVariable, "SessionKey", sessionKeyVariable)
			fault.Problem, fault.Fix = replaced.Replace(fault.Problem), replaced.Replace(fault.Fix)
		}
	}
	return err
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
	if len(cfg.AcceptedSessionKeys) > 0 {
		fault("AcceptedSessionKeys", "", problem, fix)
	}
	if cfg.SessionTimeout != 0 {
		fault("SessionTimeout", cfg.SessionTimeout.String(), problem, fix)
	}
}

// registrationPath is the path of POST /register, which the guard answers unless there is a
// route for it.
const registrationPath = "/register"

// handleOtherPaths registers, at the mux of the server, the handler of all paths that are not
// the server's own: the routes of [Config.Routes], and the answers for the rest. It reports a
// route that the server's own paths hide. It must be called before [gatehouse.Guard.Mount].
func (s *Server) handleOtherPaths(server *http.ServeMux) error {
	if s.config.Routes == nil {
		server.HandleFunc("/", s.serveOtherPaths)
		return nil
	}
	resource, err := url.Parse(s.guard.Resource())
	if err != nil {
		return err
	}
	routes := http.NewServeMux()
	s.config.Routes(routes, s.guard)
	// A pattern may have the host.
	patternFor := func(method, path string) string {
		_, pattern := routes.Handler(&http.Request{Method: method, Host: resource.Host, URL: &url.URL{Path: path}})
		return pattern
	}
	if err := s.checkRoutes(patternFor); err != nil {
		return err
	}
	others := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := routes.Handler(r); pattern == "" {
			s.serveOtherPaths(w, r)
			return
		}
		routes.ServeHTTP(w, r)
	})
	server.Handle("/", others)
	if path := pathOf(patternFor(http.MethodPost, registrationPath)); path != "" && path != "/" {
		server.Handle(registrationPath, others)
	}
	return nil
}

// checkRoutes reports a route that the server's own paths hide. patternFor returns the pattern
// of the route for a request.
func (s *Server) checkRoutes(patternFor func(method, path string) string) error {
	for _, path := range append(s.guard.MetadataPaths(), s.endpointPath(), healthPath, readyPath) {
		hidden := path
		if path == "/" { // a route for "/" still serves the other paths
			hidden = "/{$}"
		}
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodPut, http.MethodPatch} {
			if pattern := patternFor(method, path); pathOf(pattern) == hidden {
				return &gatehouse.ConfigError{
					Field:   "Routes",
					Value:   pattern,
					Problem: "is a path that the server itself serves",
					Fix:     "register another path; to wrap the server's own paths, set Middleware",
				}
			}
		}
	}
	return nil
}

// pathOf returns the path of a pattern of [http.ServeMux]: "/a" of "GET example.com/a".
func pathOf(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return ""
}
