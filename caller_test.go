package gatehouse_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

func TestHandlerSeesNoToken(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("handler got Authorization %q", got)
		}
		info := auth.TokenInfoFromContext(r.Context())
		if info == nil || info.UserID != is.URL()+"|user_1" {
			t.Errorf("TokenInfo %+v, want the principal as UserID", info)
		}
		if text, _ := json.Marshal(info.Scopes); string(text) != `["profile","email"]` {
			t.Errorf("scopes %s", text)
		}
	}))
	r := request{header: bearer(token)}.make()
	handler.ServeHTTP(httptest.NewRecorder(), r)
	if got := r.Header.Get("Authorization"); got != "Bearer "+token {
		t.Errorf("the guard changed the header of the outer request to %q", got)
	}
}

// TestCallerPrintsAsPlaceholder prints every value that a handler can reach.
func TestCallerPrintsAsPlaceholder(t *testing.T) {
	is := newIssuer(t)
	token := is.token(resource)
	handler := newGuard(t, is).Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := auth.TokenInfoFromContext(r.Context())
		asJSON, err := json.Marshal(info)
		if err != nil {
			t.Errorf("JSON of the TokenInfo: %v", err)
		}
		texts := []string{string(asJSON)}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			texts = append(texts, fmt.Sprintf(verb, info))
			for _, value := range info.Extra {
				texts = append(texts, fmt.Sprintf(verb, value))
			}
			id, _ := gatehouse.IdentityOfHTTP(r)
			texts = append(texts, fmt.Sprintf(verb, id))
		}
		signature := token[strings.LastIndex(token, ".")+1:]
		for _, text := range texts {
			if strings.Contains(text, signature) || strings.Contains(text, hex.EncodeToString([]byte(signature))) {
				t.Errorf("the token appears in %s", text)
			}
		}
	}))
	send(handler, request{header: bearer(token)})
}
