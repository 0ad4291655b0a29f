// An MCP server of go-sdk, which knows nothing of OAuth. The settings are in the environment: PORT,
// GATEWAY, the origin of the gateway, and STATELESS, without which it has sessions and does not
// speak the revision 2026-07-28.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	maxKeys     = 64 << 10 // bytes of the document with the keys
	requestTime = time.Minute
)

var gateway = os.Getenv("GATEWAY")

// whoami is who calls.
type whoami struct {
	User    string `json:"user"`    // from X-Forwarded-User
	Subject string `json:"subject"` // from the assertion
	Token   string `json:"token"`   // from Authorization; the gateway sends none
}

// caller returns who calls, and prints it. The assertion is verified.
func caller(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, whoami, error) {
	header := req.Extra.Header
	claims := jwt.RegisteredClaims{}
	_, err := jwt.ParseWithClaims(header.Get("X-Gatehouse-Assertion"), &claims,
		func(token *jwt.Token) (any, error) { return key(ctx, token.Header["kid"]) },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(gateway), jwt.WithAudience(gateway+"/mcp"), jwt.WithExpirationRequired())
	if err != nil {
		return nil, whoami{}, err
	}
	who := whoami{header.Get("X-Forwarded-User"), claims.Subject, header.Get("Authorization")}
	fmt.Printf("called by %s, asserted %s\n", who.User, who.Subject)
	return nil, who, nil
}

// key fetches the key of the gateway with an ID.
func key(ctx context.Context, id any) (*ecdsa.PublicKey, error) {
	data, err := get(ctx, gateway+"/.well-known/gatehouse-jwks.json")
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct {
			ID   string `json:"kid"`
			X, Y string
		}
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if k.ID == id {
			return publicKey(k.X, k.Y)
		}
	}
	return nil, fmt.Errorf("the gateway has no key %q", id)
}

// publicKey returns the key with the coordinates of a JWK (RFC 7518 section 6.2.1).
func publicKey(x, y string) (*ecdsa.PublicKey, error) {
	point := []byte{4} // not compressed
	for _, coordinate := range []string{x, y} {
		data, err := base64.RawURLEncoding.DecodeString(coordinate)
		if err != nil {
			return nil, err
		}
		point = append(point, data...)
	}
	return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(url + " answered " + resp.Status)
	}
	return io.ReadAll(io.LimitReader(resp.Body, maxKeys))
}

func report(ctx context.Context, req *mcp.CallToolRequest, event int) error {
	return req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
		ProgressToken: req.Params.GetProgressToken(), Progress: float64(event),
	})
}

type gateInput struct {
	Gate string `json:"gate"`
}

// progress waits after each event until the client has received it.
func progress(ctx context.Context, req *mcp.CallToolRequest, in gateInput) (*mcp.CallToolResult, any, error) {
	for event := 1; event <= 3; event++ {
		if err := report(ctx, req, event); err != nil {
			return nil, nil, err
		}
		if _, err := get(ctx, fmt.Sprintf("%s?wait=%d", in.Gate, event)); err != nil {
			return nil, nil, err
		}
	}
	return nil, map[string]any{"events": 3}, nil
}

// ask asks the user in the way of the client's revision: go-sdk sends a request to clients of
// earlier revisions.
func ask(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	answer, ok := req.Params.InputResponses["colour"].(*mcp.ElicitResult)
	if !ok {
		return &mcp.CallToolResult{InputRequests: mcp.InputRequestMap{"colour": &mcp.ElicitParams{
			Message: "Which colour?",
			RequestedSchema: map[string]any{
				"type": "object", "properties": map[string]any{"value": map[string]any{"type": "string"}}, "required": []string{"value"},
			},
		}}}, nil, nil
	}
	return nil, map[string]any{"action": answer.Action, "colour": answer.Content["value"]}, nil
}

func slow(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	if err := report(ctx, req, 1); err != nil {
		return nil, nil, err
	}
	<-ctx.Done()
	fmt.Println("the call was cancelled")
	return nil, nil, ctx.Err()
}

func hidden(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
	fmt.Println("hidden was called")
	return nil, map[string]any{"problem": "the file of the gateway does not name this tool"}, nil
}

func main() {
	server := mcp.NewServer(&mcp.Implementation{Name: "backend", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami"}, caller)
	mcp.AddTool(server, &mcp.Tool{Name: "purge"}, caller)
	mcp.AddTool(server, &mcp.Tool{Name: "progress"}, progress)
	mcp.AddTool(server, &mcp.Tool{Name: "ask"}, ask)
	mcp.AddTool(server, &mcp.Tool{Name: "slow"}, slow)
	mcp.AddTool(server, &mcp.Tool{Name: "hidden"}, hidden)
	http.Handle("/mcp", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: os.Getenv("STATELESS") != ""}))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
