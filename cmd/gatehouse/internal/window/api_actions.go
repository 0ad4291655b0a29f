package window

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/localclerk"
)

// maxActionBytes bounds the body of a POST request to the API.
const maxActionBytes = 64 << 10

// actions returns the handlers of the API's POST requests by name. Each reads a JSON object
// and answers with one. Members that are absent leave their setting unchanged.
func (w *Window) actions() map[string]http.Handler {
	return map[string]http.Handler{
		"settings": action(w.changeSettings),
		"faults":   action(w.changeFaults),
		"rotate":   action(w.rotate),
		"revoke":   action(w.revoke),
		"mint":     action(w.mint),
		"clear":    action(w.clear),
		"check":    actionWithContext(w.check),
	}
}

// statusError is an error with the status of its answer.
type statusError struct {
	status  int
	problem string
}

func (e *statusError) Error() string { return e.problem }

// action returns the handler of an action that takes no time; see actionWithContext.
func action[T any](perform func(T) (any, error)) http.Handler {
	return actionWithContext(func(_ context.Context, input T) (any, error) { return perform(input) })
}

// actionWithContext returns a handler that reads a T, without unknown members, and answers with what
// perform returns. An error of perform is answered with 400, or with the status of a statusError.
func actionWithContext[T any](perform func(context.Context, T) (any, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); media != "application/json" {
			problem := fmt.Sprintf("got content type %s, want application/json", quote.String(r.Header.Get("Content-Type")))
			writeError(rw, http.StatusUnsupportedMediaType, problem)
			return
		}
		var input T
		if err := decode(http.MaxBytesReader(rw, r.Body, maxActionBytes), &input); err != nil {
			status := http.StatusBadRequest
			if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
				status = http.StatusRequestEntityTooLarge
			}
			writeError(rw, status, err.Error())
			return
		}
		answer, err := perform(r.Context(), input)
		if err != nil {
			status := http.StatusBadRequest
			if withStatus := new(statusError); errors.As(err, &withStatus) {
				status = withStatus.status
			}
			writeError(rw, status, err.Error())
			return
		}
		writeJSON(rw, http.StatusOK, answer)
	})
}

