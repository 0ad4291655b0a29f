package serve

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/env"
)

// Each row changes one thing of a valid operator port.
func TestOperatorSettings(t *testing.T) {
	metrics := http.NotFoundHandler()
	for _, tt := range []struct {
		name     string
		config   Config
		wantErrs []string // nil for a valid configuration
	}{
		{"control", Config{Operator: Operator{Addr: "localhost:9090", Metrics: metrics, PProf: true}}, nil},
		{"control, all addresses", Config{Operator: Operator{Addr: ":9090"}}, nil},
		{"control, a free port", Config{Operator: Operator{Addr: "localhost:0"}}, nil},
		{"control, none", Config{}, nil},
		{"without a host", Config{Operator: Operator{Addr: "9090"}},
			[]string{`gatehouse: Operator.Addr "9090" has no host; write "localhost:9090", or ":9090" for all addresses of this machine`}},
		{"without a port", Config{Operator: Operator{Addr: "localhost"}},
			[]string{`gatehouse: Operator.Addr "localhost" has no port; add it, like "localhost:9090"`}},
		{"the public port", Config{Operator: Operator{Addr: "localhost:3000"}},
			[]string{`gatehouse: Operator.Addr "localhost:3000" is also the address of the server, which users reach; use another port, like "localhost:9090"`}},
		{"the public port on all addresses", Config{Port: 9090, Operator: Operator{Addr: ":9090"}},
			[]string{`Operator.Addr ":9090" is also the address of the server`}},
		{"metrics and profiles without a port", Config{Operator: Operator{Metrics: metrics, PProf: true}}, []string{
			`gatehouse: Operator.Metrics has no effect without Operator.Addr; set Operator.Addr to an address like "localhost:9090", or remove it`,
			`gatehouse: Operator.PProf has no effect without Operator.Addr; set Operator.Addr to an address like "localhost:9090", or remove it`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tt.config
			cfg.Name, cfg.Version, cfg.Provider = "n", "1", gatehouse.OIDC("https://issuer.example.com")
			_, err := newServer(cfg, &env.Env{})
			if (err == nil) != (tt.wantErrs == nil) {
				t.Fatalf("got error %v, want %q", err, tt.wantErrs)
			}
			for _, want := range tt.wantErrs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error\n got %v\nwant %s", err, want)
				}
			}
			if fault := (*gatehouse.ConfigError)(nil); err != nil && !errors.As(err, &fault) {
				t.Errorf("%v is not a ConfigError", err)
			}
		})
	}
}

// If both ports are in use, both are reported, and nothing listens afterwards.
func TestBothPortsInUse(t *testing.T) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	config := Config{Name: "n", Version: "1", Provider: gatehouse.OIDC("https://issuer.example.com"),
		Port: ports[0], Operator: Operator{Addr: fmt.Sprintf("localhost:%d", ports[1])}}
	server, err := newServer(config, &env.Env{})
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("serve: port %d is in use; stop the program that uses it, or set Port to another\n"+
		"serve: operator port: port %d is in use; stop the program that uses it, or set Operator.Addr to another", ports[0], ports[1])
	if err := server.ListenAndServe(t.Context()); err == nil || err.Error() != want {
		t.Errorf("ListenAndServe\n got %v\nwant %s", err, want)
	}
}

// If one of the ports is in use, the listener of the other one is closed.
func TestOperatorPortInUse(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	config := Config{Name: "n", Version: "1", Provider: gatehouse.OIDC("https://issuer.example.com"),
		Operator: Operator{Addr: used.Addr().String()}}
	server, err := newServer(config, &env.Env{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "operator port: port ") {
		t.Errorf("Serve = %v, want that the operator port is in use", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the public listener: %v, want it closed", err)
	}
}
