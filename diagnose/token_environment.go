package diagnose

import (
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// ServerOfEnvironment returns the server that the environment and the .env file of the working
// directory configure, for [TokenConfig.Server], and the variable that names its provider, or ""
// if none does. MCP_URL is the URL of the server; without it, Resource is empty. The error is about
// the .env file.
func ServerOfEnvironment() (server gatehouse.Config, variable string, err error) {
	settings, err := env.Load(".")
	if err != nil {
		return gatehouse.Config{}, "", err
	}
	for _, v := range vendors {
		for _, name := range v.variables {
			if settings.Get(name) == "" {
				continue
			}
			server.Provider = v.fromEnv()
			server.Resource = resourceOf(settings.Get("MCP_URL"))
			return server, name, nil
		}
	}
	return gatehouse.Config{}, "", nil
}

// resourceOf returns the resource of a server with that MCP_URL, as package serve does: the
// endpoint is at /mcp unless the URL has a path. A URL with a fault is returned as it is, for
// [gatehouse.New] to report.
func resourceOf(raw string) string {
	u, err := url.Parse(raw)
	if raw == "" || err != nil || wellknown.Issuer(raw) != nil {
		return raw
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = defaultPath
	}
	return u.String()
}
