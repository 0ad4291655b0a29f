package serve

import (
	"cmp"
	"net"
	"net/netip"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// completeAddress sets Host and Path to those of the environment or to their defaults. In
// place of a wrong value it sets the default, so that later steps do not report a fault in
// a URL that no one wrote.
func (cfg *Config) completeAddress(settings *env.Env, fault func(field, value, problem, fix string)) {
	cfg.hostField, cfg.portField = "Host", "Port"
	if cfg.Port == 0 {
		cfg.portField = "PORT"
	}
	if cfg.Host == "" {
		cfg.hostField, cfg.Host = "HOST", cmp.Or(settings.Get("HOST"), defaultHost)
	}
	if problem, fix := cfg.hostFault(); problem != "" {
		fault(cfg.hostField, cfg.Host, problem, fix)
		cfg.Host = defaultHost
	}
	if cfg.localPath = cfg.Path; len(cfg.Path) > 1 {
		cfg.localPath = strings.TrimSuffix(cfg.Path, "/")
	}
	cfg.Path = cmp.Or(cfg.Path, defaultPath)
	if path := strings.TrimSuffix(cfg.Path, "/"); path != "" {
		if err, ok := wellknown.Path(path).(*wellknown.Fault); ok {
			fault("Path", cfg.Path, err.Problem, err.Fix)
			path, cfg.localPath = defaultPath, ""
		} else if isHealthPath(path) {
			fault("Path", cfg.Path, healthPathProblem, healthPathFix)
			path, cfg.localPath = defaultPath, ""
		}
		cfg.Path = path
	}
}

const (
	healthPathProblem = "has the path of a health check of the server"
	healthPathFix     = "serve the MCP endpoint at another path, like /mcp"
)

// isHealthPath reports whether the server itself has a page at path.
func isHealthPath(path string) bool { return path == healthPath || path == readyPath }

// hostFault describes what is wrong with the address to listen on, and the fix. It returns ""
// for an IP address or a name.
func (cfg *Config) hostFault() (problem, fix string) {
	host := cfg.Host
	if _, err := netip.ParseAddr(host); err == nil {
		return "", ""
	}
	if _, rest, found := strings.Cut(host, "://"); found {
		return "is a URL", `write "` + strings.TrimRight(rest, "/") + `", or set MCP_URL to the public URL`
	}
	if name, port, err := net.SplitHostPort(host); err == nil {
		return "has a port", `write "` + cmp.Or(name, "0.0.0.0") + `", and set ` + cfg.portFieldOfHost() + ` to "` + port + `"`
	}
	if inner := strings.Trim(host, "[]"); inner != host {
		return "has brackets", `write "` + inner + `"`
	}
	if strings.ContainsAny(host, "/:@?# ") {
		return "is not an address", `write an IP address or a name of this machine, like "localhost" or "0.0.0.0"`
	}
	return "", ""
}

// portFieldOfHost returns the setting of the port that goes with the setting of the host: both
// are in the code, or both in the environment.
func (cfg *Config) portFieldOfHost() string {
	if cfg.hostField == "HOST" {
		return "PORT"
	}
	return "Port"
}

// validationURL returns a URL for the guard if that of the configuration is invalid, so that
// the guard's other settings are checked. It is one with which they report no fault that
// depends on the URL.
func (cfg Config) validationURL() string {
	if cfg.Provider.DangerouslySkipVerification {
		return cfg.loopbackURL(cfg.Port)
	}
	return "https://mcp.example.com/mcp"
}

// guardLocalPath returns [gatehouse.Config.LocalPath] for the public URL: Path, if it is set
// and URL has a path of its own.
func (s *Server) guardLocalPath() string {
	if s.resource == nil {
		return ""
	}
	return s.config.localPath
}
