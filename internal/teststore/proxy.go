// Package teststore tests a revocation store with a real engine and several guards. Only tests
// import it.
package teststore

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy forwards TCP connections to a server, until it is cut. It is safe for concurrent use.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	cut    bool
	joined chan struct{} // closed when the proxy is no longer cut
	open   map[net.Conn]bool
}

// StartProxy starts a proxy before target on a free port of 127.0.0.1. It stops when t ends.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, target: target, joined: make(chan struct{}), open: make(map[net.Conn]bool)}
	close(p.joined)
	go p.accept()
	t.Cleanup(func() {
		listener.Close()
		p.SetCut(false)
		p.closeConnections()
	})
	return p
}

// Addr returns the address of the proxy.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// SetCut drops everything that is sent in either direction, without closing a connection, as a
// cut network does. When the network is no longer cut, the connections that were open are closed.
func (p *Proxy) SetCut(cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cut == p.cut {
		return
	}
	if p.cut = cut; cut {
		p.joined = make(chan struct{})
		return
	}
	close(p.joined)
	for conn := range p.open {
		conn.Close()
	}
}

func (p *Proxy) closeConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		conn.Close()
	}
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.forward(client)
	}
}

func (p *Proxy) forward(client net.Conn) {
	p.track(client)
	defer p.forget(client)
	<-p.state()
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	p.track(server)
	defer p.forget(server)
	go func() {
		io.Copy(&gate{p, server}, client)
		server.Close()
	}()
	io.Copy(&gate{p, client}, server)
}

// state returns a channel that is closed while the proxy is not cut.
func (p *Proxy) state() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.joined
}

func (p *Proxy) track(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[conn] = true
}

func (p *Proxy) forget(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, conn)
	conn.Close()
}

// gate writes to a connection while the proxy is not cut.
type gate struct {
	proxy *Proxy
	conn  net.Conn
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.proxy.state()
	return g.conn.Write(b)
}
