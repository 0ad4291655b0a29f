package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/reply"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxAnswer bounds the answer of another API, in bytes.
const maxAnswer = 64 << 10

func getEmail(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, _ := gatehouse.IdentityOf(req)
	client, ok := gatehouse.IssuerClient(req) // adds the caller's token, to requests to id.Issuer only
	if !ok {
		return nil, nil, errNotSignedIn
	}
	var info struct {
		Subject string `json:"sub"`
		Email   string `json:"email"`
	}
	err := get(ctx, client, id.Issuer+"/oauth/userinfo", nil, &info)
	if err == nil && info.Subject != id.Subject { // OpenID Connect Core §5.3.2
		err = fmt.Errorf("userinfo is about another subject")
	}
	if err != nil {
		return nil, nil, forModel(ctx, "get_email", err)
	}
	return reply.Text(info.Email), nil, nil
}

// billing is an API of another team. It trusts this server, and gets the server's own credentials and the ID of the
// user. The caller's token is for this server only, and is not sent there.
type billing struct {
	url    string
	key    gatehouse.Secret
	client *http.Client
}

func (t *tools) listInvoices(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	id, ok := gatehouse.IdentityOf(req)
	if !ok {
		return nil, nil, errNotSignedIn
	}
	header := http.Header{"Authorization": {"Bearer " + string(t.billing.key)}}
	query := url.Values{"issuer": {id.Issuer}, "customer": {id.Subject}} // from the token, never from an argument
	var invoices []struct {
		Number string `json:"number"`
		Cents  int    `json:"cents"`
	}
	err := get(ctx, t.billing.client, t.billing.url+"/invoices?"+query.Encode(), header, &invoices)
	if err != nil {
		return nil, nil, forModel(ctx, "list_invoices", err)
	}
	return reply.Array(invoices), nil, nil
}

// get reads a JSON answer of bounded size. An error has the status, and no text of the answer.
func get(ctx context.Context, client *http.Client, address string, header http.Header, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("got status %d, want 200", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	return json.Unmarshal(body, v)
}