// decode reads one JSON object into a struct. It rejects unknown members and trailing data.
func decode(body io.Reader, into any) error {
	dec := json.NewDecoder(body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("reading the request body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("reading the request body: there is more data after the JSON object")
	}
	return nil
}

// settingsChange is the body of POST settings. The names are those of Clerk's Backend API,
// except for organizations_enabled and custom_scopes, which it does not have.
type settingsChange struct {
	DynamicOAuthClientRegistration      *bool     `json:"dynamic_oauth_client_registration"`
	OAuthJWTAccessTokens                *bool     `json:"oauth_jwt_access_tokens"`
	AudClaimEnabled                     *bool     `json:"aud_claim_enabled"`
	PKCERequired                        *bool     `json:"pkce_required"`
	ClientIDMetadataDocumentsAdvertised *bool     `json:"client_id_metadata_documents_advertised"`
	OnlyAllowPreRegisteredClients       *bool     `json:"client_id_metadata_documents_only_allow_pre_registered_clients"`
	BlockImplicitlyAllowedClients       *bool     `json:"client_id_metadata_documents_block_implicitly_allowed_clients"`
	OrganizationsEnabled                *bool     `json:"organizations_enabled"`
	DefaultScopes                       *[]string `json:"default_scopes"`
	CustomScopes                        *[]string `json:"custom_scopes"`
}

func (w *Window) changeSettings(c settingsChange) (any, error) {
	w.changing.Lock()
	defer w.changing.Unlock()
	s := w.clerk.Settings()
	assign(&s.DynamicOAuthClientRegistration, c.DynamicOAuthClientRegistration)
	assign(&s.OAuthJWTAccessTokens, c.OAuthJWTAccessTokens)
	assign(&s.AudClaimEnabled, c.AudClaimEnabled)
	assign(&s.PKCERequired, c.PKCERequired)
	assign(&s.ClientIDMetadataDocumentsAdvertised, c.ClientIDMetadataDocumentsAdvertised)
	assign(&s.ClientIDMetadataDocumentsOnlyAllowPreRegisteredClients, c.OnlyAllowPreRegisteredClients)
	assign(&s.ClientIDMetadataDocumentsBlockImplicitlyAllowedClients, c.BlockImplicitlyAllowedClients)
	removed := w.organizationScopeRemoved
	if c.OrganizationsEnabled != nil {
		s, removed = withOrganizations(s, *c.OrganizationsEnabled, removed)
	}
	if c.DefaultScopes != nil {
		s.DefaultScopes, removed = *c.DefaultScopes, false
	}
	assign(&s.CustomScopes, c.CustomScopes)
	if err := w.clerk.SetSettings(s); err != nil {
		return nil, err
	}
	w.organizationScopeRemoved = removed
	w.journal.stateChanged()
	return map[string]any{"settings": settingsOf(s)}, nil
}

// withOrganizations returns s with organizations turned on or off. Without organizations,
// their scope does not exist and cannot be a default scope. It is removed with them, and
// added again with them if removed reports that it was removed so.
func withOrganizations(s localclerk.Settings, enabled, removed bool) (_ localclerk.Settings, nowRemoved bool) {
	s.OrganizationsDisabled = !enabled
	isDefault := slices.Contains(s.DefaultScopes, localclerk.ScopeOrganization)
	switch {
	case !enabled && isDefault:
		s.DefaultScopes = slices.DeleteFunc(slices.Clone(s.DefaultScopes), func(scope string) bool {
			return scope == localclerk.ScopeOrganization
		})
		return s, true
	case enabled && removed && !isDefault:
		s.DefaultScopes = append(slices.Clone(s.DefaultScopes), localclerk.ScopeOrganization)
	}
	return s, removed && !enabled
}

// assign sets *to to *from, unless from is nil.
func assign[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// faultsJSON is the body of POST faults, and part of the state. Durations are written like
// "1.5s" or "-2h".
type faultsJSON struct {
	Latency     *duration `json:"latency,omitempty"`
	Status      *int      `json:"status,omitempty"`
	Paths       *[]string `json:"paths,omitempty"`
	ClockOffset *duration `json:"clock_offset,omitempty"`
}

func (w *Window) changeFaults(c faultsJSON) (any, error) {
	w.changing.Lock()
	defer w.changing.Unlock()
	f := w.clerk.Faults()
	assign(&f.Latency, (*time.Duration)(c.Latency))
	assign(&f.Status, c.Status)
	assign(&f.Paths, c.Paths)
	assign(&f.ClockOffset, (*time.Duration)(c.ClockOffset))
	if err := w.clerk.SetFaults(f); err != nil {
		return nil, err
	}
	w.journal.stateChanged()
	return map[string]any{"faults": faultsOf(f)}, nil
}

// duration is a time.Duration with a JSON form like "1.5s".
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("got duration %s, want one like \"1.5s\"", quote.String(string(text)))
	}
	*d = duration(parsed)
	return nil
}

// rotation is the body of POST rotate.
type rotation struct {
	SameKeyID bool `json:"same_kid"`
	Overlap   bool `json:"overlap"`
}

func (w *Window) rotate(r rotation) (any, error) {
	if err := w.clerk.RotateKey(localclerk.Rotation{SameKeyID: r.SameKeyID, Overlap: r.Overlap}); err != nil {
		return nil, err
	}
	w.journal.stateChanged()
	return map[string]any{"rotated": true}, nil
}

// revocation is the body of POST revoke.
type revocation struct {
	User string `json:"user"` // ID, username, email or first name
}

func (w *Window) revoke(r revocation) (any, error) {
	if err := w.clerk.RevokeUser(r.User); err != nil {
		return nil, err
	}
	w.journal.stateChanged()
	return map[string]any{"revoked": r.User}, nil
}

// clear removes all steps and runs. Its body is an empty object.
func (w *Window) clear(struct{}) (any, error) {
	w.journal.clear()
	return map[string]any{"cleared": true}, nil
}

// minting is the body of POST mint; see [localclerk.Token].
type minting struct {
	Kind         localclerk.TokenKind `json:"kind"`
	User         string               `json:"user"`
	Organization string               `json:"organization"`
	Scopes       []string             `json:"scopes"`
	ClientID     string               `json:"client_id"`
	Resource     string               `json:"resource"`
	Lifetime     duration             `json:"lifetime"`
	Opaque       bool                 `json:"opaque"`
}

// mint returns a new token. It is the only response of the window with a complete token.
func (w *Window) mint(m minting) (any, error) {
	token, err := w.clerk.IssueToken(localclerk.Token{
		Kind: m.Kind, User: m.User, Organization: m.Organization, Scopes: m.Scopes, ClientID: m.ClientID,
		Resource: m.Resource, Lifetime: time.Duration(m.Lifetime), Opaque: m.Opaque,
	})
	if err != nil {
		return nil, err
	}
	w.journal.stateChanged()
	return map[string]any{"token": token}, nil
}
