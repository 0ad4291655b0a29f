package testissuer_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/testissuer"
	"github.com/golang-jwt/jwt/v5"
)

func get(t *testing.T, client *http.Client, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestIssuerServesMetadataAndKeys(t *testing.T) {
	is := testissuer.Start(t)
	status, body := get(t, http.DefaultClient, is.URL()+testissuer.MetadataPath)
	var metadata struct{ Issuer string }
	if err := json.Unmarshal([]byte(body), &metadata); status != http.StatusOK || err != nil || metadata.Issuer != is.URL() {
		t.Errorf("metadata: status %d, issuer %q (%v), want 200 and %q", status, metadata.Issuer, err, is.URL())
	}
	if status, body := get(t, http.DefaultClient, is.JWKSURL()); status != http.StatusOK || body != testissuer.JWKS(is.Keys()...) {
		t.Errorf("keys: status %d, body %s", status, body)
	}
	is.SetDown(true)
	if status, body := get(t, http.DefaultClient, is.JWKSURL()); status != http.StatusServiceUnavailable || body != testissuer.DownBody {
		t.Errorf("down: status %d, body %q, want 503", status, body)
	}
	if keys, all := is.Requests(testissuer.KeysPath), is.Requests(""); keys != 2 || all != 3 {
		t.Errorf("%d requests for keys and %d in all, want 2 and 3", keys, all)
	}
}

func TestTokenIsSignedByTheFirstKey(t *testing.T) {
	is := testissuer.New("https://issuer.example")
	is.Publish(testissuer.NewKey("second"), testissuer.NewKey("key-1"))
	raw := is.Token("https://mcp.example/mcp", testissuer.Claim("sub", "user_bob"), testissuer.Claim("jti", nil), testissuer.Header("x", "y"))
	token, err := jwt.Parse(raw, func(*jwt.Token) (any, error) { return &testissuer.RSAKey("second").PublicKey, nil })
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	if _, found := claims["jti"]; found || claims["sub"] != "user_bob" || token.Header["kid"] != "second" || token.Header["x"] != "y" {
		t.Errorf("header %v, claims %v", token.Header, claims)
	}
}

func TestTransportDelaysAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := testissuer.NewTransport()
		client := &http.Client{Transport: transport}
		is := testissuer.New("https://issuer.example")
		transport.Serve(is)
		transport.Delay(time.Minute)
		start := time.Now()
		if status, body := get(t, client, is.JWKSURL()); status != http.StatusOK || body != testissuer.JWKS(is.Keys()...) {
			t.Errorf("status %d, body %s", status, body)
		}
		if waited := time.Since(start); waited != time.Minute {
			t.Errorf("waited %s, want 1m0s", waited)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, is.JWKSURL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the timeout: got error %v, want the context's", err)
		}
		transport.Delay(0)
		wantErr := errors.New("connection refused")
		transport.Fail(wantErr)
		if _, err := client.Get(is.URL()); !errors.Is(err, wantErr) {
			t.Errorf("got error %v, want %v", err, wantErr)
		}
		transport.Respond(http.StatusTeapot, "tea", "Content-Type", "text/plain")
		if status, body := get(t, client, is.URL()); status != http.StatusTeapot || body != "tea" {
			t.Errorf("status %d, body %q, want 418 and tea", status, body)
		}
		if n := len(transport.Requests(testissuer.KeysPath)); n != 2 {
			t.Errorf("%d requests for keys, want 2", n)
		}
		if n := testissuer.MostWithin(time.Minute, transport.Requests("")); n != 3 {
			t.Errorf("at most %d requests within a minute, want 3: all but the first", n)
		}
	})
}
