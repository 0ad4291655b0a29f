// Sign-in in front of an MCP server in any language: a guard around a reverse proxy.
//
//	BACKEND=http://127.0.0.1:8000 go run ./cmd/gatehouse dev -- go run ./examples/proxy
package main

import (
	"cmp"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/provider/clerk"
)

func main() {
	port := cmp.Or(os.Getenv("PORT"), "3000")
	backend, err := url.Parse(cmp.Or(os.Getenv("BACKEND"), "http://127.0.0.1:8000"))
	if err != nil {
		log.Fatal(err)
	}
	guard, err := gatehouse.New(gatehouse.Config{
		Resource: cmp.Or(os.Getenv("MCP_URL"), "http://localhost:"+port) + "/mcp", // the public URL of the endpoint
		Provider: clerk.FromEnv(),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	guard.Mount(mux, newProxy(backend))
	log.Fatal(http.ListenAndServe("localhost:"+port, mux))
}

// newProxy returns the handler inside the guard, which has removed Authorization by then.
func newProxy(backend *url.URL) http.Handler {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil               // the backend is near
	transport.MaxIdleConns = 0          // no limit but that of the host
	transport.MaxIdleConnsPerHost = 256 // the default of 2 opens connections all the time, and doubles the cost of a call
	transport.DisableCompression = true // Accept-Encoding stays as the client sent it
	return &httputil.ReverseProxy{
		Transport: transport,
		// A client that names a header of Rewrite in Connection does not remove it.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(backend) // and Host: go-sdk on loopback rejects the public one
			deleteHeaders(r.Out.Header, "x-forwarded-", "x-auth-request-", "remote-user", "x-user-id", "x-real-ip")
			r.Out.Trailer = nil // some servers read trailers as headers
			if id, ok := gatehouse.IdentityOfHTTP(r.In); ok {
				r.Out.Header.Set("X-Forwarded-User", id.Subject)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			deleteHeaders(r.Header, "www-authenticate", "access-control-") // the guard sets these
			return nil
		},
	}
}

// deleteHeaders removes every header whose name begins with one of prefixes. Some servers read
// X_Forwarded_User as X-Forwarded-User.
func deleteHeaders(h http.Header, prefixes ...string) {
	for name := range h {
		for _, prefix := range prefixes {
			if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(name, "_", "-")), prefix) {
				delete(h, name)
			}
		}
	}
}
