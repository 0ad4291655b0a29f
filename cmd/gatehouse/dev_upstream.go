package main

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/gateway"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// checkUpstream checks that --upstream is not one of the ports that this program listens on:
// the gateway would send its requests to itself. The gateway checks the rest.
func (o *devOptions) checkUpstream() error {
	u, err := url.Parse(o.upstream)
	if err != nil || !wellknown.IsLoopback(u.Hostname()) {
		return nil
	}
	for _, own := range []struct {
		flag string
		port int
	}{{"--port", o.port}, {"--clerk-port", o.clerkPort}} {
		if u.Port() == strconv.Itoa(own.port) {
			return newUsageError("let the MCP server listen on another port, or pass "+own.flag+" with another number",
				"--upstream %q has the port of %s", o.upstream, own.flag)
		}
	}
	return nil
}

// openGateway makes the gateway in front of the MCP server at a URL.
func (e *devEnvironment) openGateway(upstream string) error {
	settings, err := env.Load(".")
	if err != nil {
		return err
	}
	options := gatewayOptions{upstream: upstream, provider: "clerk", issuer: e.clerk.Issuer(), url: e.origin()}
	logger := e.logger.With(fromKey, "gateway")
	endpoint, err := options.endpoint(settings, listenAddress{}, logger)
	if err != nil {
		return joinFaults(err)
	}
	e.upstream = endpoint.Upstreams[0].URL
	e.gateway, err = gateway.New(gateway.Config{Endpoints: []gateway.Endpoint{endpoint}, Logger: logger})
	if err != nil {
		return explainGatewayFaults(err, options, settings)
	}
	return nil
}

// runUpstream runs the gateway, and the command that starts the MCP server behind it if there is
// one, until one of them ends or ctx does.
func (e *devEnvironment) runUpstream(ctx context.Context, con *console, command []string) error {
	resource := e.gateway.Guards()[0].Resource()
	con.Note("MCP server at %s, whose requests go to %s once the user has signed in", resource, e.upstream.Redacted())
	e.announce(con)
	con.Note("in another terminal: %s call %s list", programName(), resource)
	running, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() {
		served <- e.gateway.Serve(running, gateway.Stop{Timeout: stopTimeout}, e.serverListener)
		stop()
	}()
	e.gateway.LogStart()
	var ended error
	if len(command) > 0 {
		port := e.upstream.Port()
		con.Note("running %s with MCP_URL=%s and PORT=%s", strings.Join(command, " "), resource, port)
		ended = runProcess(running, con, command, []string{"MCP_URL=" + resource, "PORT=" + port})
		stop()
	} else {
		con.Note("Ctrl-C stops the gateway and the local Clerk")
	}
	return errors.Join(ended, <-served)
}
