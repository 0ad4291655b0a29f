package localclerk

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxRecordedBody   = 16 << 10
	maxRecordedFields = 40
	maxRecordedValue  = 1 << 10
)

type eventKey struct{}

type withoutEventKey struct{}

// WithoutEvent returns a context with which [Server.ServeHTTP] records no event of a request, and logs it
// at Debug. It is for a program that checks the server and shows its events: a request that comes
// over the network cannot have such a context by itself.
func WithoutEvent(ctx context.Context) context.Context {
	return context.WithValue(ctx, withoutEventKey{}, true)
}

// eventOf returns the event of a request, which the handlers fill in.
func eventOf(r *http.Request) *Event {
	if e, ok := r.Context().Value(eventKey{}).(*Event); ok {
		return e
	}
	return &Event{}
}

// recordError sets the error of the event of a request.
func recordError(r *http.Request, code, problem, fix string) {
	e := eventOf(r)
	e.Error, e.Problem, e.Fix = code, problem, fix
}

// recordEvents records an event for every request that next serves.
func (s *Server) recordEvents(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &Event{
			Time:      time.Now(),
			Method:    r.Method,
			Path:      truncate(r.URL.Path),
			UserAgent: truncate(r.UserAgent()),
			Origin:    truncate(r.Header.Get("Origin")),
		}
		requestBody := &prefixBuffer{max: maxRecordedBody}
		r = r.WithContext(context.WithValue(r.Context(), eventKey{}, e))
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, requestBody), r.Body}
		response := &responseRecorder{ResponseWriter: w, status: http.StatusOK, body: prefixBuffer{max: maxRecordedBody}}
		next.ServeHTTP(response, r)

		e.Took = time.Since(e.Time)
		e.Step = stepOf(r)
		e.Status = response.status
		e.Request = requestFields(r, requestBody.Bytes())
		e.Response = responseFields(response)
		if user, _, ok := r.BasicAuth(); ok {
			e.Client = cmp.Or(e.Client, truncate(user))
		}
		e.Client = cmp.Or(e.Client, e.Request["client_id"], e.Response["client_id"])
		e.User = cmp.Or(e.User, e.Response["sub"])
		if c, ok := s.store.client(e.Client); ok {
			e.ClientName = c.name
		}
		if e.Error != "" && e.Fix == "" {
			e.Fix = cmp.Or(defaultFixes[e.Error], "correct the request and send it again")
		}
		level := slog.LevelInfo
		if hidden, _ := r.Context().Value(withoutEventKey{}).(bool); hidden {
			level = slog.LevelDebug
		} else {
			s.eventLog.add(*e)
		}
		s.log.Log(r.Context(), level, string(e.Step), "method", e.Method, "path", e.Path, "status", e.Status,
			"client", e.Client, "user", e.User, "error", e.Error, "problem", e.Problem, "fix", e.Fix)
	})
}

func stepOf(r *http.Request) Step {
	path := r.URL.Path
	if _, ok := corsMethods[path]; ok && r.Method == http.MethodOptions {
		return StepPreflight
	}
	if path == continuePath && r.Method == http.MethodPost {
		return StepDecision
	}
	if step, ok := stepByPath[path]; ok {
		return step
	}
	if strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/oauth_applications/") {
		return StepBackend
	}
	return StepOther
}

var stepByPath = map[string]Step{
	"/.well-known/oauth-authorization-server": StepMetadata,
	"/.well-known/openid-configuration":       StepMetadata,
	"/.well-known/jwks.json":                  StepKeys,
	"/oauth/register":                         StepRegistration,
	"/oauth/authorize":                        StepAuthorization,
	continuePath:                              StepPage,
	"/oauth/token":                            StepToken,
	"/oauth/userinfo":                         StepUserInfo,
	"/oauth/token_info":                       StepIntrospection,
	"/oauth/token/revoke":                     StepRevocation,
}

