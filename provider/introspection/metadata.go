package introspection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// metadata finds the introspection endpoint in the issuer's documents.
type metadata struct {
	issuer    string
	documents []*remote.Document
}

func openMetadata(cfg Config) *metadata {
	m := &metadata{issuer: cfg.Issuer}
	for _, address := range wellknown.Candidates(cfg.Issuer) {
		m.documents = append(m.documents, remote.New(remote.Config{
			URL:    address,
			Client: cfg.HTTPClient,
			Accept: func(c remote.Copy) error { return checkIssuer(c, cfg.Issuer) },
		}))
	}
	return m
}

// checkIssuer rejects a document of another issuer (RFC 8414 §3.3).
func checkIssuer(c remote.Copy, want string) error {
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.Unmarshal(c.Body, &document); err != nil {
		return err
	}
	if document.Issuer != want {
		return fmt.Errorf("metadata issuer is %q, want %q", document.Issuer, want)
	}
	return nil
}

// endpoint returns the introspection_endpoint of the first document that has one.
func (m *metadata) endpoint(ctx context.Context) (string, error) {
	var errs []error
	for _, d := range m.documents {
		c, err := d.Get(ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		var document struct {
			Endpoint string `json:"introspection_endpoint"`
		}
		if err := json.Unmarshal(c.Body, &document); err != nil {
			errs = append(errs, err)
			continue
		}
		if document.Endpoint == "" {
			errs = append(errs, errors.New("metadata has no introspection_endpoint; set Endpoint"))
			continue
		}
		return document.Endpoint, m.checkEndpoint(document.Endpoint)
	}
	return "", errors.Join(errs...)
}

// checkEndpoint returns an error unless tokens may be sent to the endpoint: an https URL, or
// one on loopback if the issuer is on loopback too. A remote issuer must not choose what
// this machine is asked.
func (m *metadata) checkEndpoint(address string) error {
	if err := wellknown.Issuer(address); err != nil {
		return fmt.Errorf("introspection_endpoint of the metadata: %w", err)
	}
	if isLoopback(address) && !isLoopback(m.issuer) {
		return fmt.Errorf("introspection_endpoint of the metadata is %q, on loopback, and the issuer is not", address)
	}
	return nil
}

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && wellknown.IsLoopback(u.Host)
}
