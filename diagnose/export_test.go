package diagnose

import (
	"context"
	"net/http"
)

// ForeignGet sends a GET with the transport of a zero Config, as for a URL from a document of
// another machine.
func ForeignGet(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(context.WithValue(ctx, foreignKey{}, true), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := newTransport().RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	return err
}