// defaultFixes are the fixes for error codes if the handler sets no other.
var defaultFixes = map[string]string{
	accessDenied:         "sign in again and press Allow",
	invalidClient:        "register the client again",
	invalidGrant:         "start a new authorization",
	invalidRedirectURI:   "register redirect URIs that use https, a loopback host, or a scheme of the application",
	invalidState:         "send a random state of at least 8 characters",
	invalidTarget:        "send one resource, and the same absolute URI in every request",
	loginRequired:        "send the request again without prompt=none",
	unauthorizedClient:   "use the client to which the token was issued",
	unsupportedGrantType: "use authorization_code or refresh_token",
}

// prefixBuffer keeps the first max bytes that are written to it.
type prefixBuffer struct {
	bytes.Buffer
	max int
}

func (h *prefixBuffer) Write(p []byte) (int, error) {
	h.Buffer.Write(p[:min(len(p), h.max-h.Len())])
	return len(p), nil
}

type responseRecorder struct {
	http.ResponseWriter
	status int
	body   prefixBuffer
}

func (w *responseRecorder) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseRecorder) Write(p []byte) (int, error) {
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *responseRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func requestFields(r *http.Request, body []byte) map[string]string {
	fields := newFields()
	if query, err := url.ParseQuery(r.URL.RawQuery); err == nil {
		fields.addForm(query)
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch media {
	case "application/json":
		fields.addObject(body)
	case "application/x-www-form-urlencoded":
		if form, err := url.ParseQuery(string(body)); err == nil {
			fields.addForm(form)
		}
	}
	for _, name := range []string{"Authorization", SignInHeader, OrganizationHeader, ConsentHeader, "Mcp-Protocol-Version"} {
		if value := r.Header.Get(name); value != "" {
			fields.add(name, value)
		}
	}
	return fields
}

func responseFields(w *responseRecorder) map[string]string {
	fields := newFields()
	if to, err := url.Parse(w.Header().Get("Location")); err == nil {
		fields.addForm(to.Query())
	}
	if w.Header().Get("Content-Type") == "application/json" {
		fields.addObject(w.body.Bytes())
	}
	return fields
}

// fields are parameters by name. Their number and length are bounded, and secrets in
// them are masked.
type fields map[string]string

func newFields() fields { return fields{} }

func (f fields) addForm(form url.Values) {
	for name, values := range form {
		f.add(name, strings.Join(values, " and "))
	}
}

func (f fields) addObject(body []byte) {
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return
	}
	for name, raw := range object {
		text := string(raw)
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		f.add(name, text)
	}
}

// secretParameters are the parameters, in lower case, whose values are secret.
var secretParameters = map[string]bool{
	"access_token": true, "authorization": true, "client_secret": true, "code": true, "code_verifier": true,
	"id_token": true, "refresh_token": true, "secret": true, "state": true, "token": true, "transaction": true,
}

func (f fields) add(name, value string) {
	if len(f) >= maxRecordedFields {
		return
	}
	name = truncate(name)
	if !secretParameters[strings.ToLower(name)] {
		f[name] = truncate(value)
		return
	}
	f[name] = maskSecret(value)
	if claims, ok := claimsOf(value); ok {
		f[name+".claims"] = truncate(claims)
	}
}

// maskSecret returns the first characters of a secret, so that a reader can compare
// it with others, and its length.
func maskSecret(value string) string {
	const shown = 6
	if len(value) <= 4*shown {
		return fmt.Sprintf("… (%d characters)", len(value))
	}
	return fmt.Sprintf("%s… (%d characters)", strings.ToValidUTF8(value[:shown], "?"), len(value))
}

// claimsOf returns the claims of a JWT as JSON. The JWT may follow the scheme Bearer.
func claimsOf(value string) (string, bool) {
	_, token, found := strings.Cut(value, " ")
	if !found {
		token = value
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", false
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	return string(claims), err == nil && json.Valid(claims)
}

func truncate(text string) string {
	if len(text) > maxRecordedValue {
		text = text[:maxRecordedValue] + "…"
	}
	return strings.ToValidUTF8(text, "?")
}
